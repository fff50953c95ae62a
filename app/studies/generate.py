"""Fill a study's missing responses through the engines; an interrupted run goes on where it stopped."""

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, islice
from typing import Any

from sqlalchemy import Engine as Database
from sqlmodel import Session, col, select

from app.compare.answers import Fold
from app.compare.plan import Plan, build_plan
from app.compare.queries import store_response
from app.compare.runner import ColumnDone, ColumnFailed, run_columns
from app.db import reading, writing
from app.engines.open import Engines
from app.engines.protocol import Decoding
from app.errors import EngineError
from app.studies.coverage import Hole, missing_responses
from app.studies.queries import attach_response, get_study
from models import Arm, BasePrompt

# Items answered together: ten cost little more than one, because a step mostly reads the weights.
AT_ONCE = 10


@dataclass(frozen=True, slots=True)
class Progress:
    """How many of the responses that were missing are stored now, and which one came last."""

    done: int
    total: int
    position: int
    arm: str


@dataclass(frozen=True, slots=True)
class _Batch:
    """Arms that answer one item with one decoding, together; `wanted` are those still missing."""

    plan: Plan
    holes: tuple[Hole, ...]


async def generate_missing(
    database: Database, engines: Engines, study: str, *, on_progress: Callable[[Progress], None]
) -> int:
    """Generate what the study (id or address) lacks and return how many responses that were.

    Every response is committed with its trace as soon as it ends. Raises EngineError, what is stored being kept, when a
    checkpoint could not answer; running again continues with what is missing.
    """
    with reading(database) as session:
        study_id = get_study(session, study).id
        # What came from a file has no checkpoint that could fill its holes.
        holes = [hole for hole in missing_responses(session, study_id) if hole.checkpoint]
        query = select(Arm).where(Arm.study_id == study_id, Arm.checkpoint != "", col(Arm.special).is_(False))
        arms = list(session.exec(query.order_by(col(Arm.name))))
    done = 0

    def stored(hole: Hole) -> None:
        nonlocal done
        done += 1
        on_progress(Progress(done=done, total=len(holes), position=hole.position, arm=hole.arm))

    for batches in _in_turns(_batches(engines, arms, holes), AT_ONCE):
        # Asked for in one go, items decode as one batch. Each runs to its end, whatever becomes of the others.
        ended = await asyncio.gather(*(_run(database, engines, b, stored) for b in batches), return_exceptions=True)
        for failure in ended:
            if failure is not None:
                raise failure
    return done


def _batches(engines: Engines, arms: list[Arm], holes: list[Hole]) -> list[_Batch]:
    ordered = sorted(holes, key=lambda hole: (hole.position, _decoding_key(hole.decoding), hole.arm))
    grouped = groupby(ordered, key=lambda hole: (hole.position, _decoding_key(hole.decoding)))
    return [_batch(engines, arms, tuple(group)) for _, group in grouped]


def _batch(engines: Engines, arms: list[Arm], holes: tuple[Hole, ...]) -> _Batch:
    """Plan all arms of that decoding, then keep the missing ones: what a base is shown depends on who is beside it."""
    together = [arm for arm in arms if _decoding_key(arm.decoding) == _decoding_key(holes[0].decoding)]
    plan = build_plan(
        engines,
        holes[0].prompt,
        [arm.checkpoint for arm in together],
        base_prompt=BasePrompt.SAME_IDS,
        decoding=Decoding(**holes[0].decoding),
    )
    column_of = dict(zip((arm.id for arm in together), plan.columns, strict=True))
    return _Batch(replace(plan, columns=tuple(column_of[hole.arm_id] for hole in holes)), holes)


def _in_turns(batches: Sequence[_Batch], size: int) -> Iterator[tuple[_Batch, ...]]:
    rest = iter(batches)
    while some := tuple(islice(rest, size)):
        yield some


def _decoding_key(decoding: Any) -> str:
    return json.dumps(dict(decoding), sort_keys=True)


async def _run(database: Database, engines: Engines, batch: _Batch, stored: Callable[[Hole], None]) -> None:
    fold = Fold(batch.plan, lambda name: engines.tokenizer_for(name).token_bytes)
    failures: list[str] = []
    async for event in run_columns(engines, batch.plan):
        fold.take([event])
        if isinstance(event, ColumnFailed):
            failures.append(event.sentence)
        if isinstance(event, ColumnDone):
            hole = batch.holes[event.column]
            with writing(database) as session:
                _store(session, batch.plan, fold, event, hole)
            stored(hole)
    if failures:
        raise EngineError(" ".join(failures), remedy="What was generated is kept; run it again for the rest.")


def _store(session: Session, plan: Plan, fold: Fold, event: ColumnDone, hole: Hole) -> None:
    response = store_response(session, plan, fold.answer(event.column), event.scores)
    attach_response(session, item_id=hole.item_id, arm_id=hole.arm_id, response_id=response.id)
