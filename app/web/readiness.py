"""Whether the parts of a running server can work: what `/readyz` tells an operator and pages tell a researcher."""

import asyncio
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine as Database
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from app import migrate
from app.engines.open import Engines
from app.engines.protocol import CheckpointStatus, Engine, EngineStatus
from app.storage import FULL, READ_ONLY, explained

STATUS_TIMEOUT_S = 5.0
# A save writes some pages of 4 KiB to the log of the database.
_PROBE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class CheckpointState:
    """A checkpoint and the engine it runs on, as of now."""

    name: str
    ready: bool
    detail: str
    verified: bool | None
    engine: str
    version: str
    dtype: str


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the server: whether it works, and a sentence that names no checkpoint."""

    ok: bool
    detail: str


async def checkpoint_states(engines: Engines) -> Mapping[str, CheckpointState]:
    """Ask every engine how its checkpoints are, all at once; one that does not answer in time is not ready."""
    by_engine: dict[int, tuple[Engine, list[str]]] = {}
    for name in engines.registry.checkpoints:
        engine = engines.for_checkpoint(name)
        by_engine.setdefault(id(engine), (engine, []))[1].append(name)
    answers = await asyncio.gather(*(_ask(engine, names) for engine, names in by_engine.values()))
    return {state.name: state for states in answers for state in states}


async def _ask(engine: Engine, names: list[str]) -> list[CheckpointState]:
    try:
        status = await asyncio.wait_for(engine.status(), STATUS_TIMEOUT_S)
    except TimeoutError:
        status = EngineStatus(engine="", version="", dtype="", checkpoints=())
    known = {checkpoint.checkpoint: checkpoint for checkpoint in status.checkpoints}
    silent = f"the engine did not say how it is within {STATUS_TIMEOUT_S:.0f} s"
    return [_state(known.get(name, CheckpointStatus(name, ready=False, detail=silent)), status) for name in names]


def _state(checkpoint: CheckpointStatus, status: EngineStatus) -> CheckpointState:
    return CheckpointState(
        name=checkpoint.checkpoint,
        ready=checkpoint.ready,
        detail=checkpoint.detail,
        verified=checkpoint.verified,
        engine=status.engine,
        version=status.version,
        dtype=status.dtype,
    )


def database_parts(database: Database) -> dict[str, Part]:
    """Say whether the database answers and has every migration."""
    try:
        with database.connect() as connection:
            connection.execute(text("SELECT 1"))
        current = migrate.is_current(database)
    except SQLAlchemyError:
        return {"database": Part(ok=False, detail="it does not answer"), "migrations": Part(ok=False, detail="unknown")}
    detail = "at head" if current else "behind; run: tuneshift db upgrade"
    return {"database": Part(ok=True, detail="answers"), "migrations": Part(ok=current, detail=detail)}


def disk_parts(data_dir: Path, database: Database) -> dict[str, Part]:
    """Say whether the folder of the data, and that of a database in a file, can be written now."""
    file = database.url.database if database.dialect.name == "sqlite" else None
    folders = {data_dir.resolve(), Path(file).resolve().parent if file else data_dir.resolve()}
    for folder in sorted(folders):
        try:
            _write_a_little(folder)
        except OSError as error:
            return {"disk": Part(ok=False, detail=_disk_words(error))}
    return {"disk": Part(ok=True, detail="can be written")}


def _write_a_little(folder: Path) -> None:
    """Write as much as a small judgment needs into a file without a name, which is gone whatever happens."""
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(bytes(_PROBE_BYTES))
        file.flush()


def _disk_words(error: OSError) -> str:
    words = {id(FULL): "full", id(READ_ONLY): "takes no changes"}
    return words.get(id(explained(error)), f"cannot be written ({error.strerror})")


async def model_parts(state: Any) -> dict[str, Part]:
    """Say whether the registry could be read and how many checkpoints can answer; no name, because anyone may ask."""
    if state.registry_problem:
        return {
            "registry": Part(ok=False, detail="missing or wrong; run: tuneshift doctor"),
            "engines": Part(ok=False, detail="no checkpoints"),
        }
    states = await checkpoint_states(state.engines)
    ready = sum(checkpoint.ready for checkpoint in states.values())
    return {
        "registry": Part(ok=True, detail=f"{len(states)} checkpoints"),
        "engines": Part(ok=ready == len(states), detail=f"{ready} of {len(states)} checkpoints ready"),
    }
