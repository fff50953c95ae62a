"""`tuneshift trace`: where the phrases of responses stand in a tuning set, without a browser or a model."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from app.cli.files import name_of, output_file, readable
from app.demo.progress import Report, bars
from app.errors import InvalidInputError
from app.provenance.index import Index, Instance, ensure_index
from app.provenance.lines import FORM, TraceLine, parse_trace_line
from app.provenance.record import trace_record
from app.provenance.trace import trace as trace_response
from app.settings import Settings
from app.tuning_sets.read import answers_of, instruction_of, iter_examples
from app.tuning_sets.records import iter_records

_REPORT_EVERY = 500


def trace(
    tuning_set: Annotated[
        Path, typer.Option(metavar="FILE", help="Alpaca, ShareGPT, messages or Dolly; JSON, JSONL or Parquet.")
    ],
    source: Annotated[
        Path,
        typer.Option(
            "--input", metavar="FILE", help="JSON lines: id and response, with or without tokens; - is standard input."
        ),
    ],
    output: Annotated[
        str, typer.Option("--output", metavar="FILE", help="Where the JSON lines go; - is standard output.")
    ],
    k: Annotated[int, typer.Option(min=1, max=1000, help="How many nearest instances to keep.")] = 10,
) -> None:
    """Find verbatim spans and nearest instances of each response in a tuning set, and what it borrowed."""
    with output_file(output) as file:
        lines = _lines(source)
        index = _index(tuning_set)
        with bars() as progress:
            report = progress.step("Trace responses", len(lines))
            for done, line in enumerate(lines, start=1):
                record = trace_record(line.id, trace_response(index, line.response, line.tokens, k=k))
                file.write(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n")
                report(done, "")


def _lines(source: Path) -> list[TraceLine]:
    name = name_of(source)
    with readable(source) as file:
        lines = [parse_trace_line(record.value, record.where) for record in iter_records(file, name)]
    if not lines:
        raise InvalidInputError(f"{name} is empty.", remedy=FORM)
    return lines


def _index(path: Path) -> Index:
    """Open the index of a file's content under the data folder, building it when it is new."""
    root = Settings().data_dir / "provenance"
    try:
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        size = path.stat().st_size
    except OSError as error:
        raise InvalidInputError(
            f"{path} cannot be read ({error.strerror}).", remedy="Give the path of a tuning set."
        ) from error
    with bars() as progress:
        return ensure_index(root, sha256, lambda: _instances(path, progress.step("Index the tuning set", size)))


def _instances(path: Path, report: Report) -> Iterator[Instance]:
    """Read the tuning set; progress is told in bytes of the file."""
    end = 0
    for number, example in enumerate(iter_examples(path, empty_answers=True)):
        if number % _REPORT_EVERY == 0:
            report(example.end, f"instance {number:,}")
        yield Instance(example.id, instruction_of(example), answers_of(example))
        end = example.end
    report(end, "")
