"""What a trace says of its response as a whole: one row of numbers, by which thousands of responses are told apart.

Every mean is over the tokens that have the number, and None where none has. KL, entropies and log-probabilities are in
nats. `peak` is the value largest in magnitude with its sign kept, so that the largest drops are found too.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from app.shift.classes import ShiftClass
from app.shift.lexicon import Category
from app.shift.measures import BY_NAME, value
from app.shift.summary import first_count, summarise
from app.shift.trace import TokenShift


@dataclass(frozen=True, slots=True)
class Aggregate:
    """The numbers of one trace; `first5` and `last95` split as in a summary, classes by the default thresholds.

    `late_shift_share`: of the shifted tokens, the share that stands in the second half (token i of n, 2·i >= n).
    `first_shift_at`: tokens before the first shifted one, as a share of n. Both are None without a shifted token.
    `content_shifted`: shifted tokens that are content words by the lexicon; None where it was not asked.
    """

    n: int
    unshifted: int
    marginal: int
    shifted: int
    first5_n: int
    first5_marginal: int
    first5_shifted: int
    late_shift_share: float | None
    first_shift_at: float | None
    max_base_rank: int | None
    mean_logprob_difference: float | None
    peak_logprob_difference: float | None
    mean_kl_tuned_base: float | None
    max_kl_tuned_base: float | None
    last95_kl_tuned_base: float | None
    mean_kl_base_tuned: float | None
    max_kl_base_tuned: float | None
    last95_kl_base_tuned: float | None
    mean_base_entropy: float | None
    mean_tuned_entropy: float | None
    mean_surprisal: float | None
    mean_top_k_overlap: float | None
    content_shifted: int | None


def aggregate(tokens: Sequence[TokenShift], categories: Sequence[Category] | None = None) -> Aggregate:
    """Sum up a response from its tokens in order; `categories` is one per token, or None where nobody knows."""
    n = len(tokens)
    summary = summarise(tokens)
    shifted = [index for index, token in enumerate(tokens) if token.shift_class is ShiftClass.SHIFTED]
    differences = _values("logprob_difference", tokens)
    kl_tuned_base, kl_base_tuned = _values("kl_tuned_base", tokens), _values("kl_base_tuned", tokens)
    return Aggregate(
        n=n,
        unshifted=summary.unshifted,
        marginal=summary.marginal,
        shifted=summary.shifted,
        first5_n=first_count(n),
        first5_marginal=summary.first5.marginal,
        first5_shifted=summary.first5.shifted,
        late_shift_share=sum(2 * index >= n for index in shifted) / len(shifted) if shifted else None,
        first_shift_at=shifted[0] / n if shifted else None,
        max_base_rank=max((token.base_rank for token in tokens), default=None),
        mean_logprob_difference=_mean(differences),
        peak_logprob_difference=max(differences, key=abs, default=None),
        mean_kl_tuned_base=summary.mean_kl_tuned_base,
        max_kl_tuned_base=max(kl_tuned_base, default=None),
        last95_kl_tuned_base=summary.last95.mean_kl_tuned_base,
        mean_kl_base_tuned=summary.mean_kl_base_tuned,
        max_kl_base_tuned=max(kl_base_tuned, default=None),
        last95_kl_base_tuned=summary.last95.mean_kl_base_tuned,
        mean_base_entropy=_mean(_values("base_entropy", tokens)),
        mean_tuned_entropy=_mean(_values("tuned_entropy", tokens)),
        mean_surprisal=_mean(_values("surprisal", tokens)),
        mean_top_k_overlap=_mean(_values("top_k_overlap", tokens)),
        content_shifted=None if categories is None else content_shifted(shifted, categories),
    )


def content_shifted(shifted: Iterable[int], categories: Sequence[Category]) -> int:
    """Count the content words among the shifted tokens (0-based indices)."""
    return sum(categories[index] is Category.CONTENT for index in shifted)


def _values(name: str, tokens: Sequence[TokenShift]) -> list[float]:
    numbers = (value(BY_NAME[name], token) for token in tokens)
    # An infinite log-probability is a fact of one token, and would leave nothing of a mean or a peak.
    return [number for number in numbers if number is not None and math.isfinite(number)]


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None
