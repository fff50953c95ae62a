"""Every measure of an answer as one JSON object: what colours and charts in the page are drawn from."""

from collections.abc import Sequence
from typing import Any

from app.shift.measures import BY_NAME, MEASURES, level
from app.shift.profile import cumulative, profile
from app.tokens.answer import Answer

CUMULATIVE = "kl_tuned_base"


def measures_json(answer: Answer, *, base_prompt: str) -> dict[str, Any]:
    """Say all measures of an answer: per name `values` (six significant digits) and `levels`, null where missing.

    `n` counts the tokens; `cumulative` adds up KL(tuned ‖ base) in nats, a lower bound after a missing value.
    """
    found: dict[str, Any] = {}
    for measure in MEASURES:
        values = profile(answer.shifts, measure)
        found[measure.name] = {"values": _rounded(values), "levels": [level(measure, value) for value in values]}
    return {
        "response_id": answer.response_id,
        "checkpoint": answer.checkpoint,
        "reference": answer.reference,
        "base_prompt": base_prompt,
        "kl_kind": answer.kl_kind,
        "n": len(answer.ids),
        "measures": found,
        "cumulative": {CUMULATIVE: _rounded(cumulative(profile(answer.shifts, BY_NAME[CUMULATIVE])))},
    }


def _rounded(values: Sequence[float | None]) -> list[float | None]:
    # Significant digits, not decimals: the smallest probabilities keep their size.
    return [None if value is None else float(f"{value:.6g}") for value in values]
