"""`tuneshift judgments convert | pick`: files of judgments made elsewhere, for the statistics or made smaller."""

from pathlib import Path
from typing import Annotated

import typer

from app.cli.common import notes
from app.cli.files import output_file, read_bytes
from app.errors import InvalidInputError
from app.results.outside import comparison_lines, of_models, read_outside
from app.studies.records import BadFileError, decoded


def convert(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="Arena battles, MT-bench judgments, alpaca_eval annotations, evalica, preferences."
        ),
    ],
    out: Annotated[str, typer.Option(metavar="FILE", help="CSV to write; - is standard output.")],
) -> None:
    """Write comparisons judged with another tool as `tuneshift stats` reads them."""
    try:
        found = read_outside(decoded(read_bytes(file)))
    except BadFileError as error:
        raise InvalidInputError(f"{error}", remedy="Nothing was written.") from error
    with output_file(out) as target:
        target.writelines(comparison_lines(found.comparisons))
    notes.print(f"{found.tool}: {len(found.comparisons)} comparisons.", markup=False, soft_wrap=True)
    for reason, count in sorted(found.left_out.items()):
        notes.print(f"Left out: {count}, {reason}.", markup=False, soft_wrap=True)
    if not found.sides:
        notes.print(
            "This format does not say which side a response stood on: read no position effect from it.", soft_wrap=True
        )


def pick(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="Arena battles, MT-bench judgments, alpaca_eval annotations, evalica."),
    ],
    models: Annotated[str, typer.Option(metavar="NAMES", help="Names of the models to keep, separated by commas.")],
    out: Annotated[
        str,
        typer.Option(metavar="FILE", help="File to write, CSV or JSON Lines as the other is; - is standard output."),
    ],
) -> None:
    """Keep the rows of a file that compare two of some models; a study has at most 12 arms."""
    names = [name.strip() for name in models.split(",") if name.strip()]
    try:
        lines, kept, others = of_models(decoded(read_bytes(file)), names)
    except BadFileError as error:
        raise InvalidInputError(f"{error}", remedy="Nothing was written.") from error
    with output_file(out) as target:
        target.writelines(lines)
    notes.print(f"{kept} rows kept, {others} of other models left out.", markup=False, soft_wrap=True)
