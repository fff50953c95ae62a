"""Which token types a trace holds, how often each is shifted, and the sum of that over thousands of traces.

A type is a token id with the category it has in its place: `Sure` that opens an answer is another type than `sure`
inside a sentence. Layout of a blob: one version byte, then a packed record per type (`RECORD`), by id and category.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.shift.classes import ShiftClass
from app.shift.lexicon import Category
from app.shift.trace import TokenShift

VERSION = 1
CATEGORIES: tuple[Category, ...] = tuple(Category)

# `at` is the token (0-based) of that type with the largest base rank: the one worth looking at.
RECORD = np.dtype([("id", "<u4"), ("total", "<u4"), ("shifted", "<u4"), ("at", "<u4"), ("category", "u1")])


@dataclass(frozen=True, slots=True)
class Example:
    """Where to see a type: the trace (its place in the sequence given) and the token (0-based) of that response."""

    trace: int
    index: int


@dataclass(frozen=True, slots=True)
class TokenType:
    """One type over many traces: how many of its tokens there are, are shifted, and in how many responses."""

    id: int
    category: Category
    total: int
    shifted: int
    responses: int
    examples: tuple[Example, ...]

    @property
    def rate(self) -> float:
        """Shifted tokens of this type per token of it."""
        return self.shifted / self.total


def pack_types(tokens: Sequence[TokenShift], categories: Sequence[Category]) -> bytes:
    """Count the types of one trace; `categories` is one per token."""
    counted: dict[tuple[int, int], list[int]] = {}
    for index, (token, category) in enumerate(zip(tokens, categories, strict=True)):
        row = counted.setdefault((token.id, CATEGORIES.index(category)), [0, 0, index])
        row[0] += 1
        row[1] += token.shift_class is ShiftClass.SHIFTED
        if token.base_rank > tokens[row[2]].base_rank:
            row[2] = index
    rows = [(token, *row, category) for (token, category), row in sorted(counted.items())]
    return bytes([VERSION]) + np.array(rows, dtype=RECORD).tobytes()


def unpack_types(blob: bytes) -> NDArray[Any]:
    """Read the records of one blob; none of an empty one. Raises ValueError for a version this code does not know."""
    if blob and blob[0] != VERSION:
        raise ValueError(f"packed token types start with version {VERSION}, not {blob[0]}")
    return np.frombuffer(blob, dtype=RECORD, offset=1) if blob else np.empty(0, dtype=RECORD)


def most_shifted(
    blobs: Sequence[bytes],
    *,
    category: Category | None = None,
    by_rate: bool = False,
    least: int = 1,
    limit: int = 50,
    examples: int = 3,
) -> tuple[TokenType, ...]:
    """Sum blobs and list the types shifted most: by count, or by rate among those with at least `least` tokens.

    Types that are never shifted are left out; ties go by count, then by id. An example is from another response each,
    the ones with more shifted tokens first.
    """
    parts = [unpack_types(blob) for blob in blobs]
    rows = np.concatenate(parts) if parts else np.empty(0, dtype=RECORD)
    trace = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    if category is not None:
        wanted = rows["category"] == CATEGORIES.index(category)
        rows, trace = rows[wanted], trace[wanted]
    keys = rows["id"].astype(np.int64) * len(CATEGORIES) + rows["category"]
    found, place, responses = np.unique(keys, return_inverse=True, return_counts=True)
    total = np.bincount(place, weights=rows["total"], minlength=len(found)).astype(np.int64)
    shifted = np.bincount(place, weights=rows["shifted"], minlength=len(found)).astype(np.int64)
    eligible = np.flatnonzero((shifted > 0) & (total >= least))
    rate = shifted / np.maximum(total, 1)
    first = rate if by_rate else shifted
    order = eligible[np.lexsort((found[eligible], -shifted[eligible], -first[eligible]))][:limit]
    return tuple(
        TokenType(
            id=int(found[key]) // len(CATEGORIES),
            category=CATEGORIES[int(found[key]) % len(CATEGORIES)],
            total=int(total[key]),
            shifted=int(shifted[key]),
            responses=int(responses[key]),
            examples=_examples(rows, trace, np.flatnonzero(place == key), examples),
        )
        for key in order
    )


def _examples(
    rows: NDArray[Any], trace: NDArray[np.int64], here: NDArray[np.int64], wanted: int
) -> tuple[Example, ...]:
    here = here[rows["shifted"][here] > 0]
    best = here[np.argsort(-rows["shifted"][here].astype(np.int64), kind="stable")][:wanted]
    return tuple(Example(int(trace[row]), int(rows["at"][row])) for row in best)
