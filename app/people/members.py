"""The members of a study as its researcher sees them, by counts and times. For researchers' routes alone."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import Session, col, func, select

from app.judging.check import ATTEMPTS
from app.judging.claims import limit_left
from app.monitor.votes import aware
from app.monitor.work import Work, work_of
from app.people.rules import Account, Alike, alike, left_for, reasons_of
from app.studies.slots import open_slots, places_taken
from models import (
    ComprehensionAttempt,
    Membership,
    MemberState,
    Presentation,
    PresentationState,
    Revision,
    Role,
    Study,
    StudyEvent,
    User,
)

RETURNED = "returned"
_AT_ONCE = 5_000


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
class _Work:
    """What all members did, by user id."""

    done: Mapping[str, Work]
    in_hand: Mapping[str, int]
    seen: Mapping[str, set[tuple[str, str]]]
    last_seen: Mapping[str, datetime]


@dataclass(frozen=True, slots=True)
class _Study:
    """What every row is put together from: the study as of `now`, for the researcher `asking`."""

    study: Study
    asking: User
    now: datetime
    work: _Work
    slots: Sequence[tuple[str, str]]
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
    about = _Study(
        study=study,
        asking=asking,
        now=now,
        work=_work(session, study, now, lease=lease, items={item_id for item_id, _ in slots}),
        slots=slots,
        checks=_checks(session, study, {member.user_id: member.extra_tries for member, _ in rows}),
        found=_alike(rows),
        returns=_returns(session, study.id),
    )
    return [_member(about, member, user) for member, user in rows]


def _member(about: _Study, member: Membership, user: User) -> Member:
    work, check = about.work, about.checks.get(user.id)
    done = work.done.get(user.id, Work())
    in_hand, joined = work.in_hand.get(user.id, 0), aware(member.joined_at)
    works = member.state == MemberState.ACTIVE and not (check and check.failed)
    left = left_for(
        about.slots,
        work.seen.get(user.id, set()),
        limit=limit_left(about.study, done.answered + in_hand),
        repeat_items=about.study.repeat_items,
    )
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
        left=left if works else None,
        last_seen=max(joined, work.last_seen.get(user.id, joined)),
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


def _work(session: Session, study: Study, now: datetime, *, lease: timedelta, items: set[str]) -> _Work:
    """Gather what members did; of what they have seen, `items` alone."""
    in_hand = Counter[str]()
    last: dict[str, datetime] = {}

    def saw(user_id: str, moment: datetime) -> None:
        last[user_id] = max(aware(moment), last.get(user_id, aware(moment)))

    leased = select(Presentation.annotator_id, Presentation.leased_until).where(
        Presentation.study_id == study.id, Presentation.state == PresentationState.LEASED
    )
    for user_id, until in session.exec(leased):
        if aware(until) > now:
            in_hand[user_id] += 1
            # An open page renews its lease, so its end tells when the page was last heard of.
            saw(user_id, min(aware(until) - lease, now))
    handed = (
        select(Presentation.annotator_id, func.max(Presentation.created_at))
        .where(Presentation.study_id == study.id)
        .group_by(col(Presentation.annotator_id))
    )
    saved = (
        select(Presentation.annotator_id, func.max(Revision.created_at))
        .join(Revision, col(Revision.presentation_id) == col(Presentation.id))
        .where(Presentation.study_id == study.id)
        .group_by(col(Presentation.annotator_id))
    )
    tried = (
        select(ComprehensionAttempt.user_id, func.max(ComprehensionAttempt.created_at))
        .where(ComprehensionAttempt.study_id == study.id)
        .group_by(col(ComprehensionAttempt.user_id))
    )
    for query in (handed, saved, tried):
        for user_id, moment in session.exec(query):
            saw(user_id, moment)
    done = work_of(session, study, now - timedelta(days=1))
    return _Work(done, in_hand, _seen(session, study.id, items), last)


def _seen(session: Session, study_id: str, items: set[str]) -> dict[str, set[tuple[str, str]]]:
    seen: dict[str, set[tuple[str, str]]] = {}
    if not items:
        return seen
    query = select(Presentation.annotator_id, Presentation.item_id, Presentation.pair_id).where(
        Presentation.study_id == study_id
    )
    for user_id, item_id, pair_id in session.exec(query.execution_options(yield_per=_AT_ONCE)):
        if item_id in items:
            seen.setdefault(user_id, set()).add((item_id, pair_id))
    return seen


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
