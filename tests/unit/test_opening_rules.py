"""What keeps a study from opening, decided from counts alone."""

from dataclasses import replace

import pytest

from app.studies.opening import HINT, MET, UNMET, Facts, KnownState, Recruited, gates, hints, refusal
from app.studies.workload import workload

WHOLE = Facts(
    slug="kettles",
    prompts=3,
    arms=("lft", "sft"),
    pairs=("lft against sft",),
    responses=6,
    holes=(),
    generating=False,
    allow_holes=False,
    can_be_shown=True,
    unscanned=0,
    flags=0,
    undecided=0,
    guidelines=True,
    guideline_version=1,
    known=(),
    comprehension=(),
    evidence_ready=None,
)
BOTH = frozenset({"better", "worse"})
QUESTION = {"question": "What do you judge?", "choices": ["Length", "What is written"], "right": 1, "why": ""}


def known(**over):
    return KnownState(**{"kind": "gold", "prompt": "Is water wet?", "expected": "better", "answered": BOTH} | over)


def unmet(facts):
    return {one.title: one.sentence for one in gates(facts) if one.state == UNMET}


def test_a_whole_study_may_open():
    conditions = gates(WHOLE)
    assert {one.state for one in conditions} == {MET}
    assert refusal(conditions) == ("", "")
    assert refusal(hints(Recruited(0, 0, open_link=False), workload(items=3, pairs=1, overlap=2))) == ("", "")


LACKS = [
    ({"prompts": 0}, "Prompts", "It has no prompts."),
    ({"arms": ("lft",)}, "Arms and pairs", "It needs two arms to compare."),
    ({"pairs": ()}, "Arms and pairs", "No pair of arms is chosen."),
    ({"holes": ("item 2 from lft",)}, "Responses", "1 response is missing: item 2 from lft."),
    (
        {"holes": [f"item {n} from sft" for n in range(1, 8)]},
        "Responses",
        f"7 responses are missing: {', '.join(f'item {n} from sft' for n in range(1, 6))} and 2 more.",
    ),
    (
        {"can_be_shown": False},
        "Responses",
        "No item has two responses of a pair that may be shown, so nothing could be handed out.",
    ),
    (
        {"can_be_shown": False, "holes": ("item 1 from lft",), "allow_holes": True},
        "Responses",
        "No item has two responses of a pair that may be shown, so nothing could be handed out.",
    ),
    ({"generating": True, "holes": ("item 2 from lft",)}, "Responses", "Responses are being generated."),
    ({"unscanned": 6}, "Leak flags", "6 responses are not scanned yet."),
    (
        {"flags": 3, "undecided": 2},
        "Leak flags",
        "What may tell annotators who wrote a response is undecided in 2 places.",
    ),
    (
        {"guidelines": False},
        "Guidelines",
        "No guidelines are written, so annotators would not know what to look for.",
    ),
    (
        {"known": (known(expected=""),)},
        "Practice and gold items",
        "The gold item “Is water wet?” has no expected answer.",
    ),
    (
        {"known": (known(kind="practice", answered=frozenset({"better"})),)},
        "Practice and gold items",
        "The practice item “Is water wet?” has no worse response.",
    ),
    (
        {"known": (known(answered=frozenset()),)},
        "Practice and gold items",
        "The gold item “Is water wet?” has no better and no worse response.",
    ),
    (
        {"evidence_ready": False},
        "Evidence",
        "The tuning set that evidence is taken from is not here, or not imported.",
    ),
]


@pytest.mark.parametrize(("over", "title", "sentence"), LACKS, ids=[f"{next(iter(o))}-{t}" for o, t, _ in LACKS])
def test_what_is_lacking_is_said_where_and_blocks_by_itself(over, title, sentence):
    facts = replace(WHOLE, **over)
    assert unmet(facts) == {title: sentence}
    message, remedy = refusal(gates(facts))
    assert message == f"This study cannot open yet. {sentence}"
    assert remedy


@pytest.mark.parametrize(
    ("over", "problem"),
    [
        ({"question": "  "}, "says nothing"),
        ({"choices": ["Length"], "right": 0}, "needs two choices or more"),
        ({"choices": ["Length", " "]}, "has an empty choice"),
        ({"choices": ["Length", "Length "]}, "has two choices that are the same"),
        ({"right": 2}, "has no right choice"),
        ({"right": -1}, "has no right choice"),
        ({"right": True}, "has no right choice"),
        ({"right": None}, "has no right choice"),
        ({"choices": None}, "needs two choices or more"),
    ],
)
def test_a_question_nobody_could_answer_blocks(over, problem):
    facts = replace(WHOLE, comprehension=(QUESTION, QUESTION | over))
    assert unmet(facts) == {"Comprehension check": f"Question 2 {problem}."}


def test_accepted_holes_are_said_and_do_not_block():
    facts = replace(WHOLE, holes=("item 2 from lft",), allow_holes=True)
    assert unmet(facts) == {}
    (one,) = [one for one in gates(facts) if one.title == "Responses"]
    assert one.state == HINT
    assert "1 response is missing: item 2 from lft. Its set-up says that it may open all the same" in one.sentence


def test_everything_unmet_is_in_one_refusal_each_remedy_once():
    facts = replace(WHOLE, prompts=0, arms=(), pairs=(), guidelines=False, can_be_shown=False, responses=0)
    message, remedy = refusal(gates(facts))
    assert message == (
        "This study cannot open yet. It has no prompts. It needs two arms to compare. No pair of arms is chosen. "
        "No guidelines are written, so annotators would not know what to look for."
    )
    assert remedy == "Finish its set-up first. Write the guidelines in the set-up."


@pytest.mark.parametrize(
    ("people", "states"),
    [
        (Recruited(0, 0, open_link=False), (HINT, HINT)),
        (Recruited(1, 1, open_link=False), (MET, HINT)),
        (Recruited(2, 1, open_link=False), (MET, MET)),
        (Recruited(0, 0, open_link=True), (MET, MET)),
    ],
)
def test_people_are_hints(people, states):
    found = hints(people, workload(items=3, pairs=1, overlap=3))
    assert tuple(one.state for one in found) == states
    if states[1] == HINT:
        assert "at least 3 people." in found[1].sentence
        assert "here or invited, so some items would stay short" in found[1].sentence


def test_a_limit_per_person_makes_more_people_needed():
    work = workload(items=10, pairs=1, overlap=2, per_annotator=5)
    assert hints(Recruited(3, 0, open_link=False), work)[1].state == HINT
    assert hints(Recruited(4, 0, open_link=False), work)[1].state == MET
