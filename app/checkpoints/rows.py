"""The registry and the engines' answers joined into the rows of the checkpoints page."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlmodel import Session, col, select

from app.engines.protocol import AdapterState, ReplicaStatus
from app.engines.registry import Checkpoint
from app.web.readiness import CheckpointState
from models import ImportState, TuningSet, TuningSetUse


@dataclass(frozen=True, slots=True)
class CheckpointRow:
    """One line of the page. `verified` is yes, no or not checked, in words; `weights` is short, `where` in full.

    `adapter` tells whether it can be loaded or unloaded now. `tuning_sets` are those attached to it; `tuning_file`
    names the one the registry has, for when none is.
    """

    name: str
    role: str
    weights: str
    where: str
    base: str
    template: str
    engine: str
    dtype: str
    ready: bool
    detail: str
    verified: str
    replicas: tuple[ReplicaStatus, ...]
    adapter: AdapterState
    tuning_sets: tuple[TuningSet, ...]
    tuning_file: str


def rows(
    checkpoints: Iterable[Checkpoint],
    states: Mapping[str, CheckpointState],
    tuning_sets: Mapping[str, tuple[TuningSet, ...]],
) -> tuple[CheckpointRow, ...]:
    """Describe each checkpoint in the registry's order."""
    return tuple(
        _row(checkpoint, states[checkpoint.name], tuning_sets.get(checkpoint.name, ())) for checkpoint in checkpoints
    )


def attached_sets(session: Session) -> Mapping[str, tuple[TuningSet, ...]]:
    """Return the tuning sets of each checkpoint that has any, without failed imports."""
    query = select(TuningSetUse.checkpoint, TuningSet).join(TuningSet, col(TuningSet.id) == TuningSetUse.set_id)
    query = query.where(col(TuningSet.state) != ImportState.FAILED)
    result: dict[str, tuple[TuningSet, ...]] = {}
    for checkpoint, row in session.exec(query.order_by(col(TuningSet.name), col(TuningSet.version))):
        result[checkpoint] = (*result.get(checkpoint, ()), row)
    return result


def _row(checkpoint: Checkpoint, state: CheckpointState, tuning_sets: tuple[TuningSet, ...]) -> CheckpointRow:
    where = checkpoint.model if checkpoint.adapter is None else f"{checkpoint.adapter} on {checkpoint.model}"
    weights = Path(checkpoint.model).name if checkpoint.adapter is None else f"LoRA {checkpoint.adapter.name}"
    return CheckpointRow(
        name=checkpoint.name,
        role=checkpoint.role,
        weights=weights,
        where=where,
        base="" if checkpoint.base == checkpoint.name else checkpoint.base,
        template=checkpoint.template,
        engine=" ".join(part for part in (state.engine, state.version) if part) or checkpoint.engine,
        dtype=state.dtype or "unknown",
        ready=state.ready,
        detail=state.detail,
        replicas=state.replicas,
        adapter=state.adapter,
        verified={True: "verified", False: "unverified", None: "not checked"}[state.verified],
        tuning_sets=tuning_sets,
        tuning_file=checkpoint.tuning_set.name if checkpoint.tuning_set else "",
    )
