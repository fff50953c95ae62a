"""Judgments for tests of monitoring and exclusions, put straight into the tables, each at its own moment."""

from datetime import UTC, datetime, timedelta

from sqlmodel import select

from models import (
    Arm,
    Item,
    ItemKind,
    ItemResponse,
    Pair,
    Preference,
    Presentation,
    PresentationState,
    Revision,
    RevisionKind,
)
from models.base import now
from tests.factories import add, make_arm, make_item, make_member, make_pair, make_response, make_user

START = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
SKIPPED = Preference.CANNOT_JUDGE


def person(session, study, number, **over):
    """Add an annotator of a study, called a0000000000N there."""
    pid = f"a{number:011d}"
    user = make_user(session, **{"email": f"person{number}@example.org", "name": f"Person {number}"} | over)
    make_member(session, study=study, user=user, pid=pid)
    return user


def gold(session, study, *, position=100, expected="better", kind=ItemKind.GOLD):
    """Add a gold item; the special arms and their pair are made with the first one."""
    arms = {arm.name: arm for arm in session.exec(select(Arm).where(Arm.study_id == study.id, Arm.special))}
    if not arms:
        arms = {name: make_arm(session, study=study, name=name, special=True) for name in ("better", "worse")}
        pair = make_pair(session, study=study, first=arms["better"], second=arms["worse"])
        pair.special = True
    item = make_item(session, study=study, position=position, prompt=f"Gold {position}", kind=kind, expected=expected)
    for arm in arms.values():
        response = make_response(session, text=f"{arm.name} {position}")
        add(session, ItemResponse(item_id=item.id, arm_id=arm.id, response_id=response.id))
    return item


def shown(session, study, user, item, *, left=None, state=PresentationState.LEASED, at=START, until=None, pair=None):
    """Show an item to somebody, the arm called `left` on the left; in the only pair unless one is given."""
    if pair is None:
        special = item.kind != ItemKind.REGULAR
        pair = session.exec(
            select(Pair).where(Pair.study_id == study.id, Pair.special == special).order_by(Pair.id)
        ).first()
    arms = [session.get_one(Arm, key) for key in (pair.first_arm_id, pair.second_arm_id)]
    if left is not None:
        arms.sort(key=lambda arm: arm.name != left)
    texts = [session.get_one(ItemResponse, (item.id, arm.id)).response_id for arm in arms]
    return add(
        session,
        Presentation(
            study_id=study.id,
            item_id=item.id,
            pair_id=pair.id,
            annotator_id=user.id,
            left_arm_id=arms[0].id,
            right_arm_id=arms[1].id,
            left_response_id=texts[0],
            right_response_id=texts[1],
            side_order_key="0" * 64,
            state=state,
            leased_until=until or at + timedelta(hours=1),
            created_at=at,
        ),
    )


def judge(session, study, user, item, preference, *, left=None, at=START, pair=None, **over):
    """Add a submitted judgment; `over` are fields of its revision."""
    skipped = preference == SKIPPED
    state = PresentationState.SKIPPED if skipped else PresentationState.SUBMITTED
    one = shown(session, study, user, item, left=left, state=state, at=at - timedelta(minutes=1), pair=pair)
    one.submitted_at = at
    values = {
        "number": 1,
        "idempotency_key": "attempt-1",
        "kind": RevisionKind.SUBMITTED,
        "preference": preference,
        "active_ms": 40_000,
        "wall_ms": 60_000,
        "app_version": "0",
        "created_at": at,
        "skip_reason": "too hard" if skipped else "",
    }
    add(session, Revision(presentation_id=one.id, **values | over))
    return one


def items_of(session, study):
    """List a study's regular items in order."""
    query = select(Item).where(Item.study_id == study.id, Item.kind == ItemKind.REGULAR).order_by(Item.position)
    return session.exec(query).all()


def minutes_ago(count):
    """A moment before now, as the pages' clock sees it."""
    return now() - timedelta(minutes=count)
