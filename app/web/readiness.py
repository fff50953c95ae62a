"""Whether the parts of a running server can work: what `/readyz` tells an operator and pages tell a researcher."""

import asyncio
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy import Engine as Database
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from app import migrate
from app.engines.open import Engines
from app.engines.protocol import AdapterState, CheckpointStatus, Engine, EngineStatus, ReplicaStatus
from app.storage import FULL, READ_ONLY, explained
from app.workers.forward import ask_models
from app.workers.place import Place, read_crew

STATUS_TIMEOUT_S = 5.0
# Less than this is gone within an export.
MIN_FREE_BYTES = 256 * 2**20
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
    replicas: tuple[ReplicaStatus, ...] = ()
    adapter: AdapterState = "fixed"


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the server: whether it works, a sentence that names no checkpoint, and whether saving needs it."""

    ok: bool
    detail: str
    needed: bool = True

    def told(self) -> dict[str, object]:
        """Return what is said of it."""
        return {"ok": self.ok, "detail": self.detail}


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
        replicas=checkpoint.replicas,
        adapter=checkpoint.adapter,
    )


def stored_parts(database: Database, data_dir: Path, place: Place) -> dict[str, Part]:
    """Say whether what is sent can be kept: database, migrations, disk and its space; and which processes run."""
    # A database of its own server needs no room here; files and exports do.
    space = replace(_space_part(data_dir), needed=database.dialect.name == "sqlite")
    parts = database_parts(database) | disk_parts(data_dir, database) | {"space": space}
    if (crew := read_crew(place)) is not None:
        detail = f"{crew.running} of {crew.wanted} run, {crew.replaced} replaced"
        parts["processes"] = Part(ok=crew.running == crew.wanted, detail=detail, needed=False)
    return parts


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


def _space_part(data_dir: Path) -> Part:
    try:
        free = shutil.disk_usage(data_dir).free
    except OSError as error:
        return Part(ok=False, detail=f"unknown ({error.strerror})")
    if free < MIN_FREE_BYTES:
        return Part(ok=False, detail=f"{free // 2**20} MiB free; at least {MIN_FREE_BYTES // 2**20} are needed")
    return Part(ok=True, detail="enough is free")


async def far_model_parts(place: Place) -> dict[str, Part]:
    """Ask the process that has the models how they are."""
    answer = await ask_models(place, "/readyz", timeout_s=STATUS_TIMEOUT_S + 1)
    if answer is None:
        return {"models": Part(ok=False, detail="the process that has them does not answer", needed=False)}
    parts = answer.json()["parts"]
    return {name: Part(**parts[name], needed=False) for name in ("registry", "engines")}


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
