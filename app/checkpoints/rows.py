"""The registry and the engines' answers joined into the rows of the checkpoints page."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from app.engines.registry import Checkpoint
from app.web.readiness import CheckpointState


@dataclass(frozen=True, slots=True)
class CheckpointRow:
    """One line of the page. `verified` is yes, no or not checked, in words; `weights` is short, `where` in full."""

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


def rows(checkpoints: Iterable[Checkpoint], states: Mapping[str, CheckpointState]) -> tuple[CheckpointRow, ...]:
    """Describe each checkpoint in the registry's order."""
    return tuple(_row(checkpoint, states[checkpoint.name]) for checkpoint in checkpoints)


def _row(checkpoint: Checkpoint, state: CheckpointState) -> CheckpointRow:
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
        verified={True: "verified", False: "unverified", None: "not checked"}[state.verified],
    )
