"""`tuneshift borrowing`: measure what a study's arms borrowed from a tuning set, print the rates, write the rows."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from app.cli.common import RegistryOption, StudyArgument, console
from app.cli.files import output_file
from app.cli.opened_database import opened_database
from app.db import reading
from app.demo.progress import Report, bars
from app.engines.open import open_engines
from app.engines.registry import load_registry
from app.errors import InvalidInputError
from app.provenance.borrowing_rates import arm_rates, differences
from app.provenance.borrowing_rows import answered, lengths, measure, rows_of
from app.provenance.borrowing_table import csv_lines
from app.provenance.borrowing_view import difference_rows, kind_tables, measured_by_arm
from app.provenance.queries import SetChoice, chosen_set, study_set_choices
from app.provenance.store import Indexes
from app.settings import settings_for
from app.studies.queries import get_study


def borrowing(
    study: StudyArgument,
    tuning_set: Annotated[str, typer.Option(metavar="NAME", help="Name or id of the set; else the arms' own.")] = "",
    out: Annotated[
        str, typer.Option(metavar="FILE", help="CSV file of every response; - is standard output instead of rates.")
    ] = "",
    checkpoints: RegistryOption = None,
) -> None:
    """Measure how much each response borrowed; interrupted, it goes on where it was."""
    settings = settings_for(checkpoints)
    engines = open_engines(load_registry(settings.resolved_checkpoints), settings)
    with opened_database(settings) as database:
        with reading(database) as session:
            study_id = get_study(session, study).id
            set_id = _wanted(study_set_choices(session, study_id), tuning_set).row.id
        indexes = Indexes(settings.data_dir / "provenance", database)
        with _bar() as on_progress:
            measure(database, indexes, engines, study_id, set_id, on_progress=on_progress)
        with reading(database) as session:
            if out:
                with output_file(out) as file:
                    file.writelines(csv_lines(session, study_id, set_id))
            if out != "-":
                rows, have = answered(session, study_id), rows_of(session, study_id, set_id)
                arms = measured_by_arm(rows, have, lengths(session, study_id))
                registry = engines.registry.checkpoints
                roles = {one.arm: str(registry[one.checkpoint].role) for one in rows if one.checkpoint in registry}
        indexes.close()
    if out == "-":
        return
    for table in kind_tables([arm_rates(name, measured) for name, measured in arms.items()]):
        console.print(table.name, style="bold", markup=False)
        for cell in table.rows:
            words = f"{cell.found}, {cell.expected} expected, {cell.excess} ({cell.n})" if cell.found else cell.reason
            console.print(f"  {cell.arm}: {words}", markup=False, soft_wrap=True)
    for row in difference_rows(differences(arms), roles):
        words = f"{row.first} less {row.second}, shifted tokens: {row.found}; above expected: {row.excess}"
        console.print(f"{words} ({row.items} items)", markup=False, soft_wrap=True)


def _wanted(choices: tuple[SetChoice, ...], name: str) -> SetChoice:
    """Find a set by id or name, the newest version of a name; without one, the arms' own."""
    if name:
        found = [choice for choice in choices if name in {choice.row.id, choice.row.name}]
        if not found:
            known = ", ".join(sorted({choice.row.name for choice in choices})) or "none"
            raise InvalidInputError(f"There is no tuning set {name!r} that is ready.", remedy=f"There are: {known}.")
        return max(found, key=lambda choice: choice.row.version)
    chosen = chosen_set(choices, "")
    if chosen is None:
        raise InvalidInputError(
            "No checkpoint of this study has a tuning set.",
            remedy="Import one: tuneshift tuning-set add FILE --checkpoint NAME; or name one by --tuning-set.",
        )
    return chosen


@contextmanager
def _bar() -> Iterator[Callable[[int, int], None]]:
    with bars() as progress:
        reports: list[Report] = []

        def show(done: int, total: int) -> None:
            if not reports and total:
                reports.append(progress.step("Measure borrowing", total))
            for report in reports:
                report(done, "")

        yield show
