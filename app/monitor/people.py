"""The annotators of a study as its monitor shows them: by pseudonym, each with their profile and what is striking."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlmodel import Session, col, select

from app.monitor.exclusions import Person
from app.monitor.facts import GoldResult, Vote, gold_result
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
    """One annotator. `told` is what a researcher is told of how they stopped; `excluded` judgments do not count."""

    pid: str
    state: str
    told: str
    profile: Profile
    gold: GoldResult
    attempts: Attempts | None
    warnings: tuple[str, ...]
    excluded: int


def people_rows(
    session: Session,
    study: Study,
    votes: Sequence[Vote],
    members: Mapping[str, Person],
    lengths: Mapping[str, int],
    excluded: Mapping[str, int],
) -> list[PersonRow]:
    """Describe every annotator, those with warnings first, then in the order they joined."""
    by_person: dict[str, list[Vote]] = {key: [] for key in members}
    for vote in votes:
        by_person[vote.annotator_id].append(vote)
    states = {
        user_id: (str(state), told)
        for user_id, state, told in session.exec(
            select(Membership.user_id, Membership.state, Membership.told).where(Membership.study_id == study.id)
        )
    }
    attempts = _attempts(session, study.id)
    rows = []
    for key, given in by_person.items():
        profile = profile_of(given, lengths)
        gold = gold_result(given)
        warnings = tuple(warnings_of(profile, gold))
        rows.append(
            PersonRow(members[key].pid, *states[key], profile, gold, attempts.get(key), warnings, excluded.get(key, 0))
        )
    return sorted(rows, key=lambda row: not row.warnings)


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


def twins_of(session: Session, study_id: str, votes: Sequence[Vote], members: Mapping[str, Person]) -> list[Twins]:
    """List pseudonyms of a study that may be one person with two accounts."""
    query = select(User.id, User.name, User.email).join(Membership, col(Membership.user_id) == col(User.id))
    accounts = [
        Account(user_id, members[user_id].pid, name, email)
        for user_id, name, email in session.exec(query.where(Membership.study_id == study_id).order_by(Membership.pid))
        if user_id in members
    ]
    return find_twins(accounts, votes)
