"""`tuneshift tuning-set add`: import a tuning set that lies on this machine, with its progress."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from app.cli.common import RegistryOption, console
from app.cli.opened_database import opened_database
from app.db import reading
from app.demo.progress import Report, bars
from app.engines.open import open_engines
from app.engines.registry import load_registry
from app.errors import InvalidInputError
from app.settings import settings_for
from app.tuning_sets.files import copy_source, places_of
from app.tuning_sets.forms import known_checkpoint
from app.tuning_sets.importing import Encoders, run_import
from app.tuning_sets.queries import get_set
from app.tuning_sets.queue import begin_import, tokenizers_of
from models import ImportState


def add(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSON, JSON Lines or Parquet.")],
    name: Annotated[str, typer.Option(help="Its name; else the file's. A name in use gets its next version.")] = "",
    checkpoint: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A checkpoint tuned on it; may be repeated.")
    ] = None,
    checkpoints: RegistryOption = None,
) -> None:
    """Import a tuning set and index it; one wrong record and nothing is imported."""
    settings = settings_for(checkpoints)
    encoders: Encoders | None = None
    tuned = list(checkpoint or ())
    if tuned or settings.resolved_checkpoints.exists():
        engines = open_engines(load_registry(settings.resolved_checkpoints), settings)
        tuned = [known_checkpoint(wanted, engines.registry.checkpoints) for wanted in tuned]
        encoders = tokenizers_of(engines)
    places = places_of(settings)
    with opened_database(settings) as database:
        set_id = begin_import(database, places, copy_source(file, places), name=name, checkpoints=tuned)
        with import_bars() as watch:
            state = run_import(database, places, set_id, encoders=encoders, watch=watch)
        with reading(database) as session:
            row = get_set(session, set_id)
    if state is ImportState.FAILED:
        raise InvalidInputError(row.message)
    console.print(
        f"{row.name}, version {row.version}: {row.n:,} instances, {row.shape}, {row.sha256[:12]}", markup=False
    )


@contextmanager
def import_bars() -> Iterator[Callable[[ImportState, int, int], None]]:
    """Show how far an import is; yields what to call with its state and how much of how much is done."""
    titles = {ImportState.READING: "Read tuning set", ImportState.INDEXING: "Index tuning set"}
    with bars() as progress:
        steps: dict[ImportState, tuple[Report, int]] = {}

        def watch(state: ImportState, done: int, total: int) -> None:
            if state not in steps:
                for report, whole in steps.values():
                    report(whole, "")
                steps[state] = progress.step(titles[state], total), total
            steps[state][0](done, "")

        yield watch
