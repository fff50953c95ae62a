"""Smaller parts of the monitor: the disagreement queue, blinding, notes and the log, with every id under its name."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session, col, select

from app.monitor.disagreement import TIE, Disputed
from app.monitor.exclusions import Person
from app.monitor.facts import ANSWERS, SKIP, Vote
from app.monitor.profile import Share
from app.monitor.votes import aware
from models import Arm, ExitAnswer, Item, StudyEvent, User

_GUESSES = 12


@dataclass(frozen=True, slots=True)
class ItemName:
    """How an item is called on a page: its number, the start of its prompt, and its kind."""

    position: int
    start: str
    kind: str


@dataclass(frozen=True, slots=True)
class Names:
    """What ids are called on a researcher's page."""

    items: Mapping[str, ItemName]
    pids: Mapping[str, str]
    arms: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Dispute:
    """One entry of the disagreement queue: `outcomes` by name, and each answer as (pid, outcome, presentation id)."""

    item: ItemName
    score: float
    outcomes: tuple[tuple[str, int], ...]
    answers: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class Note:
    """A flag, comment or skip: who, on what, in which words."""

    presentation_id: str
    pid: str
    item: ItemName
    flagged: bool
    skipped: bool
    text: str


@dataclass(frozen=True, slots=True)
class Blinding:
    """Whether annotators believe to have recognised a model: per judgment, and when asked at the end.

    `guesses` are (guess, how often, a judgment that says so); `exit_guesses` (guess, how often). Most frequent first.
    """

    per_item: Share
    at_end: Share
    guesses: tuple[tuple[str, int, str], ...]
    exit_guesses: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Event:
    """A line of the study's log."""

    at: datetime
    who: str
    action: str
    detail: str


def names_of(session: Session, study_id: str, members: Mapping[str, Person]) -> Names:
    """Load what everything in a study is called."""
    items = session.exec(select(Item.id, Item.position, Item.prompt, Item.kind).where(Item.study_id == study_id))
    return Names(
        items={key: ItemName(position, prompt[:80], str(kind)) for key, position, prompt, kind in items},
        pids={key: person.pid for key, person in members.items()},
        arms=dict(session.exec(select(Arm.id, Arm.name).where(Arm.study_id == study_id)).all()),
    )


def dispute_rows(queue: Sequence[Disputed], names: Names) -> list[Dispute]:
    """Name what is disputed and by whom."""
    return [
        Dispute(
            item=names.items[one.item_id],
            score=one.score,
            outcomes=tuple(sorted((_outcome(arm_id, names), count) for arm_id, count in one.outcomes.items())),
            answers=tuple(
                sorted(
                    (names.pids[vote.annotator_id], _answer(vote, names), vote.presentation_id) for vote in one.votes
                )
            ),
        )
        for one in queue
    ]


def _outcome(arm_id: str, names: Names) -> str:
    return "tie" if arm_id == TIE else names.arms[arm_id]


def _answer(vote: Vote, names: Names) -> str:
    return names.arms[vote.chosen_arm_id] if vote.chosen_arm_id else ANSWERS[vote.preference]


def note_rows(votes: Sequence[Vote], names: Names) -> list[Note]:
    """Name who flagged, commented on or skipped what."""
    return [
        Note(
            presentation_id=vote.presentation_id,
            pid=names.pids[vote.annotator_id],
            item=names.items[vote.item_id],
            flagged=vote.flagged,
            skipped=vote.preference == SKIP,
            text=" / ".join(text for text in (vote.skip_reason, vote.comment) if text),
        )
        for vote in votes
    ]


def blinding_of(session: Session, study_id: str, votes: Sequence[Vote]) -> Blinding:
    """Count who believes to have recognised a model, and what they guessed."""
    judged = [vote for vote in votes if vote.preference != SKIP]
    said = [vote for vote in judged if vote.recognised]
    where = {vote.guess.strip(): vote.presentation_id for vote in said if vote.guess.strip()}
    exits = session.exec(select(ExitAnswer).where(ExitAnswer.study_id == study_id)).all()
    guesses = Counter(vote.guess.strip() for vote in said if vote.guess.strip())
    at_end = Counter(one.recognised_guess.strip() for one in exits if one.recognised_guess.strip())
    return Blinding(
        per_item=Share(len(said), len(judged)),
        at_end=Share(sum(one.recognised_model for one in exits), len(exits)),
        guesses=tuple((guess, count, where[guess]) for guess, count in _first(guesses)),
        exit_guesses=tuple(_first(at_end)),
    )


def _first(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda one: (-one[1], one[0]))[:_GUESSES]


def event_rows(session: Session, study_id: str, limit: int) -> list[Event]:
    """Load the newest lines of the study's log."""
    query = (
        select(StudyEvent, User.name)
        .outerjoin(User, col(User.id) == col(StudyEvent.user_id))
        .where(StudyEvent.study_id == study_id)
        .order_by(col(StudyEvent.created_at).desc(), col(StudyEvent.id))
        .limit(limit)
    )
    return [
        Event(aware(event.created_at), name or "the app", event.action, event.detail)
        for event, name in session.exec(query)
    ]
