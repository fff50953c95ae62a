"""`tuneshift db`: upgrade, back up, restore, check, move."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from sqlalchemy import Engine

from app import migrate
from app.cli.common import console
from app.database.digest import Digest
from app.database.move import move as move_rows
from app.database.restore import restore as restore_from
from app.database.soundness import counts_of
from app.database.study_move import move_study
from app.db import connect
from app.settings import Settings
from models.base import now

group = typer.Typer(no_args_is_help=True)


@group.command()
def upgrade() -> None:
    """Bring the database to the newest schema; creates it when there is none."""
    with _opened(Settings().resolved_database_url) as database:
        migrate.upgrade(database)
        console.print(f"The database is current: {database.url.render_as_string(hide_password=True)}")


@group.command()
def backup(target: Annotated[Path, typer.Argument(help="The file to write; it must not exist.")]) -> None:
    """Copy the database while it is in use; the copy is consistent and checked."""
    migrate.backup(Settings().resolved_database_url, target=target)
    console.print(f"Wrote {target} ({target.stat().st_size / 1e6:.1f} MB), integrity checked")


@group.command()
def restore(
    source: Annotated[Path, typer.Argument(help="A file that `tuneshift db backup` wrote.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Set aside what the database holds now.")] = False,
) -> None:
    """Put a backup in the database's place, and check it; stop the app first."""
    url = Settings().resolved_database_url
    before = restore_from(url, source=source, now=now(), overwrite=overwrite)
    with _opened(url) as database:
        problems = migrate.check(database)
    console.print(f"Restored {source}")
    if before:
        console.print(f"What was there before is kept as {before}; remove it when you are content.")
    _say(problems)


@group.command()
def check() -> None:
    """Say whether the database is sound and current, and count its rows; exit code 1 if it is not."""
    with _opened(Settings().resolved_database_url) as database:
        _say(migrate.check(database))
        for table, rows in counts_of(database).items():
            if rows:
                console.print(f"  {table:20} {rows:>12,}", markup=False)


@group.command()
def move(
    source: Annotated[str, typer.Option("--from", metavar="URL", help="The database to read, left as it is.")],
    target: Annotated[
        str, typer.Option("--to", metavar="URL", help="A database of either kind; empty, but for a --study.")
    ],
    study: Annotated[
        str | None, typer.Option(metavar="STUDY", help="Only this study, by its short name; the other may hold others.")
    ] = None,
) -> None:
    """Copy every row, or one study, from one database to another, SQLite or PostgreSQL: all of it, or nothing."""
    if study is not None:
        _move_one(source, target, study)
        return
    with _opened(source) as old, _opened(target) as new, console.status("") as status:
        moved = move_rows(old, new, report=lambda table, rows: status.update(f"{table}: {rows:,} rows"))
    console.print(_moved(moved))
    console.print(f"Moved {sum(one.rows for one in moved.values()):,} rows; each table was read back and is the same.")


def _move_one(source: str, target: str, study: str) -> None:
    with _opened(source) as old, _opened(target) as new, console.status("") as status:
        moved = move_study(
            old, new, study, now=now(), report=lambda table, rows: status.update(f"{table}: {rows:,} rows")
        )
    if moved.was_there:
        console.print(f"The study {moved.slug} is there already, and every row of it is the same; nothing was done.")
        return
    console.print(_moved({name: one.digest for name, one in moved.tables.items()}))
    rows = sum(one.digest.rows for one in moved.tables.values())
    new_rows = sum(one.new for one in moved.tables.values())
    console.print(f"Moved the study {moved.slug}: {rows:,} rows, {new_rows:,} of them new there; each was read back.")
    console.print(
        f"{moved.arrived} people arrived; {moved.known} people were known there, and stay who they are there."
    )
    console.print(f"It is {moved.state} in both databases: go on in one of them alone.")
    console.print("No file has to be copied: indexes of tuning sets and exports are made anew from the rows.")
    if moved.checkpoints:
        console.print(f"Its arms name these checkpoints of the registry: {', '.join(moved.checkpoints)}", markup=False)


@contextmanager
def _opened(url: str) -> Iterator[Engine]:
    database = connect(url)
    try:
        yield database
    finally:
        database.dispose()


def _say(problems: list[str]) -> None:
    for problem in problems:
        console.print(problem, style="red", markup=False)
    if problems:
        raise typer.Exit(1)
    console.print("The database is sound and current")


def _moved(moved: dict[str, Digest]) -> Table:
    table = Table("table", "rows", "hash", box=None)
    for name, digest in moved.items():
        if digest.rows:
            table.add_row(name, f"{digest.rows:,}", digest.hexadecimal[:16])
    return table
