"""One answer of one checkpoint, as a comparison runs it."""

from contextlib import aclosing

from app.compare.plan import build_plan
from app.compare.runner import Ending, TokenArrived, run_columns
from app.engines.protocol import Decoding
from models import BasePrompt

PROMPT = "Explain why the sky is blue to a child, then to a physicist."


async def column(engines, name="base", max_tokens=16, on_token=lambda _: None):
    """Answer the prompt; returns how many tokens a page had, and how it ended."""
    plan = build_plan(
        engines, PROMPT, [name], base_prompt=BasePrompt.SAME_IDS, decoding=Decoding(max_tokens=max_tokens)
    )
    tokens = 0
    async with aclosing(run_columns(engines, plan)) as events:
        async for event in events:
            if isinstance(event, TokenArrived):
                tokens += 1
                on_token(tokens)
            if isinstance(event, Ending):
                return tokens, event
    raise AssertionError("no ending")
