"""The tokens of a response laid over its text: which wrote what, and of which class they are."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from app.provenance.fates import Counts
from app.provenance.tokens import TokenRange
from app.shift.classes import ShiftClass


@dataclass(frozen=True, slots=True)
class PlacedTokens:
    """Token i wrote `text[ends[i - 1]:ends[i]]` (code points) and is of `classes[i]`, None where nobody scored it.

    `ranges` are the scored ones, as the search wants them.
    """

    ends: tuple[int, ...] = ()
    classes: tuple[ShiftClass | None, ...] = ()
    ranges: tuple[TokenRange, ...] = ()

    def indices(self, start: int, end: int) -> tuple[int, ...]:
        """List the tokens that wrote some of the code points `start:end`, and those between them that wrote nothing."""
        first = bisect_right(self.ends, start)
        last = first
        while last < len(self.ends) and (self.ends[last - 1] if last else 0) < end:
            last += 1
        return tuple(range(first, last))

    def touching(self, places: Iterable[tuple[int, int]]) -> tuple[int, ...]:
        """List the tokens that touch any of some places, each once, in order."""
        return tuple(sorted({at for start, end in places for at in self.indices(start, end)}))

    def counts(self, indices: Iterable[int]) -> Counts:
        """Count tokens by class; those without one are not counted."""
        found = [self.classes[at] for at in indices]
        return Counts(*(found.count(shift) for shift in ShiftClass))


def place_tokens(texts: Sequence[str], classes: Sequence[ShiftClass | None]) -> PlacedTokens:
    """Lay tokens side by side: each text begins where the one before ended."""
    ends = tuple(accumulate(map(len, texts)))
    starts = (0, *ends[:-1])
    ranges = (
        TokenRange(start, end, shift)
        for start, end, shift in zip(starts, ends, classes, strict=False)
        if shift is not None
    )
    return PlacedTokens(ends, tuple(classes), tuple(ranges))
