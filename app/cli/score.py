"""`tuneshift score`: responses under base and tuned, token by token, from file to file."""

import asyncio
import json
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from app.cli.common import MaxTokensOption, RegistryOption, notes
from app.cli.files import name_of, output_file, read_lines
from app.cli.opened_engines import opened_engines
from app.compare.scoring import score_lines
from app.errors import EngineError
from app.settings import settings_for


def score(
    base: Annotated[str, typer.Option(metavar="NAME", help="The base checkpoint's name.")],
    tuned: Annotated[str, typer.Option(metavar="NAME", help="The tuned checkpoint's name.")],
    source: Annotated[
        Path,
        typer.Option(
            "--input", metavar="FILE", help="JSON lines: id and prompt, with or without response; - is standard input."
        ),
    ],
    output: Annotated[
        str, typer.Option("--output", metavar="FILE", help="Where the JSON lines go; - is standard output.")
    ],
    top_k: Annotated[int, typer.Option(min=1, max=1000, help="How many alternatives to keep per token.")] = 20,
    max_tokens: MaxTokensOption = 256,
    checkpoints: RegistryOption = None,
) -> None:
    """Score responses token by token under base and tuned; lines without a response are answered greedily first."""
    lines, name = read_lines(source), name_of(source)
    settings = settings_for(checkpoints)

    async def work(file: TextIO) -> None:
        async with opened_engines(settings) as engines:
            records = score_lines(
                engines, base=base, tuned=tuned, lines=lines, source=name, top_k=top_k, max_tokens=max_tokens
            )
            with _progress() as progress:
                task = progress.add_task("Scoring", total=sum(bool(line.strip()) for line in lines))
                async for record in records:
                    file.write(_line(record))
                    progress.advance(task)

    # Hours of scoring are not thrown away because a model stopped answering or somebody had to leave.
    with output_file(output, keep=(EngineError, KeyboardInterrupt)) as file:
        asyncio.run(work(file))


def _line(record: dict[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n"


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=notes)
