"""What several commands share: settings, the registry option, the database, engines that are closed again."""

import json
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer
from rich.console import Console
from sqlalchemy import Engine

from app import migrate
from app.db import connect
from app.demo.progress import Report, bars
from app.engines.open import Engines, open_engines
from app.engines.registry import load_registry
from app.errors import ConfigurationError, InvalidInputError
from app.settings import Settings
from app.studies.generate import Progress

RegistryOption = Annotated[
    Path | None,
    typer.Option("--checkpoints", "--registry", metavar="FILE", help="The registry; else TUNESHIFT_CHECKPOINTS."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]

console = Console(highlight=False)
notes = Console(stderr=True, highlight=False)


def settings_for(registry: Path | None) -> Settings:
    """Read the settings, with the registry of the command line in front of the environment's."""
    settings = Settings()
    return settings.model_copy(update={"checkpoints": registry}) if registry else settings


@asynccontextmanager
async def opened_engines(settings: Settings) -> AsyncIterator[Engines]:
    """Open the registry's engines and close them whatever happens."""
    engines = open_engines(load_registry(settings.resolved_checkpoints), settings)
    try:
        yield engines
    finally:
        await engines.aclose()


@contextmanager
def opened_database(settings: Settings) -> Iterator[Engine]:
    """Connect to a database that has the current schema.

    Raises ConfigurationError, with the command that helps, when it has not.
    """
    database = connect(settings.resolved_database_url)
    try:
        if not migrate.is_current(database):
            raise ConfigurationError("The database has not the current schema.", remedy="Run: tuneshift db upgrade")
        yield database
    finally:
        database.dispose()


@contextmanager
def response_bar() -> Iterator[Callable[[Progress], None]]:
    """Show how many of a study's missing responses are there; yields what to call after each."""
    with bars() as progress:
        reports: list[Report] = []

        def show(now: Progress) -> None:
            if not reports:
                reports.append(progress.step("Generate responses", now.total))
            reports[0](now.done, f"item {now.position}, {now.arm}")

        yield show


def print_json(value: Any) -> None:
    """Write one JSON document to standard output, never a NaN."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n")


@contextmanager
def output_file(target: str) -> Iterator[TextIO]:
    """Open a text file to write, `-` for standard output; a file appears under its name only when complete."""
    if target == "-":
        yield sys.stdout
        return
    path = Path(target)
    if not path.parent.is_dir():
        raise InvalidInputError(f"The folder {path.parent} does not exist.", remedy="Create it or name another.")
    partial = path.with_name(f"{path.name}.partial")
    with partial.open("w", encoding="utf-8", newline="") as file:
        yield file
    partial.replace(path)


def read_lines(path: Path) -> list[str]:
    """Read a UTF-8 file into lines; raises InvalidInputError naming the file."""
    try:
        # Only line feeds end a line of JSONL: splitlines() would cut a text at U+2028 too.
        return path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except FileNotFoundError as error:
        raise InvalidInputError(f"{path} does not exist.") from error
    except UnicodeDecodeError as error:
        raise InvalidInputError(
            f"{path} is not UTF-8 text (byte {error.start}).", remedy="Save it as UTF-8."
        ) from error
