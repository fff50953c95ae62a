"""What many commands share and every one can afford: options, the two consoles, JSON, files of text."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer
from rich.console import Console

from app.errors import InvalidInputError

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


@contextmanager
def output_file(target: str) -> Iterator[TextIO]:
    """Open a text file to write, `-` for standard output; a file appears under its name only when complete."""
    if target == "-":
        yield sys.stdout
        return
    path = Path(target)
    if not path.parent.is_dir():
        raise InvalidInputError(f"The folder {path.parent} does not exist.", remedy="Create it or name another.")
    partial = path.with_name(f"{path.name}.partial")
    with partial.open("w", encoding="utf-8", newline="") as file:
        yield file
    partial.replace(path)


def read_lines(path: Path) -> list[str]:
    """Read a UTF-8 file into lines; raises InvalidInputError naming the file."""
    try:
        # Only line feeds end a line of JSONL: splitlines() would cut a text at U+2028 too.
        return path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except FileNotFoundError as error:
        raise InvalidInputError(f"{path} does not exist.") from error
    except UnicodeDecodeError as error:
        raise InvalidInputError(
            f"{path} is not UTF-8 text (byte {error.start}).", remedy="Save it as UTF-8."
        ) from error


def read_bytes(file: Path) -> bytes:
    """Read a file whole; raises InvalidInputError naming it."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise InvalidInputError(f"{file} cannot be read: {error.strerror}.") from error
