"""Practice and gold items of a draft: texts under the arms `better` and `worse`, and the answer that is expected."""

from collections.abc import Sequence

from sqlalchemy import select as select_columns
from sqlmodel import Session, SQLModel, col, delete, func, select

from app.studies.design import SPECIAL_ARMS, KnownItem
from app.studies.given import add_given
from models import Arm, Item, ItemKind, ItemResponse, LeakFlag, Pair, Response, Study


def known_items(session: Session, study: Study) -> list[KnownItem]:
    """Read a study's practice and gold items, in their order."""
    return [known for _, known in _stored(session, study)]


def put_known_items(session: Session, study: Study, wanted: Sequence[KnownItem], *, user_id: str) -> None:
    """Make these the study's practice and gold items; the special arms and their pair come and go with them.

    What an item no longer says is gone with it: its texts were written for it alone.
    """
    stored = {known: item for item, known in _stored(session, study)}
    if list(stored) == list(wanted):
        return
    for gone in [item for known, item in stored.items() if known not in set(wanted)]:
        _remove(session, study, gone)
    session.flush()
    if not wanted:
        _remove_arms(session, study)
        return
    arms = _special_arms(session, study)
    last = session.exec(select(func.max(Item.position)).where(Item.study_id == study.id)).one() or 0
    for at, known in enumerate(wanted, start=last + 1):
        item = stored.get(known)
        if item is None:
            _add(session, study, known, at, arms, user_id)
        else:
            item.position = at
            session.add(item)
    session.flush()


def _add(session: Session, study: Study, known: KnownItem, at: int, arms: dict[str, Arm], user_id: str) -> None:
    item = Item(
        study_id=study.id,
        position=at,
        prompt=known.prompt,
        kind=ItemKind(known.kind),
        expected=known.expected,
        why=known.why,
    )
    session.add(item)
    texts = {"better": known.better, "worse": known.worse}
    given = {
        name: add_given(session, prompt=known.prompt, text=text, run={"source": f"{known.kind} item"}, user_id=user_id)
        for name, text in texts.items()
    }
    session.flush()
    for name, response in given.items():
        session.add(ItemResponse(item_id=item.id, arm_id=arms[name].id, response_id=response.id))


def _remove(session: Session, study: Study, item: Item) -> None:
    """Remove an item, its responses and what was found in them; a response that anything else refers to stays."""
    texts = session.exec(select(ItemResponse.response_id).where(ItemResponse.item_id == item.id)).all()
    session.exec(delete(ItemResponse).where(col(ItemResponse.item_id) == item.id))
    session.delete(item)
    session.exec(delete(LeakFlag).where(col(LeakFlag.study_id) == study.id, col(LeakFlag.response_id).in_(texts)))
    session.flush()
    unused = set(texts) - _referred_to(session, texts)
    session.exec(delete(Response).where(col(Response.id).in_(unused)))


def _referred_to(session: Session, response_ids: Sequence[str]) -> set[str]:
    """Those of these responses that any table refers to."""
    columns = [
        column
        for table in SQLModel.metadata.sorted_tables
        for column in table.columns
        if any(key.column.table.name == Response.__tablename__ for key in column.foreign_keys)
    ]
    return {
        used for column in columns for used in session.scalars(select_columns(column).where(column.in_(response_ids)))
    }


def _stored(session: Session, study: Study) -> list[tuple[Item, KnownItem]]:
    query = (
        select(Item, Arm.name, Response.text)
        .join(ItemResponse, col(ItemResponse.item_id) == col(Item.id))
        .join(Arm, col(Arm.id) == col(ItemResponse.arm_id))
        .join(Response, col(Response.id) == col(ItemResponse.response_id))
        .where(Item.study_id == study.id, Item.kind != ItemKind.REGULAR, col(Arm.special).is_(True))
        .order_by(col(Item.position))
    )
    texts: dict[str, dict[str, str]] = {}
    items: dict[str, Item] = {}
    for item, arm, text in session.exec(query):
        items[item.id] = item
        texts.setdefault(item.id, {})[arm] = text
    return [
        (item, KnownItem(item.kind.value, item.prompt, both["better"], both["worse"], item.expected, item.why))
        for item, both in ((items[item_id], both) for item_id, both in texts.items())
    ]


def _special_arms(session: Session, study: Study) -> dict[str, Arm]:
    query = select(Arm).where(Arm.study_id == study.id, col(Arm.special).is_(True))
    arms = {arm.name: arm for arm in session.exec(query)}
    if not arms:
        arms = {
            name: Arm(study_id=study.id, name=name, checkpoint="", decoding={}, special=True) for name in SPECIAL_ARMS
        }
        session.add_all(arms.values())
        session.flush()
        first, second = (arms[name].id for name in SPECIAL_ARMS)
        session.add(Pair(study_id=study.id, first_arm_id=first, second_arm_id=second, special=True))
        session.flush()
    return arms


def _remove_arms(session: Session, study: Study) -> None:
    session.exec(delete(Pair).where(col(Pair.study_id) == study.id, col(Pair.special).is_(True)))
    session.exec(delete(Arm).where(col(Arm.study_id) == study.id, col(Arm.special).is_(True)))
    session.flush()
