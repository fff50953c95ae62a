"""The annotator's desk: where they stand in each of their studies. Counts only, nothing of sides or other people."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlmodel import Session, col, select

from app.judging.check import CheckStanding, standing
from app.judging.claims import gold_left, limit_left, may_hold, practice_left, regular_done
from app.judging.queries import DONE, done_tokens
from app.studies.slots import Handed, handed_to, held_by_others, kinds_of, open_slots, places_taken
from models import ExitAnswer, ItemKind, Membership, MemberState, Study, StudyState, User, WithdrawalPolicy


class Step(StrEnum):
    """What an annotator does next in a study, or why there is nothing to do."""

    GUIDELINES = "guidelines"
    CHECK = "check"
    ITEM = "item"
    WAIT = "wait"
    DONE = "done"
    NOTHING = "nothing"
    BREAK = "break"
    STOPPED = "stopped"
    WITHDRAWN = "withdrawn"
    TURNED_AWAY = "turned away"
    PAUSED = "paused"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Desk:
    """A study as its annotator finds it: what is done, in hand and free, and what comes next.

    `held` of the items that others have in hand would be free if they gave them back, the first at `held_until`.
    `practice_left` are of the free ones. `keeps_work` says what becomes of judgments when the person withdraws. Where a
    researcher `stopped` them, `told` is what they wrote about it.
    """

    study_id: str
    name: str
    guidelines: str
    guidelines_changed: bool
    state: StudyState
    step: Step
    done: int
    in_hand: str
    free: int
    practice_left: int
    held: int
    held_until: datetime | None
    last_done: str
    check: CheckStanding
    limit: int | None
    keeps_work: bool
    completion_code: str
    exit_question: bool
    stopped: bool
    told: str

    @property
    def total(self) -> int:
        """Items this annotator has done or could still do."""
        return self.done + self.free + bool(self.in_hand)


def desks_of(session: Session, annotator: User, now: datetime) -> list[Desk]:
    """List the studies an annotator belongs to, drafts left out, those with work first."""
    studies = session.exec(
        select(Study)
        .join(Membership, col(Membership.study_id) == col(Study.id))
        .where(Membership.user_id == annotator.id, Study.state != StudyState.DRAFT)
        .order_by(col(Membership.joined_at), col(Study.id))
    ).all()
    desks = [desk(session, study, annotator, now) for study in studies]
    return sorted(desks, key=lambda one: (one.state != StudyState.OPEN, not (one.in_hand or one.free)))


def desk(session: Session, study: Study, annotator: User, now: datetime) -> Desk:
    """Tell an annotator where they stand in a study: counts only, nothing of sides or of other people's answers."""
    member = session.get_one(Membership, (study.id, annotator.id))
    done = done_tokens(session, study.id, annotator.id)
    left = _left(session, study, member, now)
    in_hand, regular = left.in_hand, left.regular
    check = standing(session, study, annotator.id)
    waits = not (regular or in_hand or left.full)
    held, until = held_by_others(session, study, annotator.id, now) if waits else (0, None)
    work = bool(in_hand or regular)
    step = _step(study, member, check, work=work, waiting=until is not None, done=len(done))
    if step == Step.GUIDELINES and in_hand and check.passed:
        step = Step.ITEM
    over = step in {Step.DONE, Step.CLOSED} or (step == Step.PAUSED and not work and until is None)
    finished = over and bool(done) and member.stopped_by is None
    return Desk(
        study_id=study.id,
        name=study.name,
        guidelines=study.guidelines,
        guidelines_changed=0 < member.guideline_seen < study.guideline_version,
        state=study.state,
        step=step,
        done=len(done),
        in_hand=in_hand[0] if in_hand else "",
        free=left.free,
        practice_left=left.practice,
        held=held,
        held_until=until,
        last_done=done[-1] if done else "",
        check=check,
        limit=study.per_annotator,
        keeps_work=study.withdrawal == WithdrawalPolicy.KEEP,
        completion_code=study.completion_code if finished else "",
        exit_question=finished and _asks_now(study) and not _has_answered(session, study.id, annotator.id),
        stopped=member.stopped_by is not None,
        told=member.told if member.stopped_by is not None else "",
    )


def work_left(session: Session, study: Study, annotator: User, now: datetime) -> int:
    """Count the items an annotator has in hand or could still do."""
    left = _left(session, study, session.get_one(Membership, (study.id, annotator.id)), now)
    return left.free + bool(left.in_hand)


@dataclass(frozen=True, slots=True)
class _Left:
    """What an annotator has in hand and could have besides; `full` where the study's limit is reached."""

    in_hand: list[str]
    practice: int
    regular: int
    gold: int
    full: bool

    @property
    def free(self) -> int:
        return self.practice + self.regular + self.gold + max(0, len(self.in_hand) - 1)


def _left(session: Session, study: Study, member: Membership, now: datetime) -> _Left:
    own = handed_to(session, study.id, member.user_id)
    kinds = kinds_of(session, study.id)
    limit = limit_left(study, regular_done(own, kinds))
    regular = 0 if limit == 0 else _free_regular(session, study, own, limit, now)
    has_gold = bool(regular) and ItemKind.GOLD in kinds.values()
    return _Left(
        in_hand=[one.id for one in own if one.state not in DONE and may_hold(session, one, study, now)],
        practice=len(practice_left(session, study.id, own)) if ItemKind.PRACTICE in kinds.values() else 0,
        regular=regular,
        gold=len(gold_left(session, study, member, own)) if has_gold else 0,
        full=limit == 0,
    )


def _free_regular(session: Session, study: Study, own: Sequence[Handed], limit: int | None, now: datetime) -> int:
    slots = open_slots(session, study, own, places_taken(session, study, now))
    # One prompt in several pairs is judged once, unless the study says otherwise.
    free = len(slots) if study.repeat_items else len({slot.item_id for slot in slots})
    return free if limit is None else min(free, limit)


def _step(study: Study, member: Membership, check: CheckStanding, *, work: bool, waiting: bool, done: int) -> Step:
    stops = {
        Step.WITHDRAWN: member.state == MemberState.WITHDRAWN,
        Step.CLOSED: study.state == StudyState.CLOSED,
        Step.STOPPED: member.state == MemberState.PAUSED and bool(member.told),
        Step.BREAK: member.state == MemberState.PAUSED,
        Step.PAUSED: study.state == StudyState.PAUSED,
        Step.TURNED_AWAY: check.failed,
    }
    for step, found in stops.items():
        if found:
            return step
    if not work:
        return Step.WAIT if waiting else Step.DONE if done else Step.NOTHING
    if not check.passed:
        return Step.CHECK if member.guideline_seen or not study.guidelines else Step.GUIDELINES
    return Step.ITEM if done or member.guideline_seen or not study.guidelines else Step.GUIDELINES


def _asks_now(study: Study) -> bool:
    # A closed study takes no answer any more, and nobody's code may wait for one.
    return study.questions.get("recognised") == "end" and study.state != StudyState.CLOSED


def _has_answered(session: Session, study_id: str, annotator_id: str) -> bool:
    return session.get(ExitAnswer, (study_id, annotator_id)) is not None
