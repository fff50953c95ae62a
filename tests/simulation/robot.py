"""Annotators with a planted truth: what they answer is drawn from a seed, so a test knows what results must find.

`answer_of` gives what the judging page's script would send, without the key of the attempt. The same answers go over
HTTP (`tests/simulation/browser.py`) and straight into the tables (`tests/simulation/database.py`).
"""

import math
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.studies.questions import Questions

TYPES = ("wrong_fact", "invented", "contradiction", "unsupported", "other")


@dataclass(frozen=True)
class Truth:
    """What is planted. Qualities are log-odds: of two arms, the left one wins with `sigmoid(left - right)`.

    `position` is the log-odds everybody gives to the left side, `length` those per relative difference in length
    (left less right, by their sum). The `_spread`s are standard deviations among annotators, or among items. `tie` is
    how near to even still counts as a tie. `hallucinated` is the mean number of passages planted in a response of an
    arm; each is marked with probability `detection`, and `false_marks` more per response. Of the instances beside a
    mark, retrieved ones are called borrowed with `attributed[arm]` (else with `borrowed`), decoys with `decoyed`.
    `rated[arm][dimension]` moves a rating away from 3; where it is not given, half the quality does.
    """

    quality: Mapping[str, float]
    seed: int = 1
    position: float = 0.0
    position_spread: float = 0.0
    length: float = 0.0
    taste_spread: float = 0.0
    item_spread: float = 0.0
    leniency_spread: float = 0.3
    tie: float = 0.25
    careless: float = 0.0
    skips: float = 0.0
    flags: float = 0.02
    rated: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    rating_noise: float = 0.7
    hallucinated: Mapping[str, float] = field(default_factory=dict)
    detection: float = 0.8
    false_marks: float = 0.03
    attributed: Mapping[str, float] = field(default_factory=dict)
    borrowed: float = 0.5
    decoyed: float = 0.1
    recognised: float = 0.0

    def draws(self, *parts: object) -> random.Random:
        """A generator of its own for everything named alike, whoever asks and in whatever order."""
        return random.Random(f"{self.seed}/" + "/".join(map(str, parts)))

    def wins(self, arm: str, other: str) -> float:
        """The probability that an annotator without bias prefers `arm`, ties left out."""
        return 1 / (1 + math.exp(self.quality[other] - self.quality[arm]))


@dataclass(frozen=True)
class Shown:
    """What an annotator has in view, and which arms these are: the robot's secret, never the page's."""

    item: str
    left_arm: str
    right_arm: str
    left: str
    right: str

    def sides(self) -> tuple[tuple[str, str, str], tuple[str, str, str]]:
        """Both sides as (side, arm, text)."""
        return ("left", self.left_arm, self.left), ("right", self.right_arm, self.right)


@dataclass(frozen=True)
class Persona:
    """One annotator's own habits, drawn once."""

    position: float
    taste: float
    leniency: float
    speed: float
    careless: bool


def persona(truth: Truth, pid: str) -> Persona:
    """Draw who an annotator is."""
    draw = truth.draws("persona", pid)
    return Persona(
        position=truth.position + draw.gauss(0, truth.position_spread),
        taste=1 + draw.gauss(0, truth.taste_spread),
        leniency=draw.gauss(0, truth.leniency_spread),
        speed=math.exp(draw.gauss(0, 0.4)),
        careless=draw.random() < truth.careless,
    )


def answer_of(truth: Truth, pid: str, shown: Shown, questions: Questions, *, edit: int = 0) -> dict[str, Any]:
    """Draw a complete answer to one item; `edit` counts second thoughts, each drawn anew, none a skip.

    Spans carry no evidence: `judge_evidence` adds it once the instances are known.
    """
    who = persona(truth, pid)
    draw = truth.draws("answer", pid, shown.item, shown.left_arm, shown.right_arm, edit)
    seconds = 20 * who.speed * (1 + (len(shown.left) + len(shown.right)) / 2_000) * math.exp(draw.gauss(0, 0.3))
    answer: dict[str, Any] = {
        "preference": None,
        "strength": None,
        "ratings": {},
        "acceptability": {},
        "spans": marks_of(truth, pid, shown) if questions.spans else [],
        "comment": "",
        "flagged": draw.random() < truth.flags,
        "skip_reason": "",
        "recognised_model": False,
        "recognised_guess": "",
        "reading": {"left": 1.0, "right": 1.0, "first_view_ms": int(seconds * 400)},
        "edit_reason": f"Second thoughts, {edit}" if edit else "",
        "active_ms": int(seconds * 1_000),
        "wall_ms": int(seconds * 1_300),
    }
    if draw.random() < truth.skips and not edit:
        return answer | {"preference": "cannot_judge", "skip_reason": "Nothing I know about.", "spans": []}
    lean = _lean(truth, who, shown, draw)
    answer["preference"] = _preference(truth, shown, lean, draw)
    if questions.strength and answer["preference"] in {"left", "right"}:
        answer["strength"] = 1 + (abs(lean) > 1) + (abs(lean) > 2)
    for side, arm, _ in shown.sides():
        rated = {name: _rating(truth, who, arm, name, draw) for name in questions.names}
        if rated:
            answer["ratings"][side] = rated
        if questions.acceptability:
            answer["acceptability"][side] = truth.quality[arm] + draw.gauss(0, 1) > -0.5
    if questions.recognised == "item" and draw.random() < truth.recognised:
        answer |= {"recognised_model": True, "recognised_guess": draw.choice(["a big one", "the plain one"])}
    return answer


