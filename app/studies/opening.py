"""What stands between a study and its opening: each condition with its state, in a sentence. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.studies.design import EXPECTED, SPECIAL_ARMS, lacking
from app.studies.workload import Workload

MET, UNMET, HINT = "met", "unmet", "hint"
_LISTED = 5
_FEWEST_CHOICES = 2


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition. Only an unmet one keeps a study from opening; `remedy` says what would be right.

    `link` is where it is mended, after the study's own address.
    """

    title: str
    state: str
    sentence: str
    link: str
    link_text: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class KnownState:
    """A practice or gold item as stored: `answered` are the special arms that have a response to it."""

    kind: str
    prompt: str
    expected: str
    answered: frozenset[str]


@dataclass(frozen=True, slots=True)
class Facts:
    """What the conditions are decided by. `holes` read like `item 2 from lft`; `pairs` like `lft against sft`.

    `can_be_shown` tells whether any item has two responses of a pair that may be shown. `evidence_ready` is None where
    no evidence is asked for.
    """

    slug: str
    prompts: int
    arms: Sequence[str]
    pairs: Sequence[str]
    responses: int
    holes: Sequence[str]
    generating: bool
    allow_holes: bool
    can_be_shown: bool
    unscanned: int
    flags: int
    undecided: int
    guidelines: bool
    guideline_version: int
    known: Sequence[KnownState]
    comprehension: Sequence[Mapping[str, Any]]
    evidence_ready: bool | None


@dataclass(frozen=True, slots=True)
class Recruited:
    """Who is there to judge: active annotators, invites not used yet, and whether anybody may join by a link."""

    joined: int
    invited: int
    open_link: bool


def gates(facts: Facts) -> tuple[Condition, ...]:
    """List what must be so before a study opens, in the order it is made."""
    found = [_prompts(facts), _arms(facts), _responses(facts), _leaks(facts), _guidelines(facts), _known(facts)]
    found.append(_check(facts))
    if facts.evidence_ready is not None:
        found.append(_evidence(ready=facts.evidence_ready))
    return tuple(found)


def hints(people: Recruited, work: Workload) -> tuple[Condition, ...]:
    """List what a study may open without, but would then wait for."""
    return (_people(people), _overlap(people, work))


def refusal(conditions: Sequence[Condition]) -> tuple[str, str]:
    """Put all that is unmet in a message and a remedy; both empty where a study may open."""
    unmet = [one for one in conditions if one.state == UNMET]
    if not unmet:
        return "", ""
    message = " ".join(["This study cannot open yet.", *(one.sentence for one in unmet)])
    return message, " ".join(dict.fromkeys(one.remedy for one in unmet))


def _prompts(facts: Facts) -> Condition:
    needs = lacking(prompts=facts.prompts, arms=2, pairs=1)
    return Condition(
        "Prompts",
        UNMET if needs else MET,
        " ".join(needs) or f"{_count(facts.prompts, 'prompt', 'prompts')}.",
        "/setup#s-prompts",
        "Set-up",
        "Finish its set-up first.",
    )


def _arms(facts: Facts) -> Condition:
    needs = lacking(prompts=1, arms=len(facts.arms), pairs=len(facts.pairs))
    return Condition(
        "Arms and pairs",
        UNMET if needs else MET,
        " ".join(needs) or f"{_count(len(facts.arms), 'arm', 'arms')}; {_some(facts.pairs)}.",
        "/setup#s-arms",
        "Set-up",
        "Finish its set-up first.",
    )


def _responses(facts: Facts) -> Condition:
    state, sentence, remedy = MET, f"All {facts.responses:,} are there.", ""
    if facts.holes:
        are = "is" if len(facts.holes) == 1 else "are"
        sentence = f"{_count(len(facts.holes), 'response', 'responses')} {are} missing: {_some(facts.holes)}."
        if facts.allow_holes:
            state = HINT
            sentence += " Its set-up says that it may open all the same; nobody is handed a pair that lacks one."
        else:
            state = UNMET
            remedy = f"Generate them under Generation, or with: tuneshift generate {facts.slug}"
    if state != UNMET and facts.prompts and facts.pairs and not facts.can_be_shown:
        state, remedy = UNMET, "Generate responses, or take back what was excluded under Leak flags."
        sentence = "No item has two responses of a pair that may be shown, so nothing could be handed out."
    if facts.generating:
        state, sentence = UNMET, "Responses are being generated."
        remedy = "Wait until that is done, or stop it first."
    if not (facts.prompts and facts.arms):
        state, sentence = HINT, "They come after prompts and arms."
    return Condition("Responses", state, sentence, "/generation", "Generation", remedy)


