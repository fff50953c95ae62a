"""`tuneshift generate | export`: fill a study with responses, take its judgments out."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from app.cli.common import (
    RegistryOption,
    console,
    opened_database,
    opened_engines,
    output_file,
    response_bar,
    settings_for,
)
from app.db import reading
from app.errors import InvalidInputError
from app.results import export as tables
from app.results.queries import iter_table, write_zip
from app.settings import Settings
from app.studies.generate import generate_missing
from app.studies.queries import get_study

TABLES = {(name.partition(".")[0], name.partition(".")[2]): name for name in tables.TABLES}
_JSON_LINES = {table for table, form in TABLES if form == "jsonl"}


def add_to(cli: typer.Typer) -> None:
    """Register the commands."""
    cli.command()(generate)
    cli.command()(export)


def generate(
    study: Annotated[str, typer.Argument(help="The study's short name.")], checkpoints: RegistryOption = None
) -> None:
    """Let every arm answer the items it has not answered yet; interrupted, it continues where it was."""
    settings = settings_for(checkpoints)

    async def work() -> int:
        with opened_database(settings) as database, response_bar() as on_progress:
            async with opened_engines(settings) as engines:
                return await generate_missing(database, engines, study, on_progress=on_progress)

    console.print(f"{asyncio.run(work())} responses added")


def export(
    study: Annotated[str, typer.Argument(help="The study's short name.")],
    out: Annotated[str, typer.Option(help="File to write; - is standard output (with --table).")],
    table: Annotated[
        str, typer.Option(help="One table, such as preferences or ratings; without it a zip of all.")
    ] = "",
    form: Annotated[
        str, typer.Option("--format", help="csv, or jsonl for hallucinations, evidence, revisions.")
    ] = "csv",
    external_ids: Annotated[
        bool, typer.Option("--external-ids", help="Name annotators as their recruiting platform does.")
    ] = False,
) -> None:
    """Write a study's judgments: one table, or a zip of all of them."""
    settings = Settings()
    with opened_database(settings) as database, reading(database) as session:
        found = get_study(session, study)
        if not table:
            if out == "-":
                raise InvalidInputError("A zip is not written to standard output.", remedy="Name a file, or a --table.")
            write_zip(session, found, Path(out), external_ids=external_ids)
            return
        form = "jsonl" if table in _JSON_LINES else form
        if (table, form) not in TABLES:
            offered = ", ".join(f"{known} as {kind}" for known, kind in TABLES)
            raise InvalidInputError(f"There is no table {table!r} as {form!r}.", remedy=f"Offered: {offered}.")
        with output_file(out) as file:
            for chunk in iter_table(session, found, TABLES[table, form], external_ids=external_ids):
                file.write(chunk)
