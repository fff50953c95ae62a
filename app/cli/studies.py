"""`tuneshift generate`: fill a study with responses."""

import asyncio
from typing import Annotated

import typer

from app.cli.common import (
    RegistryOption,
    console,
    opened_database,
    opened_engines,
    response_bar,
    settings_for,
)
from app.studies.generate import generate_missing


def add_to(cli: typer.Typer) -> None:
    """Register the command."""
    cli.command()(generate)


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
