"""The self-check of a checkpoint, through the engine protocol alone: does scoring see what generation did?

Servers have dropped LoRA deltas from one of the two paths before, which leaves numbers that look right and are not.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from app.engines.protocol import Decoding, Engine, Request
from app.errors import EngineError

CHECK_TOKENS = 24
# Rounding between decoding and scoring stays below these (nats); a dropped adapter moves far more than them.
TOLERANCE_FLOAT32 = 1e-3
TOLERANCE_BFLOAT16 = 1.0


@dataclass(frozen=True, slots=True)
class SelfCheck:
    """The result for one checkpoint: `passed`, and why in words."""

    checkpoint: str
    passed: bool
    detail: str


async def self_check(engine: Engine, checkpoint: str, *, reference: str, prompt_ids: tuple[int, ...]) -> SelfCheck:
    """Generate a few tokens greedily and compare their log-probabilities with those of scoring the same ids."""
    request = Request(checkpoint=checkpoint, prompt_ids=prompt_ids, decoding=Decoding(max_tokens=CHECK_TOKENS))
    try:
        tokens = [token async for token in engine.stream(request)]
        ids = tuple(token.id for token in tokens)
        scores = await engine.score(prompt_ids, ids, 1, checkpoint=checkpoint, reference=reference)
    except EngineError as error:
        return SelfCheck(checkpoint=checkpoint, passed=False, detail=f"self-check could not run: {error}")
    tolerance = TOLERANCE_FLOAT32 if scores.dtype == "float32" else TOLERANCE_BFLOAT16
    gaps = [abs(token.logprob - seen.tuned_logprob) for token, seen in zip(tokens, scores.tokens, strict=True)]
    worst = max(gaps)
    passed = worst <= tolerance
    verdict = "agree" if passed else "do not agree, so its numbers cannot be trusted"
    return SelfCheck(
        checkpoint=checkpoint,
        passed=passed,
        detail=f"generation and scoring {verdict}: largest difference {worst:.2g} nat over {len(gaps)} tokens",
    )


def joined(checkpoint: str, checks: Mapping[str, SelfCheck]) -> SelfCheck:
    """Make one result of those of a checkpoint's replicas, by where they are: it passes when all of them pass."""
    if len(checks) == 1:
        return next(iter(checks.values()))
    detail = "; ".join(f"{where}: {check.detail}" for where, check in checks.items())
    return SelfCheck(checkpoint=checkpoint, passed=all(check.passed for check in checks.values()), detail=detail)
