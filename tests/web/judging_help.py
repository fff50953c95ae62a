"""What tests of judging send and look up; plain functions over a client."""

import itertools
import json

from app.studies.questions import FIVE_DIMENSIONS

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


def take(client, study):
    """Ask for the next item; its token, or None when there is none."""
    answer = client.post("/judge/next", data={"study_id": study.id})
    assert answer.status_code == 303, answer.text
    place = answer.headers["location"]
    return None if place == "/judge?stay" else place.removeprefix("/judge/")


def page_data(client, token):
    """The texts and the saved answer that the page's script starts from."""
    from bs4 import BeautifulSoup  # noqa: PLC0415

    page = client.get(f"/judge/{token}")
    assert page.status_code == 200, page.text
    return json.loads(BeautifulSoup(page.text, "html.parser").select_one("#judging")["data-item"])
