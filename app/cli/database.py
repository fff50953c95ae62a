"""`tuneshift db upgrade | backup | restore | check`: one database, whole."""

from pathlib import Path
from typing import Annotated

import typer

from app import migrate
from app.cli.common import console
from app.cli.opened_database import connected
from app.database.restore import restore as restore_from
from app.database.soundness import counts_of
from app.errors import InvalidInputError
from app.settings import Settings
from models.base import now


def upgrade() -> None:
    """Bring the database to the newest schema; creates it when there is none."""
    with connected(Settings().resolved_database_url) as database:
        migrate.upgrade(database)
        console.print(f"The database is current: {database.url.render_as_string(hide_password=True)}")


def backup(
    target: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write; it must not exist.")],
) -> None:
    """Copy the database while it is in use; the copy is consistent and checked."""
    if str(target) == "-":
        raise InvalidInputError("A backup is checked where it lies, so it is no stream.", remedy="Name a file.")
    migrate.backup(Settings().resolved_database_url, target=target)
    console.print(f"Wrote {target} ({target.stat().st_size / 1e6:.1f} MB), integrity checked")


def restore(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="A file that `tuneshift db backup` wrote.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Set aside what the database holds now.")] = False,
) -> None:
    """Put a backup in the database's place, and check it; stop the app first."""
    url = Settings().resolved_database_url
    before = restore_from(url, source=source, now=now(), overwrite=overwrite)
    with connected(url) as database:
        problems = migrate.check(database)
    console.print(f"Restored {source}")
    if before:
        console.print(f"What was there before is kept as {before}; remove it when you are content.")
    _say(problems)


def check() -> None:
    """Say whether the database is sound and current, and count its rows; exit code 1 if it is not."""
    with connected(Settings().resolved_database_url) as database:
        _say(migrate.check(database))
        for table, rows in counts_of(database).items():
            if rows:
                console.print(f"  {table:20} {rows:>12,}", markup=False)


def _say(problems: list[str]) -> None:
    for problem in problems:
        console.print(problem, style="red", markup=False)
    if problems:
        raise typer.Exit(1)
    console.print("The database is sound and current")
