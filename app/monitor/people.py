"""The annotators of a study as its monitor shows them: by pseudonym, each with their profile and what is striking."""

from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
from sqlmodel import Session, col, select

from app.monitor.columns import Columns
from app.monitor.described import Described, Meaning, described, nothing
from app.monitor.places import Part, part_of
from app.monitor.standing import Standing
from app.monitor.twins import Account, Twins, find_twins
from models import ComprehensionAttempt, Membership, Study, User

PEOPLE = 40
# Gone with the columns, of which there are new ones with every judgment.
_compared: WeakKeyDictionary[Columns, tuple[list[Account], Meaning, list[Twins]]] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class Attempts:
    """Somebody's tries at the comprehension check, and the right answers of the last."""

    number: int
    passed: bool
    right: int
    asked: int


@dataclass(frozen=True, slots=True)
class PersonRow:
    """One annotator. `told` is what a researcher is told of how they stopped; `excluded` judgments do not count."""

    pid: str
    state: str
    told: str
    how: Described
    attempts: Attempts | None
    excluded: int


def people_part(session: Session, study: Study, standing: Standing, page: int) -> Part[PersonRow]:
    """Describe a page of the annotators, those with warnings first, then in the order they joined."""
    sheet, members = standing.sheet, standing.members
    known, idle = described(study.id, sheet, standing.meaning), nothing(sheet)
    everybody = sorted(members, key=lambda key: not known.get(key, idle).warnings)
    part = part_of(everybody, page, PEOPLE)
    states = {
        user_id: (str(state), told)
        for user_id, state, told in session.exec(
            select(Membership.user_id, Membership.state, Membership.told).where(
                Membership.study_id == study.id, col(Membership.user_id).in_(part.rows)
            )
        )
    }
    attempts = _attempts(session, study.id, part.rows)
    columns = sheet.columns
    counts = np.bincount(columns.who[standing.out], minlength=len(columns.people)).tolist()
    excluded = dict(zip(columns.people, counts, strict=True))
    rows = [
        PersonRow(members[key].pid, *states[key], known.get(key, idle), attempts.get(key), excluded.get(key, 0))
        for key in part.rows
    ]
    return Part(rows, part.page, part.pages, part.number)


def _attempts(session: Session, study_id: str, people: Sequence[str]) -> dict[str, Attempts]:
    query = (
        select(ComprehensionAttempt)
        .where(ComprehensionAttempt.study_id == study_id, col(ComprehensionAttempt.user_id).in_(people))
        .order_by(col(ComprehensionAttempt.number))
    )
    found: dict[str, Attempts] = {}
    for one in session.exec(query):
        before = found.get(one.user_id)
        passed = one.passed or (before is not None and before.passed)
        found[one.user_id] = Attempts(one.number, passed, one.right, len(one.answers))
    return found


def twins_of(session: Session, study: Study, standing: Standing) -> list[Twins]:
    """List pseudonyms of a study that may be one person; compared again only where a judgment or an account changed."""
    query = select(User.id, User.name, User.email).join(Membership, col(Membership.user_id) == col(User.id))
    accounts = [
        Account(user_id, standing.members[user_id].pid, name, email)
        for user_id, name, email in session.exec(query.where(Membership.study_id == study.id).order_by(Membership.pid))
        if user_id in standing.members
    ]
    columns = standing.sheet.columns
    known = _compared.get(columns)
    if known is not None and known[:2] == (accounts, standing.meaning):
        return known[2]
    found = find_twins(accounts, standing.sheet)
    _compared[columns] = (accounts, standing.meaning, found)
    return found
