"""Which responses of a run are asked for together, and why some arms cannot be asked at all."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, islice
from typing import Any

import structlog

from app.compare.plan import Plan, build_plan
from app.engines.open import Engines
from app.engines.protocol import Decoding
from app.errors import AppError
from app.studies.coverage import Hole
from models import Arm, BasePrompt

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Batch:
    """Arms that answer one item with one decoding, together; `holes` are those still missing."""

    plan: Plan
    holes: tuple[Hole, ...]


def turns(holes: Sequence[Hole], size: int) -> Iterator[tuple[tuple[Hole, ...], ...]]:
    """Cut what is missing into turns of `size` groups; a group is one item under one decoding."""
    ordered = sorted(holes, key=_turn_key)
    groups = (tuple(group) for _, group in groupby(ordered, key=lambda hole: _turn_key(hole)[:2]))
    while some := tuple(islice(groups, size)):
        yield some


def planned(
    engines: Engines, arms: Sequence[Arm], holes: tuple[Hole, ...]
) -> tuple[Batch | None, list[tuple[Hole, str]]]:
    """Plan the arms that can answer together, and say of the others why they cannot.

    All arms of that decoding are planned, then the missing ones kept: what a base is shown depends on who is beside it.
    """
    if not holes:
        return None, []
    together = [arm for arm in arms if _decoding_key(arm.decoding) == _decoding_key(holes[0].decoding)]
    try:
        plan = _plan(engines, together, holes[0])
    except Exception:  # noqa: BLE001  one arm's trouble is not the others'; it is named for each just below
        reasons = {arm.id: reason for arm in together if (reason := _trouble(engines, arm, holes[0]))}
        together = [arm for arm in together if arm.id not in reasons]
        failures = [(hole, reasons[hole.arm_id]) for hole in holes if hole.arm_id in reasons]
        holes = tuple(hole for hole in holes if hole.arm_id not in reasons)
        if not holes:
            return None, failures
        plan = _plan(engines, together, holes[0])
    else:
        failures = []
    column_of = dict(zip((arm.id for arm in together), plan.columns, strict=True))
    return Batch(replace(plan, columns=tuple(column_of[hole.arm_id] for hole in holes)), holes), failures


def _plan(engines: Engines, arms: Sequence[Arm], hole: Hole) -> Plan:
    return build_plan(
        engines,
        hole.prompt,
        [arm.checkpoint for arm in arms],
        base_prompt=BasePrompt.SAME_IDS,
        decoding=Decoding(**hole.decoding),
    )


def _trouble(engines: Engines, arm: Arm, hole: Hole) -> str:
    """Say why an arm cannot be asked; nothing when it can."""
    try:
        _plan(engines, [arm], hole)
    except AppError as error:
        return str(error)
    except Exception:  # noqa: BLE001  the page must name a reason, whatever it was
        _log.exception("arm_not_planned", arm=arm.name)
        return f"{arm.checkpoint} could not be asked, on an unexpected error; the server's log has the details."
    return ""


def _turn_key(hole: Hole) -> tuple[int, str, str]:
    return hole.position, _decoding_key(hole.decoding), hole.arm


def _decoding_key(decoding: Any) -> str:
    return json.dumps(dict(decoding), sort_keys=True)
