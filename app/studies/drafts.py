"""Store a design as a draft, new or changed. What did not change keeps its rows, and so its responses."""

import secrets
from collections.abc import Mapping, Sequence

from sqlmodel import Session, col, delete, select

from app.errors import ConflictError
from app.studies.design import Design, NewArm
from app.studies.generation import refuse_while_generating
from app.studies.guidelines import write_guidelines
from app.studies.known_items import put_known_items
from app.studies.questions import write_questions
from app.studies.workload import drawn_sample
from models import (
    Arm,
    Item,
    ItemKind,
    ItemResponse,
    LeakFlag,
    Pair,
    ResponseFailure,
    Study,
    StudyState,
    WithdrawalPolicy,
)


def save_draft(session: Session, design: Design, *, user_id: str, study: Study | None = None) -> Study:
    """Make a draft of a design, or make a draft that of it.

    Raises ConflictError for an address in use, for a study that was opened, and while responses are being generated.
    """
    _refuse_taken(session, design.slug, study)
    if study is None:
        study = Study(
            slug=design.slug, name=design.name, seed="", created_by=user_id, guidelines=design.guidelines.strip()
        )
    else:
        _refuse_settled(session, study)
    study.seed = design.seed or study.seed or secrets.token_hex(16)
    _put_fields(study, design)
    session.add(study)
    session.flush()
    write_guidelines(session, study, design.guidelines, user_id=user_id)
    arms = _put_arms(session, study, design.arms)
    _put_pairs(session, study, design.pairs, arms)
    if design.prompts is not None:
        put_prompts(session, study, design.prompts, design.strata)
    put_known_items(session, study, design.known_items, user_id=user_id)
    draw_overlaps(session, study, n=design.sample_n, overlap=design.sample_overlap)
    forget_flags(session, study)
    return study


def _refuse_taken(session: Session, slug: str, study: Study | None) -> None:
    taken = session.exec(select(Study.id).where(Study.slug == slug)).first()
    if taken and (study is None or taken != study.id):
        raise ConflictError(f"A study at the address {slug!r} exists already.", remedy="Choose another address.")


def _refuse_settled(session: Session, study: Study) -> None:
    if study.state is not StudyState.DRAFT:
        raise ConflictError("This study was opened, so its design stands.", remedy="Duplicate it to change it.")
    refuse_while_generating(session, study)


def _put_fields(study: Study, design: Design) -> None:
    study.slug, study.name, study.preset = design.slug, design.name, design.preset
    study.questions = write_questions(design.questions)
    study.comprehension = [question.as_column() for question in design.comprehension]
    study.overlap, study.per_annotator, study.repeat_items = design.overlap, design.per_annotator, design.repeat_items
    study.target, study.ends_at, study.allow_holes = design.target, design.ends_at, design.allow_holes
    study.withdrawal, study.completion_code = WithdrawalPolicy(design.withdrawal), design.completion_code


def _put_arms(session: Session, study: Study, wanted: Sequence[NewArm]) -> dict[str, Arm]:
    query = select(Arm).where(Arm.study_id == study.id, col(Arm.special).is_(False))
    stored = {arm.name: arm for arm in session.exec(query)}
    kept: dict[str, Arm] = {}
    for new in wanted:
        arm = stored.pop(new.name, None)
        if arm is None:
            arm = Arm(study_id=study.id, name=new.name, checkpoint=new.checkpoint, decoding=dict(new.decoding))
        elif new.checkpoint != arm.checkpoint or (new.checkpoint and dict(new.decoding) != arm.decoding):
            # Its responses were made otherwise than the study now says.
            _forget_answers(session, arm_id=arm.id)
            arm.checkpoint, arm.decoding = new.checkpoint, dict(new.decoding)
        session.add(arm)
        kept[new.name] = arm
    for gone in stored.values():
        _forget_answers(session, arm_id=gone.id)
        for column in (Pair.first_arm_id, Pair.second_arm_id):
            session.exec(delete(Pair).where(col(column) == gone.id))
        session.delete(gone)
    session.flush()
    return kept


def _forget_answers(session: Session, *, arm_id: str = "", item_id: str = "") -> None:
    for table in (ItemResponse, ResponseFailure):
        place = col(table.arm_id) == arm_id if arm_id else col(table.item_id) == item_id
        session.exec(delete(table).where(place))


def _put_pairs(session: Session, study: Study, wanted: Sequence[tuple[str, str]], arms: dict[str, Arm]) -> None:
    query = select(Pair).where(Pair.study_id == study.id, col(Pair.special).is_(False))
    stored = {frozenset((pair.first_arm_id, pair.second_arm_id)): pair for pair in session.exec(query)}
    for first, second in wanted:
        ids = (arms[first].id, arms[second].id)
        if stored.pop(frozenset(ids), None) is None:
            session.add(Pair(study_id=study.id, first_arm_id=ids[0], second_arm_id=ids[1]))
    for gone in stored.values():
        session.delete(gone)
    session.flush()


def regular_items(session: Session, study: Study) -> list[Item]:
    """List a study's regular items in their order."""
    query = select(Item).where(Item.study_id == study.id, Item.kind == ItemKind.REGULAR)
    return list(session.exec(query.order_by(col(Item.position))))


def put_prompts(session: Session, study: Study, prompts: Sequence[str], strata: Mapping[str, str]) -> None:
    """Make these the study's prompts, in this order and these strata; one that was there keeps its responses."""
    stored = {item.prompt: item for item in regular_items(session, study)}
    if list(stored) != list(prompts):
        stored = _arrange(session, study, prompts, stored)
    for prompt, item in stored.items():
        item.stratum = strata.get(prompt, "")
        session.add(item)
    session.flush()


def _arrange(session: Session, study: Study, prompts: Sequence[str], stored: Mapping[str, Item]) -> dict[str, Item]:
    wanted = set(prompts)
    for gone in [item for prompt, item in stored.items() if prompt not in wanted]:
        _forget_answers(session, item_id=gone.id)
        session.delete(gone)
    everything = session.exec(select(Item).where(Item.study_id == study.id)).all()
    special = sorted((item for item in everything if item.kind is not ItemKind.REGULAR), key=lambda item: item.position)
    # Positions are unique, so all of them step aside first.
    for at, item in enumerate(everything, start=1):
        item.position = -at
        session.add(item)
    session.flush()
    arranged = {}
    for at, prompt in enumerate(prompts, start=1):
        item = stored.get(prompt) or Item(study_id=study.id, position=at, prompt=prompt)
        item.position = at
        session.add(item)
        arranged[prompt] = item
    for at, item in enumerate(special, start=len(prompts) + 1):
        item.position = at
    session.flush()
    return arranged


def draw_overlaps(session: Session, study: Study, *, n: int, overlap: int) -> None:
    """Draw by the study's seed the items that are wanted `overlap` times; the others are wanted as the study says."""
    items = regular_items(session, study)
    drawn = drawn_sample([item.prompt for item in items], seed=study.seed, n=n)
    for item in items:
        item.overlap = overlap if item.prompt in drawn else None
        session.add(item)
    session.flush()


def forget_flags(session: Session, study: Study) -> None:
    """Remove the leak flags of responses that are no longer in a draft, which nobody could decide any more."""
    there = (
        select(ItemResponse.response_id)
        .join(Item, col(Item.id) == col(ItemResponse.item_id))
        .where(Item.study_id == study.id)
    )
    session.exec(delete(LeakFlag).where(col(LeakFlag.study_id) == study.id, col(LeakFlag.response_id).not_in(there)))
    session.flush()
