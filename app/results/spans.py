"""Which tokens a span covers, and how far tuning had shifted them. Pure."""

from collections.abc import Sequence
from itertools import accumulate, pairwise

from app.shift.classes import ShiftClass


def span_shift(lengths: Sequence[int], classes: Sequence[ShiftClass], *, start: int, end: int) -> dict[str, int]:
    """Count the classes of the tokens whose text overlaps `[start, end)`, in code points.

    `lengths[i]` is how many code points token i adds to the text; a token that adds none (a special, or part of a
    character) overlaps nothing. Tokens beyond `classes` were never scored and are not counted.
    """
    edges = list(pairwise(accumulate(lengths, initial=0)))
    inside = [
        kind
        for (first, last), kind in zip(edges, classes, strict=False)
        if first < last and first < end and last > start
    ]
    return {kind.value: inside.count(kind) for kind in ShiftClass} | {"n": len(inside)}
