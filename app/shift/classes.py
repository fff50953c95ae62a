"""The three shift classes of Lin et al. 2023 (URIAL), by the base rank of the emitted token."""

from dataclasses import dataclass
from enum import StrEnum

NEAR_BORDER_FLOAT32 = 1e-3
NEAR_BORDER_BFLOAT16 = 0.25


class ShiftClass(StrEnum):
    """How far tuning moved the choice of a token."""

    UNSHIFTED = "unshifted"
    MARGINAL = "marginal"
    SHIFTED = "shifted"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Largest base rank that is still `unshifted`, and still `marginal`."""

    unshifted: int = 1
    marginal: int = 3

    def __post_init__(self) -> None:
        """Refuse thresholds that leave a class without a meaning."""
        if not 1 <= self.unshifted < self.marginal:
            msg = f"thresholds must satisfy 1 <= unshifted < marginal, not {self.unshifted} and {self.marginal}"
            raise ValueError(msg)


DEFAULT_THRESHOLDS = Thresholds()


def classify(base_rank: int, thresholds: Thresholds = DEFAULT_THRESHOLDS) -> ShiftClass:
    """Name the class of a 1-based base rank: 1 unshifted, 2-3 marginal, above shifted (defaults)."""
    if base_rank < 1:
        msg = f"a base rank is 1-based, not {base_rank}"
        raise ValueError(msg)
    if base_rank <= thresholds.unshifted:
        return ShiftClass.UNSHIFTED
    if base_rank <= thresholds.marginal:
        return ShiftClass.MARGINAL
    return ShiftClass.SHIFTED


def border_width(dtype: str) -> float:
    """Nats within which a rank may flip between runs of one dtype: rounding alone moves bfloat16 by up to 0.25."""
    return NEAR_BORDER_FLOAT32 if dtype == "float32" else NEAR_BORDER_BFLOAT16


def near_border(
    logprob: float,
    rank: int,
    top_logprobs: tuple[float, ...],
    width: float,
    thresholds: Thresholds = DEFAULT_THRESHOLDS,
) -> bool:
    """Tell whether moving this token by `width` nats could change its class.

    `top_logprobs` are the base's largest log-probabilities, descending; at least `thresholds.marginal + 1` of them.
    """
    for border in (thresholds.unshifted, thresholds.marginal):
        # The token that would have to change places with ours: the first one beyond the border, or the last one within.
        rival = border if rank <= border else border - 1
        if rival < len(top_logprobs) and abs(logprob - top_logprobs[rival]) < width:
            return True
    return False
