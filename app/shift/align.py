"""Two top-k lists side by side: aligned by id, with a row for the rest, and the KL they can still prove."""

import math
from dataclasses import dataclass

Top = tuple[tuple[int, float], ...]

# Log-probabilities arrive as float32 sums, so a rest mass below this is rounding, not probability.
REST_RESOLUTION = 1e-6


@dataclass(frozen=True, slots=True)
class AlignedRow:
    """One id in both lists; a rank or log-probability is None where that model's list does not reach it."""

    id: int
    base_rank: int | None
    base_logprob: float | None
    tuned_rank: int | None
    tuned_logprob: float | None


@dataclass(frozen=True, slots=True)
class Alignment:
    """Rows by descending larger probability, and each model's mass outside its own list (0..1)."""

    rows: tuple[AlignedRow, ...]
    base_rest: float
    tuned_rest: float


def rest_mass(top: Top) -> float:
    """Probability outside a top-k list, never below 0."""
    return max(0.0, 1.0 - math.fsum(math.exp(logprob) for _, logprob in top))


def align(top_base: Top, top_tuned: Top) -> Alignment:
    """Join two descending top-k lists by token id; never by decoded string, which ids share."""
    base = {token: (rank, logprob) for rank, (token, logprob) in enumerate(top_base, start=1)}
    tuned = {token: (rank, logprob) for rank, (token, logprob) in enumerate(top_tuned, start=1)}
    nothing = (None, None)
    rows = [AlignedRow(token, *base.get(token, nothing), *tuned.get(token, nothing)) for token in base | tuned]
    rows.sort(key=lambda row: (-max(_known(row.base_logprob), _known(row.tuned_logprob)), row.id))
    return Alignment(rows=tuple(rows), base_rest=rest_mass(top_base), tuned_rest=rest_mass(top_tuned))


def kl_lower_bound(log_p: dict[int, float], log_q: dict[int, float]) -> float:
    """A proven lower bound of KL(p || q), nats, from partial distributions `{id: log-probability}`.

    Both are coarsened to the ids known on *both* sides plus one bucket for everything else. Merging outcomes never
    increases KL (data-processing inequality), so the result is at most the exact value, and at least 0.
    """
    shared = log_p.keys() & log_q.keys()
    bound = math.fsum(math.exp(log_p[token]) * (log_p[token] - log_q[token]) for token in shared)
    rest_p = 1.0 - math.fsum(math.exp(log_p[token]) for token in shared)
    rest_q = 1.0 - math.fsum(math.exp(log_q[token]) for token in shared)
    if rest_p > REST_RESOLUTION:
        bound += rest_p * math.log(rest_p / max(rest_q, REST_RESOLUTION))
    return max(0.0, bound)


def _known(logprob: float | None) -> float:
    return -math.inf if logprob is None else logprob
