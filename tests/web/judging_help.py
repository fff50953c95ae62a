"""What tests of judging send and look up; plain functions over a client."""

import itertools
import json
from datetime import timedelta

from bs4 import BeautifulSoup
from sqlmodel import func, select

from app.db import writing
from app.studies.questions import FIVE_DIMENSIONS
from models import Arm, Item, ItemKind, ItemResponse, Pair, Presentation, Study
from models.base import now
from tests.factories import add, make_arm, make_item, make_pair, make_response

DIMENSION_NAMES = tuple(dimension.name for dimension in FIVE_DIMENSIONS)
_keys = itertools.count(1)


def an_answer(**over):
    """A complete answer as the page's script would send it."""
    values = {
        "idempotency_key": f"attempt-{next(_keys):06d}",
        "base_revision": 0,
        "preference": "left",
        "ratings": {side: dict.fromkeys(DIMENSION_NAMES, value) for side, value in (("left", 4), ("right", 2))},
        "spans": [],
        "comment": "",
        "flagged": False,
        "skip_reason": "",
        "recognised_model": False,
        "active_ms": 1_000,
        "wall_ms": 2_000,
    }
    return values | over


def a_form(**over):
    """A complete answer as a browser without scripts would send it."""
    ratings = {f"{side}_{name}": "3" for side in ("left", "right") for name in DIMENSION_NAMES}
    return (
        {"idempotency_key": f"attempt-{next(_keys):06d}", "base_revision": "0", "preference": "left"} | ratings | over
    )


def post(client, token, what, answer):
    return client.post(f"/judge/{token}/{what}", json=answer, headers={"Accept": "application/json"})


def change(database, study, **values):
    """Set fields of a study, as nothing in the app could while it is judged."""
    with writing(database) as session:
        for name, value in values.items():
            setattr(session.get_one(Study, study.id), name, value)


def take(client, study):
    """Ask for the next item; its token, or None when there is none."""
    answer = client.post("/judge/next", data={"study_id": study.id})
    assert answer.status_code == 303, answer.text
    place = answer.headers["location"]
    return None if place == "/judge?stay" else place.removeprefix("/judge/")


def page_data(client, token):
    """The texts and the saved answer that the page's script starts from."""
    page = client.get(f"/judge/{token}")
    assert page.status_code == 200, page.text
    return json.loads(BeautifulSoup(page.text, "html.parser").select_one("#judging")["data-item"])


def give_special(session, study, user, *, kind=ItemKind.PRACTICE, expected="better", better="left", why="", **over):
    """Hand somebody a practice or gold item with the better response on the side a test wants; its token."""
    arms = {arm.name: arm for arm in session.exec(select(Arm).where(Arm.study_id == study.id, Arm.special))}
    if not arms:
        arms = {name: make_arm(session, study=study, name=name, special=True) for name in ("better", "worse")}
        make_pair(session, study=study, first=arms["better"], second=arms["worse"])
    last = session.exec(select(func.max(Item.position)).where(Item.study_id == study.id)).one() or 0
    item = make_item(session, study=study, position=last + 1, kind=kind, expected=expected, why=why)
    sides = ("better", "worse") if better == "left" else ("worse", "better")
    values = {"study_id": study.id, "item_id": item.id, "annotator_id": user.id, "side_order_key": "0" * 64}
    values |= {
        "pair_id": session.exec(select(Pair.id).where(Pair.first_arm_id == arms["better"].id)).one(),
        "leased_until": now() + timedelta(hours=1),
    }
    for side, name in zip(("left", "right"), sides, strict=True):
        response = make_response(session, checkpoint=name, text=over.get("text", f"A {name} answer."))
        add(session, ItemResponse(item_id=item.id, arm_id=arms[name].id, response_id=response.id))
        values |= {f"{side}_arm_id": arms[name].id, f"{side}_response_id": response.id}
    return add(session, Presentation(**values)).id
