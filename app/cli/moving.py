"""`tuneshift db move`: every row, or one study, from one database to another."""

from typing import Annotated

import typer
from rich.table import Table

from app.cli.common import console
from app.cli.opened_database import connected
from app.database.digest import Digest
from app.database.move import move as move_rows
from app.database.study_move import move_study
from models.base import now


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
    with connected(source) as old, connected(target) as new, console.status("") as status:
        moved = move_rows(old, new, report=lambda table, rows: status.update(f"{table}: {rows:,} rows"))
    console.print(_moved(moved))
    console.print(f"Moved {sum(one.rows for one in moved.values()):,} rows; each table was read back and is the same.")


def _move_one(source: str, target: str, study: str) -> None:
    with connected(source) as old, connected(target) as new, console.status("") as status:
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


def _moved(moved: dict[str, Digest]) -> Table:
    table = Table("table", "rows", "hash", box=None)
    for name, digest in moved.items():
        if digest.rows:
            table.add_row(name, f"{digest.rows:,}", digest.hexadecimal[:16])
    return table
