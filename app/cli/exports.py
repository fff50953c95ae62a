"""`tuneshift export`: a study's judgments as one zip, or one table of them."""

import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from sqlmodel import Session

from app.cli.common import StudyArgument
from app.cli.files import output_file, whole_target
from app.cli.opened_database import opened_database
from app.db import snapshot
from app.demo.progress import Report, bars
from app.errors import InvalidInputError
from app.results.export import COLUMNS, FILES, FORMATS, TABLES
from app.results.queries import iter_table
from app.settings import Settings
from app.studies.queries import get_study
from models import Study


def export(
    study: StudyArgument,
    out: Annotated[str, typer.Option(metavar="FILE", help="File to write; - is standard output (with --table).")],
    table: Annotated[
        str, typer.Option(help="One table, such as preferences or ratings; without it a zip of all.")
    ] = "",
    form: Annotated[str, typer.Option("--format", help="csv, jsonl or parquet; the table's usual one if left out.")] = (
        ""
    ),
    external_ids: Annotated[
        bool, typer.Option("--external-ids", help="Name annotators as their recruiting platform does.")
    ] = False,
) -> None:
    """Write a study's judgments: one table, or a zip of all of them with a manifest."""
    settings = Settings()
    if not table and form:
        raise InvalidInputError("--format is for one --table; the zip holds every format.", remedy="Name a --table.")
    file = _file(table, form) if table else ""
    with opened_database(settings) as database, snapshot(database) as session:
        found = get_study(session, study)
        if not table:
            _write_zip(session, found, out, external_ids=external_ids)
        elif file.endswith(".parquet"):
            _write_parquet(session, found, file, out, external_ids=external_ids)
        else:
            with output_file(out) as target:
                for line in iter_table(session, found, file, external_ids=external_ids):
                    target.write(line)


def _file(table: str, form: str) -> str:
    if table not in COLUMNS:
        raise InvalidInputError(f"There is no table {table!r}.", remedy=f"Offered: {', '.join(COLUMNS)}.")
    usual = next(name for name in TABLES if name.partition(".")[0] == table)
    name = f"{table}.{form}" if form else usual
    if name not in FILES:
        raise InvalidInputError(f"There is no format {form!r}.", remedy=f"Offered: {', '.join(FORMATS)}.")
    return name


def _write_zip(session: Session, study: Study, out: str, *, external_ids: bool) -> None:
    from app.results.bundle import write_bundle  # noqa: PLC0415  a table alone needs none of the statistics

    if out == "-":
        raise InvalidInputError("A zip is not written to standard output.", remedy="Name a file, or a --table.")
    with bars() as progress:
        steps: list[Report] = []

        def show(done: int, total: int, what: str) -> None:
            if not steps:
                steps.append(progress.step("Export", total))
            steps[0](done, what)

        write_bundle(session, study, whole_target(out), external_ids=external_ids, on_progress=show)


def _write_parquet(session: Session, study: Study, file: str, out: str, *, external_ids: bool) -> None:
    from app.results.files import write_parquet  # noqa: PLC0415  other formats need no Parquet

    table = FILES[file]
    if out != "-":
        path = whole_target(out)
        partial = path.with_name(f"{path.name}.partial")
        try:
            write_parquet(session, study, table, partial, external_ids=external_ids)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        return
    with tempfile.TemporaryDirectory(prefix="tuneshift-") as folder:
        path = Path(folder) / file
        write_parquet(session, study, table, path, external_ids=external_ids)
        with path.open("rb") as raw:
            while block := raw.read(1 << 20):
                sys.stdout.buffer.write(block)
