"""Columns of judgments, filled batch after batch: numbers as arrays, texts as codes, so that a million stay small."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.results.report.coded import Coded
from app.results.report.columns import Columns
from app.results.report.tables import SIDES

Codes = NDArray[np.int32]


class TextColumn:
    """Texts that repeat, each kept once."""

    def __init__(self) -> None:
        """Start empty."""
        self._codes: dict[str, int] = {}
        self._batches: list[Codes] = []

    def add(self, texts: Sequence[str]) -> None:
        """Add texts."""
        codes = self._codes
        for text in set(texts).difference(codes):
            codes[text] = len(codes)
        self._batches.append(np.fromiter(map(codes.__getitem__, texts), np.int32, count=len(texts)))

    def whole(self, names: Mapping[str, str] | None = None) -> Coded:
        """Return them all, each under another name where `names` are given."""
        called = tuple(names[text] for text in self._codes) if names is not None else tuple(self._codes)
        return Coded(called, np.concatenate(self._batches or [np.zeros(0, np.int32)], dtype=np.int64))


class NumberColumn:
    """Whole numbers or flags; None is 0."""

    def __init__(self, dtype: type[np.int64] | type[np.bool_] = np.int64) -> None:
        """Start empty."""
        self._dtype = dtype
        self._batches: list[NDArray[Any]] = []

    def add(self, values: Iterable[int | None]) -> None:
        """Add numbers."""
        self._batches.append(np.asarray([value or 0 for value in values], self._dtype))

    def whole(self) -> NDArray[Any]:
        """Return them all."""
        return np.concatenate(self._batches or [np.zeros(0, self._dtype)])


def accepted_columns(shown: Sequence[str], fine: Coded, meant: Mapping[str, Mapping[str, bool]]) -> Columns:
    """Spread what was said of either side over rows; `fine` is how it is stored, `meant` what each of these means."""
    who: list[str] = []
    side: list[str] = []
    acceptable: list[bool] = []
    for code, name in enumerate(fine.names):
        rows = np.flatnonzero(fine.codes == code).tolist() if meant[name] else []
        for one in SIDES:
            if one in meant[name]:
                who += [shown[at] for at in rows]
                side += [one] * len(rows)
                acceptable += [meant[name][one]] * len(rows)
    return {"presentation_id": who, "side": side, "acceptable": acceptable}
