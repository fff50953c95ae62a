"""Texts as small whole numbers, so that a million of them are one array."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Coded:
    """`names[codes[i]]` is text i; as `coded` returns them names are sorted, so equal tables have equal codes."""

    names: tuple[str, ...]
    codes: Ints

    def take(self, where: Ints | Bools) -> "Coded":
        """Return some of the texts, under the same codes."""
        return Coded(self.names, self.codes[where])

    def code(self, name: str) -> int:
        """Return the code of a name, -1 for one that is not there."""
        return self.names.index(name) if name in self.names else -1


def coded(texts: Sequence[str] | Coded, *, names: Iterable[str] = ()) -> Coded:
    """Encode texts; `names` are in the vocabulary even where no text says them.

    Of texts that are encoded already, names may come in any order and twice, but each must occur.
    """
    vocabulary = sorted({*names, *(texts.names if isinstance(texts, Coded) else texts)})
    places = {name: at for at, name in enumerate(vocabulary)}
    if isinstance(texts, Coded):
        changed = np.fromiter((places[name] for name in texts.names), np.int64, count=len(texts.names))
        return Coded(tuple(vocabulary), changed[texts.codes])
    return Coded(tuple(vocabulary), np.fromiter((places[text] for text in texts), np.int64, count=len(texts)))


def used(codes: Ints) -> Ints:
    """Renumber codes, of which none is negative, so that those that occur are 0, 1, 2... in order."""
    return np.asarray((np.cumsum(np.bincount(codes) > 0) - 1)[codes], np.int64)
