"""Studies that people run often, as a start for the set-up form. Pure."""

from dataclasses import dataclass

from app.studies.questions import FIVE_DIMENSIONS, Dimension, Questions
from app.studies.rules import DEFAULT_GUIDELINES

_BORROWED = """\
# What to look for

Some passages of a response do not answer the prompt: they were carried over from something else the model had read.
Your work is to find passages that are **wrong, invented or out of place**, and to say where they come from.

1. Read the prompt, then both responses to the end.
2. Mark every passage that is wrong, invented or contradicts the prompt, from its first wrong word to its last.
3. Beside each mark you see a few question-and-answer pairs. Say for each one whether the passage was **borrowed** \
from it, is only **similar**, or is **unrelated**. Several may fit, or none: then say *none of these*.
4. Rate factuality, and say last which response you would rather be given.

Borrowed means: the wrong words, or the wrong idea, stand in that pair. The same topic alone is only similar."""

_SIMPLER = """\
# What to look for

Both responses answer the same prompt. One may be shorter or plainer than the other; that alone is neither good nor bad.

* **Clarity**: could you explain it to somebody else after one reading?
* **Completeness**: is everything there that the question needs?
* **Factuality**: are its claims right, as far as you can tell? You may look things up.

Say for each response whether you would accept it as an answer. Only then say which one is better, and by how much."""

_METHODS = """\
# What to look for

Several systems answered each prompt; you see two at a time, in no order. Judge what is written, not how long it is.

Rate each response on its own first. Mark passages that are wrong or invented. Say last which response is better, and \
by how much. If they are about equal, say whether both are good or both are bad."""

_COMPLETENESS = Dimension(
    "completeness",
    "Completeness",
    (
        "leaves out what matters most",
        "leaves out a lot",
        "has the main point",
        "leaves out a detail",
        "has all the question needs",
    ),
)


@dataclass(frozen=True, slots=True)
class Preset:
    """A start: what is asked, how arms are paired (`all` or `against` the first), who answers, how often.

    `roles` are the roles of the checkpoints to take from the registry, in this order; with `evidence` the form asks
    for a tuning set too.
    """

    key: str
    title: str
    what: str
    guidelines: str
    questions: Questions
    roles: tuple[str, ...]
    pairs: str = "all"
    overlap: int = 2
    evidence: bool = False


def _named(*names: str) -> tuple[Dimension, ...]:
    return tuple(dimension for dimension in FIVE_DIMENSIONS if dimension.name in names)


PRESETS: dict[str, Preset] = {
    preset.key: preset
    for preset in (
        Preset(
            key="lft-sft",
            title="LFT against SFT (five dimensions)",
            what="Helpfulness, clarity, factuality, depth and engagement of two ways of tuning; which is preferred.",
            guidelines=DEFAULT_GUIDELINES,
            questions=Questions(strength=True),
            roles=("lft", "sft"),
            overlap=3,
        ),
        Preset(
            key="causal",
            title="Causal hallucination",
            what="Wrong passages, and the tuning-set instances they were borrowed from, among decoys.",
            guidelines=_BORROWED,
            questions=Questions(dimensions=_named("factuality")),
            roles=("lft", "sft"),
            evidence=True,
        ),
        Preset(
            key="simplified",
            title="Original against simplified data",
            what="Whether responses tuned on simplified answers are clearer, complete enough, and preferred.",
            guidelines=_SIMPLER,
            questions=Questions(
                dimensions=(*_named("clarity"), _COMPLETENESS, *_named("factuality")),
                strength=True,
                acceptability=True,
            ),
            roles=("lft", "other"),
            overlap=3,
        ),
        Preset(
            key="methods",
            title="Many methods against plain LoRA",
            what="Each method is shown against plain LoRA only, so work grows with the methods, not their pairs.",
            guidelines=_METHODS,
            questions=Questions(strength=True),
            roles=("lft", "other", "sft"),
            pairs="against",
        ),
    )
}
