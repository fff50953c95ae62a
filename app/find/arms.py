"""How much each arm of a source is shifted, whole and in its two stretches, with intervals over prompts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import and_
from sqlmodel import Session, col, select

from app.find.asked import Asked
from app.find.sources import Source, rows_of
from app.shift.classes import ShiftClass
from app.stats.bootstrap import DRAWS, SEED, Interval, paired_differences
from app.stats.bootstrap import rates as bootstrap_rates
from models import TraceAggregate, User

PARTS: tuple[tuple[str, str], ...] = (("whole", "Whole response"), ("first5", "First 5 %"), ("last95", "Last 95 %"))
CLASSES = tuple(ShiftClass)
CELLS = [(part, kind) for part, _ in PARTS for kind in CLASSES]
MAX_PAIRS = 10
CSV_COLUMNS = (
    "source",
    "base_prompt",
    "arm",
    "minus_arm",
    "part",
    "class",
    "rate",
    "ci_low",
    "ci_high",
    "tokens",
    "prompts",
    "responses",
    "draws",
    "seed",
    "reason",
)


@dataclass(frozen=True, slots=True)
class Rate:
    """One cell: the share of a class in a part of the responses, of an arm or as a difference of two."""

    part: str
    kind: str
    interval: Interval


@dataclass(frozen=True, slots=True)
class ArmRates:
    """One arm, or `minus` another, over the prompts both answered."""

    arm: str
    minus: str
    responses: int
    rates: tuple[Rate, ...]

    def at(self, part: str, kind: str) -> Interval:
        """Return one cell."""
        return next(rate.interval for rate in self.rates if (rate.part, rate.kind) == (part, kind))


@dataclass(frozen=True, slots=True)
class Rates:
    """The whole table. `left_out` counts pairs of arms beyond those shown."""

    arms: tuple[ArmRates, ...]
    differences: tuple[ArmRates, ...]
    left_out: int
    draws: int = DRAWS
    seed: int = SEED


@dataclass(frozen=True, slots=True)
class _Sums:
    """Counts per prompt, `[prompts, cells]`, prompts ascending; a part's tokens stand beside each of its classes."""

    prompts: NDArray[Any]
    part: NDArray[np.float64]
    whole: NDArray[np.float64]
    responses: int


def rates(session: Session, source: Source, user: User, asked: Asked, roles: dict[str, str] | None = None) -> Rates:
    """Compute the table from aggregates alone. `roles` puts the pair of LFT against SFT first where it is known."""
    sums = _sums_by_arm(session, source, user, asked)
    arms = tuple(
        ArmRates(arm, "", one.responses, _cells(bootstrap_rates(one.part, one.whole))) for arm, one in sums.items()
    )
    pairs = sorted(combinations(sums, 2), key=lambda pair: _rank(pair, roles or {}))
    return Rates(
        arms=arms,
        differences=tuple(_difference(sums, *pair) for pair in pairs[:MAX_PAIRS]),
        left_out=max(0, len(pairs) - MAX_PAIRS),
    )


def csv_rows(source: Source, asked: Asked, table: Rates) -> Iterator[Sequence[Any]]:
    """Spell the table out, one cell a row; what does not exist is empty, with its reason."""
    for row in (*table.arms, *table.differences):
        for rate in row.rates:
            found = rate.interval
            numbers = (found.estimate, found.low, found.high, found.n, found.clusters, row.responses)
            yield (
                source.name,
                asked.base_prompt.value,
                row.arm,
                row.minus,
                rate.part,
                rate.kind,
                *numbers,
                found.draws,
                found.seed,
                found.reason,
            )


def _rank(pair: tuple[str, str], roles: dict[str, str]) -> int:
    if {roles.get(name, name) for name in pair} == {"lft", "sft"}:
        return 0
    return 2 if "base" in {roles.get(name, name) for name in pair} else 1


def _sums_by_arm(session: Session, source: Source, user: User, asked: Asked) -> dict[str, _Sums]:
    rows = rows_of(source, user)
    row = TraceAggregate
    query = (
        select(  # type: ignore[call-overload]
            rows.c.arm,
            col(row.prompt_sha256),
            col(row.n),
            col(row.marginal),
            col(row.shifted),
            col(row.first5_n),
            col(row.first5_marginal),
            col(row.first5_shifted),
        )
        .select_from(rows)
        .join(
            row,
            and_(
                col(row.response_id) == rows.c.response_id,
                col(row.checkpoint) == rows.c.checkpoint,
                col(row.base_prompt) == asked.base_prompt,
            ),
        )
        .order_by(rows.c.arm)
    )
    found: dict[str, list[Any]] = {}
    for one in session.execute(query):
        found.setdefault(one[0], []).append(one)
    return {arm: _sum(lines) for arm, lines in found.items()}


def _sum(lines: list[Any]) -> _Sums:
    prompts, place = np.unique(np.array([line[1] for line in lines]), return_inverse=True)
    n, marginal, shifted, n5, marginal5, shifted5 = np.array([line[2:] for line in lines], dtype=np.float64).T
    parts: list[NDArray[np.float64]] = []
    wholes: list[NDArray[np.float64]] = []
    for size, second, third in (
        (n, marginal, shifted),
        (n5, marginal5, shifted5),
        (n - n5, marginal - marginal5, shifted - shifted5),
    ):
        parts += [size - second - third, second, third]
        wholes += [size] * len(CLASSES)

    def per_prompt(columns: list[NDArray[np.float64]]) -> NDArray[np.float64]:
        return np.stack([np.bincount(place, weights=one, minlength=len(prompts)) for one in columns], axis=-1)

    return _Sums(prompts, per_prompt(parts), per_prompt(wholes), len(lines))


def _difference(sums: dict[str, _Sums], first: str, second: str) -> ArmRates:
    one, other = sums[first], sums[second]
    _, here, there = np.intersect1d(one.prompts, other.prompts, return_indices=True)
    if not len(here):
        reason = "no prompt was answered by both arms"
        nothing = Interval(None, None, None, 0, 0, reason=reason)
        return ArmRates(first, second, 0, _cells([nothing] * len(CELLS)))
    found = paired_differences((one.part[here], one.whole[here]), (other.part[there], other.whole[there]))
    return ArmRates(first, second, len(here), _cells(found))


def _cells(intervals: Sequence[Interval]) -> tuple[Rate, ...]:
    return tuple(Rate(part, kind.value, found) for (part, kind), found in zip(CELLS, intervals, strict=True))
