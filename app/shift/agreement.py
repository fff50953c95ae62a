"""Who agrees with whom: several checkpoints' own choices at each token of one response, pair by pair."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np

from app.shift.packing import Packed


@dataclass(frozen=True, slots=True)
class Choices:
    """What one checkpoint would have written: per token its own 1-based rank of the emitted id, and its first choice.

    None where it has not read the token, or where the first choice was not kept.
    """

    name: str
    ranks: tuple[int | None, ...]
    firsts: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How two checkpoints agree over the `n` tokens both have read: 0-based positions, in order.

    `same_choice`: their own first choices are the same id, whether or not it was written. `both_first`: each ranks the
    emitted token first.
    """

    first: str
    second: str
    n: int
    same_choice: tuple[int, ...]
    both_first: tuple[int, ...]


def own_choices(name: str, trace: Packed, n: int) -> Choices:
    """Read the choices of the checkpoint whose trace this is, over a response of `n` tokens; it may end early."""
    return _choices(name, trace, n, "tuned")


def base_choices(name: str, trace: Packed, n: int) -> Choices:
    """Read the choices of the base that a trace compares with: every trace holds its base's view too."""
    return _choices(name, trace, n, "base")


def _choices(name: str, trace: Packed, n: int, side: Literal["base", "tuned"]) -> Choices:
    # Straight from the columns: building every token of a long response, with its lists, takes a hundred times longer.
    columns = trace.columns
    lengths, ids = columns[f"top_{side}.n"].astype(np.int64), columns[f"top_{side}.id"]
    starts = np.cumsum(lengths) - lengths
    firsts = [
        int(ids[start]) if length else None for start, length in zip(starts.tolist(), lengths.tolist(), strict=True)
    ]
    missing = [None] * (n - len(trace))
    return Choices(name, (*columns[f"{side}_rank"].tolist(), *missing), (*firsts, *missing))


def agreements(views: Sequence[Choices]) -> tuple[Agreement, ...]:
    """Compare every pair once, in the order given. Raises ValueError where the views are not of one response."""
    return tuple(_agreement(first, second) for first, second in combinations(views, 2))


def _agreement(first: Choices, second: Choices) -> Agreement:
    both_read = [
        index
        for index, (one, other) in enumerate(zip(first.ranks, second.ranks, strict=True))
        if one is not None and other is not None
    ]
    return Agreement(
        first=first.name,
        second=second.name,
        n=len(both_read),
        same_choice=tuple(
            index
            for index in both_read
            if first.firsts[index] is not None and first.firsts[index] == second.firsts[index]
        ),
        both_first=tuple(index for index in both_read if first.ranks[index] == second.ranks[index] == 1),
    )
