"""Rows for tests: plain functions that add one valid row and let any field be said otherwise."""

import hashlib
from typing import Any

from sqlmodel import Session

from models import (
    Arm,
    ImportState,
    Item,
    ItemResponse,
    Membership,
    Pair,
    Response,
    Role,
    Study,
    StudyState,
    TuningInstance,
    TuningSet,
    TuningSetUse,
    User,
)

PASSWORD = "correct horse battery"


def add(session: Session, row: Any) -> Any:
    session.add(row)
    session.flush()
    return row


def make_user(session: Session, **over: Any) -> User:
    values = {"email": "someone@example.org", "name": "Someone", "role": Role.ANNOTATOR} | over
    return add(session, User(**values))


def make_study(session: Session, *, owner: User, **over: Any) -> Study:
    values = {
        "slug": "kettles",
        "name": "Kettles",
        "seed": "seed-1",
        "state": StudyState.OPEN,
        "created_by": owner.id,
        "guidelines": "Judge what is written, not how long it is.",
    } | over
    return add(session, Study(**values))


def make_member(session: Session, *, study: Study, user: User, pid: str = "a00000000001") -> Membership:
    return add(session, Membership(study_id=study.id, user_id=user.id, pid=pid))


def make_item(session: Session, *, study: Study, position: int = 0, **over: Any) -> Item:
    values = {"study_id": study.id, "position": position, "prompt": f"Prompt {position}"} | over
    return add(session, Item(**values))


def make_arm(session: Session, *, study: Study, name: str = "base", **over: Any) -> Arm:
    decoding = {"max_tokens": 64, "temperature": 0.0, "seed": 0}
    values = {"study_id": study.id, "name": name, "checkpoint": name, "decoding": decoding} | over
    return add(session, Arm(**values))


def make_pair(session: Session, *, study: Study, first: Arm, second: Arm) -> Pair:
    return add(session, Pair(study_id=study.id, first_arm_id=first.id, second_arm_id=second.id))


def make_response(session: Session, *, checkpoint: str = "base", **over: Any) -> Response:
    text = over.get("text", "An answer.")
    values = {
        "checkpoint": checkpoint,
        "prompt": "Prompt 0",
        "prompt_ids": [80],
        "text": text,
        "text_sha256": hashlib.sha256(text.encode()).hexdigest(),
        "token_ids": list(text.encode()),
        "finish": "stop",
        "run": {"engine": "scripted"},
    } | over
    return add(session, Response(**values))


def fill_study(
    session: Session,
    study: Study,
    *,
    prompts: tuple[str, ...] = ("Why is the sky blue?", "Name two rivers.", "What is a kettle?"),
    arms: tuple[str, ...] = ("lft", "sft"),
    finish: str = "stop",
    text: str = "{arm} says: {prompt}",
) -> list[Item]:
    """Give a study items, arms that are all paired, and a response to every item from every arm."""
    rows = [make_arm(session, study=study, name=name) for name in sorted(arms)]
    for index, first in enumerate(rows):
        for second in rows[index + 1 :]:
            make_pair(session, study=study, first=first, second=second)
    items = [make_item(session, study=study, position=at, prompt=prompt) for at, prompt in enumerate(prompts, start=1)]
    for item in items:
        for arm in rows:
            answer = text.replace("{arm}", f"Answer {rows.index(arm) + 1}").replace("{prompt}", item.prompt)
            response = make_response(session, checkpoint=arm.checkpoint, prompt=item.prompt, text=answer, finish=finish)
            add(session, ItemResponse(item_id=item.id, arm_id=arm.id, response_id=response.id))
    return items


def make_tuning_set(
    session: Session, *, answers: tuple[str, ...] = ("An answer.",), used_by: tuple[str, ...] = (), **over: Any
) -> TuningSet:
    """Add a ready tuning set with one instance for each answer, attached to the checkpoints `used_by`."""
    sha256 = hashlib.sha256(repr(answers).encode()).hexdigest()
    values = {
        "name": "Kettle facts",
        "sha256": sha256,
        "filename": "kettles.jsonl",
        "shape": "alpaca",
        "n": len(answers),
        "state": ImportState.READY,
    } | over
    tuning_set = add(session, TuningSet(**values))
    for at, answer in enumerate(answers):
        instance = TuningInstance(
            set_id=tuning_set.id, position=at, instance_id=f"i{at}", instruction=f"Instruction {at}", answer=answer
        )
        add(session, instance)
    for checkpoint in used_by:
        add(session, TuningSetUse(set_id=tuning_set.id, checkpoint=checkpoint))
    return tuning_set
