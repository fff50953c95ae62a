"""Loading what decides whether a study may open, and who is there to judge it."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, and_, or_
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, func, select

from app.leaks.scanning import unscanned
from app.studies.coverage import missing_responses
from app.studies.generation_rules import is_lost, utc
from app.studies.opening import Condition, Facts, KnownState, Recruited, gates, hints
from app.studies.questions import read_questions
from app.studies.workload import Workload, workload
from models import (
    Arm,
    GenerationRun,
    GenerationState,
    ImportState,
    Invite,
    Item,
    ItemKind,
    ItemResponse,
    LeakDecision,
    LeakFlag,
    Membership,
    MemberState,
    Pair,
    Role,
    Study,
    TuningSet,
    User,
)


def checklist(session: Session, study: Study, now: datetime) -> tuple[Condition, ...]:
    """List every condition of opening a study, gates first; invites count while they can be used at `now`."""
    return (*gates(facts_of(session, study, now)), *hints(_recruited(session, study, now), _work(session, study)))


def facts_of(session: Session, study: Study, now: datetime) -> Facts:
    """Load what the gates look at; a run counts as generating while it gives signs of life."""
    arms = session.exec(
        select(Arm.name).where(Arm.study_id == study.id, col(Arm.special).is_(False)).order_by(Arm.name)
    ).all()
    return Facts(
        slug=study.slug,
        prompts=_regular(session, study.id),
        arms=arms,
        pairs=_pairs(session, study.id),
        responses=_responses(session, study.id),
        holes=[f"item {hole.position} from {hole.arm}" for hole in missing_responses(session, study.id)],
        generating=_generating(session, study.id, now),
        allow_holes=study.allow_holes,
        can_be_shown=_can_be_shown(session, study.id),
        unscanned=unscanned(session, study.id),
        flags=_flags(session, study.id),
        undecided=_flags(session, study.id, col(LeakFlag.decision) == LeakDecision.UNDECIDED),
        guidelines=bool(study.guidelines.strip()),
        guideline_version=study.guideline_version,
        known=_known(session, study.id),
        comprehension=study.comprehension,
        evidence_ready=_evidence_ready(session, study),
    )


def _regular(session: Session, study_id: str) -> int:
    query = select(func.count()).select_from(Item).where(Item.study_id == study_id, Item.kind == ItemKind.REGULAR)
    return session.exec(query).one()


def _pairs(session: Session, study_id: str) -> list[str]:
    first, second = aliased(Arm), aliased(Arm)
    query = (
        select(first.name, second.name)
        .select_from(Pair)
        .join(first, col(first.id) == col(Pair.first_arm_id))
        .join(second, col(second.id) == col(Pair.second_arm_id))
        .where(Pair.study_id == study_id, col(Pair.special).is_(False))
        .order_by(first.name, second.name)
    )
    return [f"{one} against {other}" for one, other in session.exec(query)]


def _responses(session: Session, study_id: str) -> int:
    query = (
        select(func.count())
        .select_from(ItemResponse)
        .join(Item, col(Item.id) == col(ItemResponse.item_id))
        .join(Arm, col(Arm.id) == col(ItemResponse.arm_id))
        .where(Item.study_id == study_id, Item.kind == ItemKind.REGULAR, col(Arm.special).is_(False))
    )
    return session.exec(query).one()


def _generating(session: Session, study_id: str, now: datetime) -> bool:
    running = select(GenerationRun.touched_at).where(
        GenerationRun.study_id == study_id, GenerationRun.state == GenerationState.RUNNING
    )
    return any(not is_lost(utc(touched_at), now) for touched_at in session.exec(running))


def _can_be_shown(session: Session, study_id: str) -> bool:
    first, second = aliased(ItemResponse), aliased(ItemResponse)
    query = (
        select(Pair.id)
        .join(first, and_(col(first.arm_id) == col(Pair.first_arm_id), col(first.withheld).is_(False)))
        .join(
            second,
            and_(
                col(second.arm_id) == col(Pair.second_arm_id),
                col(second.withheld).is_(False),
                col(second.item_id) == col(first.item_id),
            ),
        )
        .where(Pair.study_id == study_id, col(Pair.special).is_(False))
        .limit(1)
    )
    return session.exec(query).first() is not None


def _flags(session: Session, study_id: str, *where: ColumnElement[bool]) -> int:
    """Count flags on what may be shown: a response that stands in no pair is shown to nobody."""
    shown = or_(col(Pair.first_arm_id) == col(ItemResponse.arm_id), col(Pair.second_arm_id) == col(ItemResponse.arm_id))
    query = (
        select(func.count(col(LeakFlag.id).distinct()))
        .join(ItemResponse, col(ItemResponse.response_id) == col(LeakFlag.response_id))
        .join(Pair, and_(col(Pair.study_id) == study_id, shown))
        .where(LeakFlag.study_id == study_id, *where)
    )
    return session.exec(query).one()


def _known(session: Session, study_id: str) -> list[KnownState]:
    query = (
        select(Item.id, Arm.name)
        .join(ItemResponse, col(ItemResponse.item_id) == col(Item.id))
        .join(Arm, col(Arm.id) == col(ItemResponse.arm_id))
        .where(Item.study_id == study_id, Item.kind != ItemKind.REGULAR, col(Arm.special).is_(True))
    )
    answered: dict[str, set[str]] = {}
    for item_id, arm in session.exec(query):
        answered.setdefault(item_id, set()).add(arm)
    items: Sequence[Item] = session.exec(
        select(Item).where(Item.study_id == study_id, Item.kind != ItemKind.REGULAR).order_by(col(Item.position))
    ).all()
    return [
        KnownState(item.kind.value, item.prompt, item.expected, frozenset(answered.get(item.id, ()))) for item in items
    ]


def _evidence_ready(session: Session, study: Study) -> bool | None:
    evidence = read_questions(study.questions).evidence
    if evidence is None:
        return None
    found = session.get(TuningSet, evidence.set_id)
    return found is not None and found.state == ImportState.READY


def _recruited(session: Session, study: Study, now: datetime) -> Recruited:
    joined = (
        select(func.count())
        .select_from(Membership)
        .join(User, col(User.id) == col(Membership.user_id))
        .where(
            Membership.study_id == study.id,
            Membership.state == MemberState.ACTIVE,
            User.role == Role.ANNOTATOR,
        )
    )
    invited = select(func.count()).where(
        Invite.study_id == study.id,
        Invite.role == Role.ANNOTATOR,
        col(Invite.used_at).is_(None),
        col(Invite.revoked_at).is_(None),
        Invite.expires_at > now,
    )
    return Recruited(
        joined=session.exec(joined).one(),
        invited=session.exec(invited).one(),
        open_link=study.open_link_sha256 is not None,
    )


def _work(session: Session, study: Study) -> Workload:
    own = session.exec(
        select(Item.overlap).where(
            Item.study_id == study.id, Item.kind == ItemKind.REGULAR, col(Item.overlap).is_not(None)
        )
    ).all()
    return workload(
        items=_regular(session, study.id),
        pairs=len(_pairs(session, study.id)),
        overlap=study.overlap,
        sample_n=len(own),
        sample_overlap=max((overlap for overlap in own if overlap is not None), default=0),
        per_annotator=study.per_annotator,
        repeat_items=study.repeat_items,
    )
