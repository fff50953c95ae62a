"""What many commands share and every one can afford: options, the two consoles, JSON."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

REGISTRY_HELP = "The registry; else TUNESHIFT_CHECKPOINTS, else checkpoints.toml in the data folder."
RegistryOption = Annotated[
    Path | None,
    typer.Option(
        "--checkpoints",
        "--registry",
        metavar="FILE",
        help=REGISTRY_HELP,
    ),
]
StudyArgument = Annotated[str, typer.Argument(metavar="STUDY", help="The study's short name.")]
EmailArgument = Annotated[str, typer.Argument(metavar="EMAIL", help="Their e-mail address.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]
MaxTokensOption = Annotated[int, typer.Option(min=1, help="Longest answer, in tokens.")]

console = Console(highlight=False)
notes = Console(stderr=True, highlight=False)


def print_json(value: Any) -> None:
    """Write one JSON document to standard output, never a NaN."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n")
