"""`tuneshift compare`: one prompt and its answers, without a browser."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from app.cli.common import REGISTRY_HELP, JsonOption, MaxTokensOption, console, notes, print_json
from app.cli.opened_engines import opened_engines
from app.cli.printing import answer_record, print_answer
from app.compare.answers import Fold
from app.compare.plan import build_plan
from app.compare.runner import run_columns
from app.engines.protocol import Decoding
from app.errors import EngineError, InvalidInputError
from app.settings import Settings, settings_for
from app.tokens.answer import Answer
from models import BasePrompt, RunState


def compare(
    prompt: Annotated[str, typer.Option(metavar="TEXT", help="What to ask.")],
    checkpoints: Annotated[str, typer.Option(metavar="NAMES", help="Names, separated by commas.")] = "base,lft,sft",
    max_tokens: MaxTokensOption = 256,
    temperature: Annotated[float, typer.Option(min=0.0, max=5.0, help="0 is greedy.")] = 0.0,
    seed: Annotated[int, typer.Option(min=0, help="Fixes what a temperature above 0 draws.")] = 0,
    registry: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help=REGISTRY_HELP),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Answer one prompt with several checkpoints and show every token that tuning shifted."""
    names = _names(checkpoints)
    if not prompt.strip():
        raise InvalidInputError("--prompt is empty.", remedy="Say what to ask.")
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


def _names(typed: str) -> list[str]:
    names = list(dict.fromkeys(name.strip() for name in typed.split(",") if name.strip()))
    if not names:
        raise InvalidInputError("--checkpoints names none.", remedy="Name some, separated by commas: base,lft,sft.")
    return names


async def _compare(settings: Settings, prompt: str, names: list[str], decoding: Decoding) -> tuple[Answer, ...]:
    async with opened_engines(settings) as engines:
        plan = build_plan(engines, prompt, names, base_prompt=BasePrompt.SAME_IDS, decoding=decoding)
        fold = Fold(plan, lambda name: engines.tokenizer_for(name).token_bytes)
        with notes.status("Answering"):
            async for event in run_columns(engines, plan):
                fold.take([event])
        return fold.answers()