def _leaks(facts: Facts) -> Condition:
    state, remedy = MET, ""
    decided = f"{_count(facts.flags, 'flag', 'flags')}, decided" if facts.flags else "no flag"
    sentence = f"Every response is scanned; {decided}."
    if facts.unscanned:
        are = "is" if facts.unscanned == 1 else "are"
        state, remedy = UNMET, "Scan them under Leak flags."
        sentence = f"{_count(facts.unscanned, 'response', 'responses')} {are} not scanned yet."
    elif facts.undecided:
        places = _count(facts.undecided, "place", "places")
        state, remedy = UNMET, "Decide under Leak flags."
        sentence = f"What may tell annotators who wrote a response is undecided in {places}."
    elif not facts.responses:
        state, sentence = HINT, "There is nothing to scan yet."
    return Condition("Leak flags", state, sentence, "/leaks", "Leak flags", remedy)


def _guidelines(facts: Facts) -> Condition:
    return Condition(
        "Guidelines",
        MET if facts.guidelines else UNMET,
        f"Version {facts.guideline_version} is written."
        if facts.guidelines
        else "No guidelines are written, so annotators would not know what to look for.",
        "/setup#s-guide",
        "Set-up",
        "Write the guidelines in the set-up.",
    )


def _known(facts: Facts) -> Condition:
    problems = [problem for one in facts.known for problem in _known_problems(one)]
    kinds = [one.kind for one in facts.known]
    there = f"{kinds.count('practice')} practice, {kinds.count('gold')} gold; each with its responses and answer."
    return Condition(
        "Practice and gold items",
        UNMET if problems else MET,
        " ".join(problems[:_LISTED]) or (there if kinds else "None are asked."),
        "/setup#s-check",
        "Set-up",
        "Complete the item in the set-up, or take it away.",
    )


def _known_problems(one: KnownState) -> Iterator[str]:
    start = one.prompt if len(one.prompt) <= 40 else f"{one.prompt[:39]}…"  # noqa: PLR2004  enough to know it by
    name = f"The {one.kind} item “{start}”"
    if one.expected not in EXPECTED:
        yield f"{name} has no expected answer."
    missing = [arm for arm in SPECIAL_ARMS if arm not in one.answered]
    if missing:
        yield f"{name} has no {' and no '.join(missing)} response."


def _check(facts: Facts) -> Condition:
    problems = [
        f"Question {number} {problem}."
        for number, one in enumerate(facts.comprehension, start=1)
        if (problem := _question_problem(one))
    ]
    there = f"{_count(len(facts.comprehension), 'question', 'questions')}, each with a right choice."
    return Condition(
        "Comprehension check",
        UNMET if problems else MET,
        " ".join(problems[:_LISTED]) or (there if facts.comprehension else "None; people start at once."),
        "/setup#s-check",
        "Set-up",
        "Mend the comprehension check in the set-up.",
    )


def _question_problem(one: Mapping[str, Any]) -> str:
    choices = [str(choice).strip() for choice in one.get("choices") or ()]
    right = one.get("right")
    checks = {
        "says nothing": not str(one.get("question") or "").strip(),
        "needs two choices or more": len(choices) < _FEWEST_CHOICES,
        "has an empty choice": not all(choices),
        "has two choices that are the same": len(set(choices)) < len(choices),
        "has no right choice": type(right) is not int or not 0 <= right < len(choices),
    }
    return next((words for words, wrong in checks.items() if wrong), "")


def _evidence(*, ready: bool) -> Condition:
    return Condition(
        "Evidence",
        MET if ready else UNMET,
        "Its tuning set is imported."
        if ready
        else "The tuning set that evidence is taken from is not here, or not imported.",
        "/setup#s-questions",
        "Set-up",
        "Choose another tuning set in the set-up.",
    )


def _people(people: Recruited) -> Condition:
    said = [
        f"{_count(people.joined, 'person has', 'people have')} joined" if people.joined else "",
        f"{_count(people.invited, 'invite is', 'invites are')} open" if people.invited else "",
        "anybody may join by the open link" if people.open_link else "",
    ]
    there = "; ".join(part for part in said if part)
    sentence = f"{there[:1].upper()}{there[1:]}." if there else "Nobody is invited, and there is no open link."
    return Condition("People", MET if there else HINT, sentence, "/people", "People")


def _overlap(people: Recruited, work: Workload) -> Condition:
    state, sentence = MET, work.sentence
    there = people.joined + people.invited
    if not people.open_link and there < work.people:
        state = HINT
        sentence += f" {_count(there, 'is', 'are')} here or invited, so some items would stay short."
    return Condition("Enough people", state, sentence, "/people", "People")


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"{', '.join(names[:_LISTED])}{more}"


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"
