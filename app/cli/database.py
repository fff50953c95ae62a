"""`tuneshift db`: upgrade, back up, check."""

from pathlib import Path
from typing import Annotated

import typer

from app import migrate
from app.cli.common import console
from app.db import connect
from app.settings import Settings

group = typer.Typer(no_args_is_help=True)


@group.command()
def upgrade() -> None:
    """Bring the database to the newest schema; creates it when there is none."""
    database = connect(Settings().resolved_database_url)
    migrate.upgrade(database)
    console.print(f"The database is current: {database.url.render_as_string(hide_password=True)}")


@group.command()
def backup(target: Annotated[Path, typer.Argument(help="The file to write; it must not exist.")]) -> None:
    """Copy the database while it is in use; the copy is consistent and checked."""
    migrate.backup(Settings().resolved_database_url, target=target)
    console.print(f"Wrote {target} ({target.stat().st_size / 1e6:.1f} MB), integrity checked")


@group.command()
def check() -> None:
    """Say whether the database is sound and current; exit code 1 if not."""
    problems = migrate.check(connect(Settings().resolved_database_url))
    for problem in problems:
        console.print(problem, style="red", markup=False)
    if problems:
        raise typer.Exit(1)
    console.print("The database is sound and current")
