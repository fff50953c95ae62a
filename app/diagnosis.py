"""`tuneshift doctor`: every part that must work, tried, in one line each."""

from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError

from app import migrate
from app.db import connect
from app.engines.open import Engines, open_engines
from app.engines.registry import load_registry
from app.errors import AppError, ConfigurationError
from app.settings import Settings, load_secret


@dataclass(frozen=True, slots=True)
class Finding:
    """One part, whether it works, and what was seen."""

    part: str
    ok: bool
    detail: str


async def diagnose(settings: Settings) -> list[Finding]:
    """Try settings, database, registry and every checkpoint; never raises for something that is merely broken."""
    return [_settings(settings), _database(settings), *await diagnose_models(settings)]


async def diagnose_models(settings: Settings) -> list[Finding]:
    """Try the registry and every checkpoint and adapter in it; nothing else."""
    try:
        registry = load_registry(settings.resolved_checkpoints)
    except AppError as error:
        return [Finding("registry", ok=False, detail=str(error))]
    findings = [Finding("registry", ok=True, detail=f"{registry.path} names {', '.join(registry.checkpoints)}")]
    engines = open_engines(registry, settings)
    try:
        findings += [await _checkpoint(engines, name) for name in registry.checkpoints]
        return findings + [await _isolation(engines, name) for name in engines.shared_adapters()]
    finally:
        await engines.aclose()


def _settings(settings: Settings) -> Finding:
    try:
        load_secret(settings)
    except (ConfigurationError, OSError) as error:
        return Finding("settings", ok=False, detail=str(error))
    return Finding("settings", ok=True, detail=f"data in {settings.data_dir.resolve()}")


def _database(settings: Settings) -> Finding:
    database = connect(settings.resolved_database_url)
    url = database.url.render_as_string(hide_password=True)
    try:
        problems = migrate.check(database)
    except SQLAlchemyError as error:
        return Finding("database", ok=False, detail=f"{url}: {error}")
    finally:
        database.dispose()
    return Finding("database", ok=not problems, detail="; ".join(problems) or f"{url} is sound and current")


async def _checkpoint(engines: Engines, name: str) -> Finding:
    part = f"checkpoint {name}"
    try:
        status = await engines.for_checkpoint(name).status()
        state = next(state for state in status.checkpoints if state.checkpoint == name)
        if not state.ready:
            return Finding(part, ok=False, detail=state.detail)
        check = await engines.verify(name)
    except AppError as error:
        return Finding(part, ok=False, detail=str(error))
    return Finding(part, ok=check.passed, detail=f"{status.engine} {status.version}, {status.dtype}: {check.detail}")


async def _isolation(engines: Engines, name: str) -> Finding:
    try:
        found = await engines.probe_isolation(name)
    except AppError as error:
        return Finding(f"adapter {name}", ok=False, detail=str(error))
    return Finding(f"adapter {name}", ok=found.isolated, detail=found.detail)
