"""`tuneshift doctor | compare | score | classify`: what the checkpoints do, without a browser."""

import asyncio
import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from app.cli.common import (
    JsonOption,
    RegistryOption,
    console,
    notes,
    opened_engines,
    output_file,
    print_json,
    read_lines,
    settings_for,
)
from app.cli.printing import answer_record, print_answer
from app.compare.answers import Fold
from app.compare.plan import build_plan
from app.compare.runner import run_columns
from app.compare.scoring import classify_lines, score_lines
from app.diagnosis import diagnose
from app.engines.protocol import Decoding
from app.errors import EngineError
from app.settings import Settings
from app.tokens.answer import Answer
from models import BasePrompt, RunState

MaxTokens = Annotated[int, typer.Option(min=1, help="Longest answer, in tokens.")]


def add_to(cli: typer.Typer) -> None:
    """Register the commands."""
    for command in (doctor, compare, score, classify):
        cli.command()(command)


def doctor(checkpoints: RegistryOption = None, json: JsonOption = False) -> None:
    """Check engines, adapters, database and settings: one line each, exit code 1 if any fails."""
    findings = asyncio.run(diagnose(settings_for(checkpoints)))
    if json:
        print_json([{"part": f.part, "ok": f.ok, "detail": f.detail} for f in findings])
    else:
        for finding in findings:
            mark = "[green]ok  [/]" if finding.ok else "[red]FAIL[/]"
            console.print(mark, end=" ")
            console.print(f"{finding.part}: {finding.detail}", markup=False, soft_wrap=True)
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


def compare(
    prompt: Annotated[str, typer.Option(help="What to ask.")],
    checkpoints: Annotated[str, typer.Option(metavar="NAMES", help="Names, separated by commas.")] = "base,lft,sft",
    max_tokens: MaxTokens = 256,
    temperature: Annotated[float, typer.Option(min=0.0, max=5.0, help="0 is greedy.")] = 0.0,
    seed: Annotated[int, typer.Option(min=0, help="Fixes what a temperature draws.")] = 0,
    registry: Annotated[Path | None, typer.Option(metavar="FILE", help="The registry file.")] = None,
    json: JsonOption = False,
) -> None:
    """Answer one prompt with several checkpoints and show every token that tuning shifted."""
    names = [name.strip() for name in checkpoints.split(",") if name.strip()]
    decoding = Decoding(max_tokens=max_tokens, temperature=temperature, seed=seed)
    answers = asyncio.run(_compare(settings_for(registry), prompt, names, decoding))
    if json:
        print_json({"prompt": prompt, "columns": [answer_record(answer) for answer in answers]})
    else:
        for answer in answers:
            print_answer(console, answer)
    failures = [answer.message for answer in answers if answer.state is RunState.FAILED]
    if failures:
        raise EngineError(" ".join(failures))


async def _compare(settings: Settings, prompt: str, names: list[str], decoding: Decoding) -> tuple[Answer, ...]:
    async with opened_engines(settings) as engines:
        plan = build_plan(engines, prompt, names, base_prompt=BasePrompt.SAME_IDS, decoding=decoding)
        fold = Fold(plan, lambda name: engines.tokenizer_for(name).token_bytes)
        with notes.status("Answering"):
            async for event in run_columns(engines, plan):
                fold.take([event])
        return fold.answers()


def score(
    base: Annotated[str, typer.Option(help="The base checkpoint's name.")],
    tuned: Annotated[str, typer.Option(help="The tuned checkpoint's name.")],
    source: Annotated[Path, typer.Option("--input", help="JSON lines: id and prompt, with or without response.")],
    output: Annotated[str, typer.Option("--output", help="Where the JSON lines go; - is standard output.")],
    top_k: Annotated[int, typer.Option(min=1, max=1000, help="How many alternatives to keep per token.")] = 20,
    max_tokens: MaxTokens = 256,
    checkpoints: RegistryOption = None,
) -> None:
    """Score responses token by token under base and tuned; lines without a response are answered greedily first."""
    lines = read_lines(source)
    settings = settings_for(checkpoints)

    async def work() -> None:
        async with opened_engines(settings) as engines:
            records = score_lines(
                engines, base=base, tuned=tuned, lines=lines, source=source, top_k=top_k, max_tokens=max_tokens
            )
            with _progress() as progress, output_file(output) as file:
                task = progress.add_task("Scoring", total=sum(bool(line.strip()) for line in lines))
                async for record in records:
                    file.write(_line(record))
                    progress.advance(task)

    asyncio.run(work())


def classify(source: Annotated[Path, typer.Argument(metavar="FILE", help="JSON lines: id and 1-based ranks.")]) -> None:
    """Count shift classes from base ranks alone: whole, first 5 %, last 95 %."""
    for record in classify_lines(read_lines(source), source=source):
        print_json(record)


def _line(record: dict[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n"


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=notes)
