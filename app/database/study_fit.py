"""Whether one study may be moved from one database to another: both current, not the same, and nobody at work in it."""

from datetime import datetime
from pathlib import Path

from sqlalchemy import Engine, or_
from sqlmodel import Session, col, select

from app import migrate
from app.errors import ConfigurationError, ConflictError, NotFoundError
from app.studies.generation_rules import is_lost, utc
from models import (
    GenerationRun,
    GenerationState,
    ImportState,
    ScoringRun,
    ScoringState,
    ScoringTask,
    Study,
    StudyState,
    TaskState,
    TuningSet,
)

_SAME_SERVER = "SELECT pg_postmaster_start_time(), oid FROM pg_database WHERE datname = current_database()"


def refuse_unfit(source: Engine, target: Engine) -> None:
    """Raise ConfigurationError where a database is not there, is not current, or is both of them."""
    for which, database in (("from", source), ("to", target)):
        if not _is_there(database):
            raise ConfigurationError(f"There is no database to move {which}: {_address(database)}")
    if _identity(source) == _identity(target):
        raise ConfigurationError(
            "The database to move from is the one to move to.", remedy="Name two different ones by --from and --to."
        )
    for which, database in (("from", source), ("to", target)):
        if not migrate.is_current(database):
            raise ConfigurationError(
                f"The database to move {which} has not the current schema: {_address(database)}",
                remedy="Run `tuneshift db upgrade` on it first, with TUNESHIFT_DATABASE_URL set to its address.",
            )


def wanted(session: Session, id_or_slug: str) -> Study:
    """Load the study to move. Raises NotFoundError naming those there are."""
    found = session.exec(select(Study).where(or_(col(Study.id) == id_or_slug, col(Study.slug) == id_or_slug))).first()
    if found is None:
        there = ", ".join(session.exec(select(Study.slug).order_by(col(Study.slug)).limit(20)))
        raise NotFoundError(
            f"There is no study {id_or_slug!r} in the database to move from.", remedy=f"It has: {there or 'none'}."
        )
    return found


def refuse_at_work(session: Session, study: Study, now: datetime) -> None:
    """Raise ConflictError while people judge in a study, or responses of it are generated or scored."""
    if study.state is StudyState.OPEN:
        raise ConflictError(
            f"The study {study.slug} is open, and what is judged after this moment would not move.",
            remedy="Pause or close it first.",
        )
    generating = select(GenerationRun.touched_at).where(
        GenerationRun.study_id == study.id, GenerationRun.state == GenerationState.RUNNING
    )
    if any(not is_lost(utc(touched), now) for touched in session.exec(generating)):
        raise ConflictError(
            f"Responses of the study {study.slug} are being generated.", remedy="Wait until that is done, or stop it."
        )
    claimed = (col(ScoringTask.state) == TaskState.CLAIMED) & (col(ScoringTask.lease_until) > now)
    held = select(ScoringTask.run_id).where(claimed)
    running = or_(col(ScoringRun.state) == ScoringState.RUNNING, col(ScoringRun.id).in_(held))
    if session.exec(select(ScoringRun.id).where(ScoringRun.study_id == study.id, running)).first() is not None:
        raise ConflictError(
            f"Responses of the study {study.slug} are being scored.",
            remedy="Pause or cancel that, and wait until the last reading has ended.",
        )


def refuse_half_imported(session: Session, set_ids: list[str]) -> None:
    """Raise ConflictError while one of the tuning sets a study needs is being imported."""
    half = select(TuningSet.name).where(
        col(TuningSet.id).in_(set_ids), col(TuningSet.state).in_([ImportState.READING, ImportState.INDEXING])
    )
    if (name := session.exec(half).first()) is not None:
        raise ConflictError(f"The tuning set {name} is being imported.", remedy="Wait until that has ended.")


def _is_there(database: Engine) -> bool:
    file = database.url.database
    return database.dialect.name != "sqlite" or (file is not None and Path(file).is_file())


def _identity(database: Engine) -> tuple[object, ...]:
    if database.dialect.name == "sqlite":
        return (Path(database.url.database or "").resolve(),)
    with database.connect() as connection:
        return tuple(connection.exec_driver_sql(_SAME_SERVER).one())


def _address(database: Engine) -> str:
    return database.url.render_as_string(hide_password=True)
