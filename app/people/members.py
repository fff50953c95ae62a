"""The members of a study as its researcher sees them, by counts and times. For researchers' routes alone."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import Session, col, func, select

from app.judging.check import ATTEMPTS
from app.judging.claims import limit_left
from app.monitor.in_hand import unfinished_of
from app.monitor.kept import judged_columns
from app.monitor.votes import aware
from app.monitor.work import Work, work_of
from app.people.heard import Heard, heard_of
from app.people.rules import Account, Alike, alike, reasons_of
from app.people.seen import seen_of_free
from app.studies.slots import open_slots, places_taken
from models import (
    ComprehensionAttempt,
    Membership,
    MemberState,
    Role,
    Study,
    StudyEvent,
    User,
)

RETURNED = "returned"


@dataclass(frozen=True, slots=True)
class Check:
    """Somebody's tries at the comprehension check. `failed` where none passed and none is left."""

    tries: int
    passed: bool
    right: int
    asked: int
    left: int

    @property
    def failed(self) -> bool:
        """Tell whether they were turned away."""
        return not self.passed and self.left <= 0


@dataclass(frozen=True, slots=True)
class Member:
    """One member. `judged` and `skipped` count regular items; `left` is None for whom nothing is handed out.

    `name` and `email` are empty where the researcher may not see them. `stopped` tells that a researcher did it.
    """

    pid: str
    name: str
    email: str
    guest: bool
    role: str
    state: str
    stopped: bool
    told: str
    joined_at: datetime
    judged: int
    skipped: int
    in_hand: int
    left: int | None
    last_seen: datetime
    last_day: int
    median_s: float | None
    external_id: str
    check: Check | None
    doubts: tuple[str, ...]
    returns: int


@dataclass(frozen=True, slots=True)
class _Study:
    """What every row is put together from, for the researcher `asking`.

    Of what is `free` for anybody, members were handed as much before as `seen` says, by user id.
    """

    study: Study
    asking: User
    done: Mapping[str, Work]
    heard: Heard
    free: int
    seen: Mapping[str, int]
    checks: Mapping[str, Check]
    found: Sequence[Alike]
    returns: Mapping[str, int]


def members_of(session: Session, study: Study, asking: User, now: datetime, *, lease: timedelta) -> list[Member]:
    """List the members of a study in the order they joined, each with their progress and what is doubtful."""
    rows = session.exec(
        select(Membership, User)
        .join(User, col(User.id) == col(Membership.user_id))
        .where(Membership.study_id == study.id)
        .order_by(col(Membership.joined_at), col(Membership.pid))
    ).all()
    slots = [(slot.item_id, slot.pair_id) for slot in open_slots(session, study, (), places_taken(session, study, now))]
    judgments = judged_columns(session, study, unfinished_of(session, study.id).finished)
    free, seen = seen_of_free(session, study, slots, judgments)
    about = _Study(
        study=study,
        asking=asking,
        done=work_of(session, study, judgments, now - timedelta(days=1)),
        heard=heard_of(session, study, [user.id for _, user in rows], now, lease=lease),
        free=free,
        seen=seen,
        checks=_checks(session, study, {member.user_id: member.extra_tries for member, _ in rows}),
        found=_alike(rows),
        returns=_returns(session, study.id),
    )
    return [_member(about, member, user) for member, user in rows]


def _member(about: _Study, member: Membership, user: User) -> Member:
    check, done = about.checks.get(user.id), about.done.get(user.id, Work())
    in_hand, joined = about.heard.in_hand[user.id], aware(member.joined_at)
    works = member.state == MemberState.ACTIVE and not (check and check.failed)
    left, limit = about.free - about.seen.get(user.id, 0), limit_left(about.study, done.answered + in_hand)
    return Member(
        pid=member.pid,
        name="" if user.is_guest else user.name,
        # Who runs a study sees names, as the invitation says; addresses are for those who manage people.
        email=user.email if about.asking.role == Role.OWNER and not user.is_guest else "",
        guest=user.is_guest,
        role=member.role.value,
        state=member.state.value,
        stopped=member.stopped_by is not None,
        told=member.told,
        joined_at=joined,
        judged=done.judged,
        skipped=done.answered - done.judged,
        in_hand=in_hand,
        left=(left if limit is None else min(left, limit)) if works else None,
        last_seen=max(joined, about.heard.last.get(user.id, joined)),
        last_day=done.lately,
        median_s=None if done.median_ms is None else done.median_ms / 1000,
        external_id=member.external_id or "",
        check=check,
        doubts=tuple(reasons_of(member.pid, about.found)),
        returns=about.returns.get(user.id, 0),
    )


def _alike(rows: Sequence[tuple[Membership, User]]) -> list[Alike]:
    pids = {member.user_id: member.pid for member, _ in rows}
    return alike(
        [
            Account(
                pid=member.pid,
                name=user.name,
                email=user.email,
                external_id=member.external_id or "",
                beside=pids.get(member.joined_beside or "", ""),
                guest=user.is_guest,
            )
            for member, user in rows
        ]
    )


def _checks(session: Session, study: Study, extra: Mapping[str, int]) -> dict[str, Check]:
    if not study.comprehension:
        return {}
    tries: dict[str, list[ComprehensionAttempt]] = {user_id: [] for user_id in extra}
    query = select(ComprehensionAttempt).where(ComprehensionAttempt.study_id == study.id)
    for one in session.exec(query.order_by(col(ComprehensionAttempt.number))):
        tries[one.user_id].append(one)
    return {
        user_id: Check(
            tries=len(own),
            passed=any(one.passed for one in own),
            right=own[-1].right if own else 0,
            asked=len(study.comprehension),
            left=ATTEMPTS + extra[user_id] - len(own),
        )
        for user_id, own in tries.items()
    }


def _returns(session: Session, study_id: str) -> Counter[str]:
    query = (
        select(StudyEvent.user_id, func.count())
        .where(StudyEvent.study_id == study_id, StudyEvent.action == RETURNED)
        .group_by(col(StudyEvent.user_id))
    )
    return Counter({user_id: number for user_id, number in session.exec(query) if user_id})
