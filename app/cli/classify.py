"""`tuneshift classify`: shift classes of ranks that are known already; no model is needed."""

from pathlib import Path
from typing import Annotated

import typer

from app.cli.common import print_json
from app.cli.files import name_of, read_lines
from app.compare.lines import classify_lines


def classify(
    source: Annotated[
        Path, typer.Argument(metavar="FILE", help="JSON lines: id and 1-based ranks; - is standard input.")
    ],
) -> None:
    """Count shift classes from base ranks alone: whole, first 5 %, last 95 %."""
    # All lines are checked before the first is answered.
    for record in list(classify_lines(read_lines(source), source=name_of(source))):
        print_json(record)
