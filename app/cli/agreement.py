"""`tuneshift stats agreement`: Krippendorff's alpha of any ratings, as JSON."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from app.cli.common import print_json
from app.cli.stats_files import FileArgument, read_ratings
from app.errors import InvalidInputError
from app.stats.agreement import krippendorff


class Level(StrEnum):
    """Levels of measurement."""

    NOMINAL = "nominal"
    ORDINAL = "ordinal"
    INTERVAL = "interval"
    RATIO = "ratio"


def agreement(source: FileArgument, level: Annotated[Level, typer.Option(help="How the values are measured.")]) -> None:
    """Krippendorff's alpha of a row per rater and a field per unit, without a header, blanks for missing."""
    read = read_ratings(source, numeric=level is not Level.NOMINAL)
    try:
        found = krippendorff(read.values, read.units, level=level.value)
    except ValueError as error:
        raise InvalidInputError(f"{source} cannot be measured: {error}", remedy="Choose another --level.") from error
    if found.alpha.value is None:
        print_json({"alpha": None, "reason": _labelled(found.alpha.reason, read.labels)})
        return
    record: dict[str, Any] = {
        "alpha": found.alpha.value,
        "ci_low": found.alpha.low,
        "ci_high": found.alpha.high,
        "n_pairable": found.n_pairable,
        "level": level.value,
    }
    print_json(record | ({"reason": found.alpha.reason} if found.alpha.reason else {}))


def _labelled(reason: str, labels: tuple[str, ...]) -> str:
    # A single label is numbered 0 while it is counted.
    return reason.replace("every value is 0", f"every value is {labels[0]}") if labels else reason
