"""Arrays and sorted strings in files, opened as memory maps: nothing is read before it is asked for."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Small files are read at once: an empty file cannot be mapped, and a map costs a descriptor.
_MAPPED_FROM_BYTES = 1 << 16
# Long enough for most words and every sub-word.
_HEAD = np.dtype("S16")


def save(folder: Path, name: str, values: NDArray[Any]) -> None:
    """Write one array."""
    np.save(folder / f"{name}.npy", np.ascontiguousarray(values), allow_pickle=False)


def load(folder: Path, name: str) -> NDArray[Any]:
    """Open one array read-only. Raises OSError or ValueError when it is missing or cut short."""
    path = folder / f"{name}.npy"
    mapped = path.stat().st_size >= _MAPPED_FROM_BYTES
    values = np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
    return np.asarray(values)


@dataclass(frozen=True, slots=True, eq=False)
class Strings:
    """Byte strings side by side; `ends[i]` is where string i ends."""

    data: memoryview
    ends: memoryview

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, position: int) -> bytes:
        return bytes(self.data[self.ends[position - 1] if position else 0 : self.ends[position]])

    def text(self, position: int) -> str:
        """Decode one string."""
        return self[position].decode()


@dataclass(frozen=True, slots=True, eq=False)
class Sorted:
    """Byte strings in order, found many at a time: `heads` are their first bytes, searched without Python."""

    strings: Strings
    heads: NDArray[np.bytes_]

    def __len__(self) -> int:
        return len(self.strings)

    def find(self, wanted: Sequence[bytes]) -> list[int | None]:
        """Return the position of each string, or None."""
        keys = np.array(wanted, dtype=self.heads.dtype)
        lows = np.searchsorted(self.heads, keys).tolist()
        highs = np.searchsorted(self.heads, keys, side="right").tolist()
        return [self._find(one, low, high) for one, low, high in zip(wanted, lows, highs, strict=True)]

    def _find(self, wanted: bytes, low: int, high: int) -> int | None:
        # Only strings with the same head are left to tell apart, which is one or none but for long words.
        at = low if high - low <= 1 else bisect_left(self.strings, wanted, low, high)
        return at if at < high and self.strings[at] == wanted else None


def save_strings(folder: Path, name: str, strings: Iterable[bytes]) -> None:
    """Write byte strings in the order given; `find` needs them sorted."""
    listed: Sequence[bytes] = list(strings)
    save(folder, f"{name}.bytes", np.frombuffer(b"".join(listed), dtype=np.uint8))
    save(folder, f"{name}.ends", np.cumsum(np.fromiter(map(len, listed), np.int64, len(listed)), dtype=np.int64))


def load_strings(folder: Path, name: str) -> Strings:
    """Open a table of byte strings."""
    return Strings(
        data=load(folder, f"{name}.bytes").data,
        ends=load(folder, f"{name}.ends").data,
    )


def save_sorted(folder: Path, name: str, strings: Sequence[bytes]) -> None:
    """Write byte strings that are sorted already."""
    save_strings(folder, name, strings)
    save(folder, f"{name}.heads", np.array(strings, dtype=_HEAD))


def load_sorted(folder: Path, name: str) -> Sorted:
    """Open a sorted table of byte strings."""
    return Sorted(load_strings(folder, name), load(folder, f"{name}.heads"))


def group(keys: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Return `size + 1` offsets into sorted `keys`: rows of key i are `offsets[i]:offsets[i + 1]`."""
    return np.searchsorted(keys, np.arange(size + 1)).astype(np.int64)
