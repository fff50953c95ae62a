"""A study for robots to judge: items, arms, pairs and responses, the same rows for the same seed."""

import hashlib
import random
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from sqlalchemy import insert
from sqlmodel import Session, col, select

from app.studies.questions import Questions, write_questions
from models import Arm, Item, ItemResponse, Membership, Pair, Response, Role, Study, StudyState, User

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
CHUNK = 2_000
_WORDS = """the kettle boils water when steam rises from a coil under its lid and the lever tips back so that current
stops flowing while scale of chalk slows it down in hard water over years of use by families in cold kitchens"""


def opaque(*parts: object) -> str:
    """An id as the app draws them, but the same for the same parts."""
    return hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()[:16]


def build_study(
    session: Session,
    *,
    owner: User,
    arms: Sequence[str] = ("base", "lft", "sft"),
    items: int = 40,
    words: Mapping[str, int] | None = None,
    questions: Questions | None = None,
    seed: str = "seed-1",
    slug: str = "simulated",
    strata: Sequence[str] = (),
    **over: Any,
) -> Study:
    """Add an open study of `items` prompts, every pair of `arms`, and a response of about `words[arm]` words each.

    `strata` take turns.
    """
    values: dict[str, Any] = {
        "id": opaque("study", seed, slug),
        "slug": slug,
        "name": slug.capitalize(),
        "seed": seed,
        "state": StudyState.OPEN,
        "questions": write_questions(questions) if questions else {},
        "guidelines": "Judge what is written, not how long it is.",
        "created_by": owner.id,
        "created_at": START,
    }
    study = Study(**values | over)
    session.add(study)
    session.flush()
    names = {opaque("arm", study.id, name): name for name in arms}
    ids = list(names)
    greedy = {"max_tokens": 64, "temperature": 0.0, "seed": 0}
    rows = [{"id": key, "study_id": study.id, "name": name, "checkpoint": name} for key, name in names.items()]
    add_rows(session, Arm, (row | {"decoding": greedy} for row in rows))
    pairs = [(first, second) for at, first in enumerate(ids) for second in ids[at + 1 :]]
    add_rows(
        session,
        Pair,
        (
            {"id": opaque("pair", *pair), "study_id": study.id, "first_arm_id": pair[0], "second_arm_id": pair[1]}
            for pair in pairs
        ),
    )
    add_rows(session, Item, (_item(study, position, strata) for position in range(1, items + 1)))
    asked = [(_item(study, position, strata), key) for position in range(1, items + 1) for key in names]
    lengths = words or {}
    add_rows(
        session, Response, (_response(study, item, names[key], lengths.get(names[key], 30)) for item, key in asked)
    )
    add_rows(
        session,
        ItemResponse,
        (
            {"item_id": item["id"], "arm_id": key, "response_id": opaque("response", item["id"], names[key])}
            for item, key in asked
        ),
    )
    return study


def add_annotators(session: Session, study: Study, number: int) -> list[Membership]:
    """Add people who joined the study, called a00000000001 and so on there."""
    values = [
        {"id": opaque("user", study.id, at), "email": f"{study.slug}-{at}@example.org", "name": f"Person {at}"}
        for at in range(1, number + 1)
    ]
    add_rows(session, User, (one | {"role": Role.ANNOTATOR, "created_at": START} for one in values))
    joined = [
        {"study_id": study.id, "user_id": one["id"], "pid": f"a{at:011d}", "joined_at": START, "guideline_seen": 1}
        for at, one in enumerate(values, start=1)
    ]
    add_rows(session, Membership, iter(joined))
    return list(session.exec(select(Membership).where(Membership.study_id == study.id).order_by(col(Membership.pid))))


def add_rows(session: Session, table: Any, rows: Iterator[dict[str, Any]]) -> None:
    """Write rows of a table in chunks."""
    while chunk := list(islice(rows, CHUNK)):
        session.execute(insert(table), chunk)


def _item(study: Study, position: int, strata: Sequence[str]) -> dict[str, Any]:
    key = opaque("item", study.id, position)
    stratum = strata[position % len(strata)] if strata else ""
    prompt = f"Question {position}: why?"
    return {"id": key, "study_id": study.id, "position": position, "prompt": prompt, "stratum": stratum}


def _response(study: Study, item: dict[str, Any], arm: str, words: int) -> dict[str, Any]:
    draw = random.Random(f"{study.seed}/{item['position']}/{arm}")
    number = max(1, round(words * draw.uniform(0.7, 1.3)))
    # The number keeps every text of a study different, so that a text tells its arm to a robot.
    text = f"{draw.randrange(10**9):09d} " + " ".join(draw.choices(_WORDS.split(), k=number)) + "."
    return {
        "id": opaque("response", item["id"], arm),
        "checkpoint": arm,
        "prompt": item["prompt"],
        "prompt_ids": [80],
        "text": text,
        "text_sha256": hashlib.sha256(text.encode()).hexdigest(),
        "token_ids": [],
        "finish": "stop",
        "run": {"engine": "simulated"},
        "created_at": START,
    }