def marks_of(truth: Truth, pid: str, shown: Shown) -> list[dict[str, Any]]:
    """Draw what an annotator marks: planted passages they notice, and now and then one that is none."""
    spans = []
    for side, arm, text in shown.sides():
        draw = truth.draws("marks", pid, shown.item, arm)
        noticed = [place for place in planted(truth, shown.item, arm, text) if draw.random() < truth.detection]
        if draw.random() < truth.false_marks:
            noticed += _places(text, 1, draw)
        for start, end in dict.fromkeys(noticed):
            spans.append(
                {
                    "side": side,
                    "start": start,
                    "end": end,
                    "quote": text[start:end],
                    "type": draw.choice(TYPES),
                    "severity": "major" if draw.random() < 0.4 else "minor",
                    "note": "",
                    "evidence": [],
                    "no_evidence": False,
                }
            )
    return spans


def planted(truth: Truth, item: str, arm: str, text: str) -> list[tuple[int, int]]:
    """Where passages are hallucinated in a response, in code points: the same for everybody who reads it."""
    draw = truth.draws("planted", item, arm)
    return _places(text, _poisson(truth.hallucinated.get(arm, 0.0), draw), draw)


def judge_evidence(
    truth: Truth, pid: str, arm: str, span: dict[str, Any], instances: Iterable[tuple[str, bool]]
) -> dict[str, Any]:
    """Answer the instances beside a span, given as (id, is it a decoy), and return the span with the verdicts."""
    verdicts = []
    for number, (instance, decoy) in enumerate(instances):
        draw = truth.draws("verdict", pid, arm, span["quote"], span["start"], number)
        chance = truth.decoyed if decoy else truth.attributed.get(arm, truth.borrowed)
        verdict = "borrowed" if draw.random() < chance else draw.choice(["similar", "unrelated"])
        verdicts.append({"id": instance, "verdict": verdict})
    none = bool(verdicts) and all(one["verdict"] == "unrelated" for one in verdicts)
    return span | {"evidence": verdicts, "no_evidence": none}


def _lean(truth: Truth, who: Persona, shown: Shown, draw: random.Random) -> float:
    """How much an annotator leans left on one item, in log-odds, chance included."""
    chance = min(max(draw.random(), 1e-9), 1 - 1e-9)
    noise = math.log(chance / (1 - chance))
    if who.careless:
        return noise
    left, right = (
        truth.quality[arm] + truth.draws("item", shown.item, arm).gauss(0, truth.item_spread)
        for arm in (shown.left_arm, shown.right_arm)
    )
    longer = (len(shown.left) - len(shown.right)) / max(1, len(shown.left) + len(shown.right))
    return who.taste * (left - right) + who.position + truth.length * longer + noise


def _preference(truth: Truth, shown: Shown, lean: float, draw: random.Random) -> str:
    if abs(lean) >= truth.tie:
        return "left" if lean > 0 else "right"
    level = (truth.quality[shown.left_arm] + truth.quality[shown.right_arm]) / 2
    return "tie_good" if level + draw.gauss(0, 1) > 0 else "tie_bad"


def _rating(truth: Truth, who: Persona, arm: str, name: str, draw: random.Random) -> int:
    moved = truth.rated.get(arm, {}).get(name, truth.quality[arm] / 2)
    return round(min(5.0, max(1.0, 3 + moved + who.leniency + draw.gauss(0, truth.rating_noise))))


def _places(text: str, number: int, draw: random.Random) -> list[tuple[int, int]]:
    """Draw passages of one to three words, in order; fewer where the text is short."""
    words, at = [], 0
    for word in text.split():
        at = text.index(word, at)
        words.append((at, at + len(word)))
        at += len(word)
    firsts = sorted(draw.sample(range(len(words)), min(number, len(words))))
    return [(words[first][0], words[min(len(words) - 1, first + draw.randrange(3))][1]) for first in firsts]


def _poisson(mean: float, draw: random.Random) -> int:
    number, product, limit = 0, draw.random(), math.exp(-mean)
    while product > limit:
        number, product = number + 1, product * draw.random()
    return number
