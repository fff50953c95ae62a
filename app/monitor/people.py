"""The annotators of a study as its monitor shows them: by pseudonym, each with their profile and what is striking."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from sqlmodel import Session, col, select

from app.monitor.columns import Bools, Columns, Ints, Sheet
from app.monitor.exclusions import Person
from app.monitor.facts import GoldResult
from app.monitor.profile import Profile, profile_of, warnings_of
from app.monitor.twins import Account, Twins, find_twins
from models import ComprehensionAttempt, Membership, Study, User


@dataclass(frozen=True, slots=True)
class Attempts:
    """Somebody's tries at the comprehension check, and the right answers of the last."""

    number: int
    passed: bool
    right: int
    asked: int


@dataclass(frozen=True, slots=True)
class PersonRow:
    """One annotator. `told` is what a researcher is told of how they stopped; `excluded` judgments do not count.

    `gold_wrong` are gold items answered otherwise than expected, as (presentation id, item id).
    """

    pid: str
    state: str
    told: str
    profile: Profile
    gold: GoldResult
    gold_wrong: tuple[tuple[str, str], ...]
    attempts: Attempts | None
    warnings: tuple[str, ...]
    excluded: int


def people_rows(
    session: Session, study: Study, sheet: Sheet, members: Mapping[str, Person], out: Bools
) -> list[PersonRow]:
    """Describe every annotator, those with warnings first, then in the order they joined."""
    states = {
        user_id: (str(state), told)
        for user_id, state, told in session.exec(
            select(Membership.user_id, Membership.state, Membership.told).where(Membership.study_id == study.id)
        )
    }
    attempts = _attempts(session, study.id)
    rows = []
    for key, own in rows_by_person(sheet.columns, members).items():
        profile, gold = profile_of(sheet, own), _gold(sheet, own)
        rows.append(
            PersonRow(
                members[key].pid,
                *states[key],
                profile,
                gold,
                _gold_wrong(sheet, own),
                attempts.get(key),
                tuple(warnings_of(profile, gold)),
                int(np.sum(out[own])),
            )
        )
    return sorted(rows, key=lambda row: not row.warnings)


def rows_by_person(columns: Columns, members: Iterable[str]) -> dict[str, Ints]:
    """Find everybody's rows, oldest first; of whoever has judged nothing, none."""
    order = np.argsort(columns.who, kind="stable")
    edges = np.searchsorted(columns.who[order], np.arange(len(columns.people) + 1))
    own = {person: order[edges[at] : edges[at + 1]] for at, person in enumerate(columns.people)}
    return {key: own.get(key, order[:0]) for key in members}


def _gold(sheet: Sheet, own: Ints) -> GoldResult:
    return GoldResult(int(np.sum(sheet.gold[own])), int(np.sum(sheet.right_answer[own])))


def _gold_wrong(sheet: Sheet, own: Ints) -> tuple[tuple[str, str], ...]:
    columns = sheet.columns
    wrong = own[sheet.gold[own] & ~sheet.right_answer[own]]
    return tuple((columns.id_of(row), columns.items[columns.item[row]]) for row in wrong)


def _attempts(session: Session, study_id: str) -> dict[str, Attempts]:
    query = (
        select(ComprehensionAttempt)
        .where(ComprehensionAttempt.study_id == study_id)
        .order_by(col(ComprehensionAttempt.number))
    )
    found: dict[str, Attempts] = {}
    for one in session.exec(query):
        before = found.get(one.user_id)
        passed = one.passed or (before is not None and before.passed)
        found[one.user_id] = Attempts(one.number, passed, one.right, len(one.answers))
    return found


def twins_of(session: Session, study_id: str, sheet: Sheet, members: Mapping[str, Person]) -> list[Twins]:
    """List pseudonyms of a study that may be one person with two accounts."""
    query = select(User.id, User.name, User.email).join(Membership, col(Membership.user_id) == col(User.id))
    accounts = [
        Account(user_id, members[user_id].pid, name, email)
        for user_id, name, email in session.exec(query.where(Membership.study_id == study_id).order_by(Membership.pid))
        if user_id in members
    ]
    return find_twins(accounts, sheet)
