"""Smaller parts of the monitor: the disagreement queue, blinding, notes and the log, with every id under its name."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from sqlmodel import Session, col, func, select

from app.monitor.columns import ANSWERED, NOBODY, KnownItem, Sheet
from app.monitor.disagreement import TIE, Disputed
from app.monitor.exclusions import Person
from app.monitor.facts import ANSWERS, SKIP
from app.monitor.profile import Share
from app.monitor.votes import aware
from models import Arm, ExitAnswer, Item, Revision, StudyEvent, User

_GUESSES = 12


@dataclass(frozen=True, slots=True)
class ItemName:
    """How an item is called on a page: its number, the start of its prompt, and its kind."""

    position: int
    start: str
    kind: str


@dataclass(frozen=True, slots=True)
class Names:
    """What ids are called on a researcher's page, and what items are."""

    items: Mapping[str, ItemName]
    known: Mapping[str, KnownItem]
    pids: Mapping[str, str]
    arms: Mapping[str, str]
    better_arm_id: str


@dataclass(frozen=True, slots=True)
class Dispute:
    """One entry of the disagreement queue: `outcomes` by name, and each answer as (pid, outcome, presentation id)."""

    item: ItemName
    pair_id: str
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
    start = func.substr(Item.prompt, 1, 80)
    query = select(Item.id, Item.position, start, Item.kind, Item.expected)  # type: ignore[call-overload]
    items, known = {}, {}
    for key, position, prompt, kind, expected in session.exec(query.where(Item.study_id == study_id)):
        items[key] = ItemName(position, prompt, str(kind))
        known[key] = KnownItem(str(kind), expected)
    arms = session.exec(select(Arm.id, Arm.name, Arm.special).where(Arm.study_id == study_id)).all()
    return Names(
        items=items,
        known=known,
        pids={key: person.pid for key, person in members.items()},
        arms={key: name for key, name, _ in arms},
        better_arm_id=next((key for key, name, special in arms if special and name == "better"), ""),
    )


def dispute_rows(queue: Sequence[Disputed], sheet: Sheet, names: Names) -> list[Dispute]:
    """Name what is disputed and by whom."""
    return [
        Dispute(
            item=names.items[one.item_id],
            pair_id=one.pair_id,
            score=one.score,
            outcomes=tuple(sorted((_outcome(arm_id, names), count) for arm_id, count in one.outcomes.items())),
            answers=tuple(sorted(_answered(row, sheet, names) for row in one.rows)),
        )
        for one in queue
    ]


def _outcome(arm_id: str, names: Names) -> str:
    return "tie" if arm_id == TIE else names.arms[arm_id]


def _answered(row: int, sheet: Sheet, names: Names) -> tuple[str, str, str]:
    columns = sheet.columns
    return names.pids[columns.people[columns.who[row]]], answer_words(row, sheet, names), columns.id_of(row)


def answer_words(row: int, sheet: Sheet, names: Names) -> str:
    """Say what was answered: the arm preferred by its name, else the answer in words."""
    columns, chosen = sheet.columns, sheet.chosen[row]
    if chosen != NOBODY:
        return names.arms[columns.arms[chosen]]
    return ANSWERS[ANSWERED[columns.preference[row]]]


def note_rows(session: Session, sheet: Sheet, names: Names, limit: int) -> tuple[list[Note], int]:
    """Name who flagged, commented on or skipped what, newest first, at most `limit`; and how many there are."""
    columns = sheet.columns
    noted = np.flatnonzero(columns.noted)[::-1]
    words = _words(session, {columns.id_of(row): int(columns.number[row]) for row in noted[:limit]})
    return [
        Note(
            presentation_id=columns.id_of(row),
            pid=names.pids[columns.people[columns.who[row]]],
            item=names.items[columns.items[columns.item[row]]],
            flagged=bool(columns.flagged[row]),
            skipped=ANSWERED[columns.preference[row]] == SKIP,
            text=words[columns.id_of(row)],
        )
        for row in noted[:limit]
    ], len(noted)


def _words(session: Session, wanted: Mapping[str, int]) -> dict[str, str]:
    query = select(Revision.presentation_id, Revision.number, Revision.skip_reason, Revision.comment).where(
        col(Revision.presentation_id).in_(wanted)
    )
    return {
        shown: " / ".join(text for text in (skip_reason, comment) if text)
        for shown, number, skip_reason, comment in session.exec(query)
        if number == wanted[shown]
    }


def blinding_of(session: Session, study_id: str, sheet: Sheet) -> Blinding:
    """Count who believes to have recognised a model, and what they guessed."""
    columns = sheet.columns
    said = columns.ids[sheet.judged & columns.recognised].astype(np.str_).tolist()
    guessed = [(columns.guesses[one].strip(), one) for one in said if one in columns.guesses]
    exits = session.exec(select(ExitAnswer).where(ExitAnswer.study_id == study_id)).all()
    guesses, where = Counter(guess for guess, _ in guessed), dict(guessed)
    at_end = Counter(one.recognised_guess.strip() for one in exits if one.recognised_guess.strip())
    return Blinding(
        per_item=Share(len(said), int(np.sum(sheet.judged))),
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
