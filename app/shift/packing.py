"""Keep a trace as one small blob: columns of numbers, each in the narrowest type that loses nothing, deflated.

Layout: one version byte, then a zlib stream of `header length (4 bytes, little-endian) | JSON header | columns`.
The header lists `[name, type, count]` in the order of the columns.
"""

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.shift.align import Top
from app.shift.trace import TokenShift

VERSION = 1
_LEVEL = 6

_INTEGERS = ("id", "base_rank", "tuned_rank", "ties", "near_border")
_FLOATS = ("base_logprob", "tuned_logprob", "kl_tuned_base", "kl_base_tuned", "base_entropy", "tuned_entropy")
_MAYBE = tuple(name for name in _FLOATS if name != "tuned_logprob")
_TOPS = ("top_base", "top_tuned")


def pack(tokens: Sequence[TokenShift], names: Mapping[int, bytes] | None = None) -> bytes:
    """Encode a trace; `unpack(pack(tokens)) == tuple(tokens)`, bit for bit. No number of a trace is NaN.

    `names` are the bytes of ids that occur in it; with them a reader needs no tokenizer.
    """
    columns = dict(_columns(tokens)) | dict(_name_columns(names or {}))
    header = json.dumps([[name, column.dtype.str, len(column)] for name, column in columns.items()]).encode()
    body = b"".join(column.tobytes() for column in columns.values())
    return bytes([VERSION]) + zlib.compress(len(header).to_bytes(4, "little") + header + body, _LEVEL)


def unpack(data: bytes) -> tuple[TokenShift, ...]:
    """Decode a packed trace. Raises ValueError for a version this code does not know, or for damaged bytes."""
    return open_packed(data).tokens()


def unpack_names(data: bytes) -> dict[int, bytes]:
    """Decode the names packed with a trace, by id. Raises ValueError as `unpack` does."""
    return open_packed(data).names()


def open_packed(data: bytes) -> "Packed":
    """Inflate a packed trace without building its tokens. Raises ValueError as `unpack` does."""
    return Packed(_read(data))


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """An inflated trace: columns of numbers, from which one token is built as fast as the trace is short."""

    columns: Mapping[str, NDArray[Any]]

    def __len__(self) -> int:
        """Count the tokens."""
        return len(self.columns["id"])

    def token(self, index: int) -> TokenShift:
        """Build one token."""
        return self._build(index, index + 1)[0]

    def tokens(self) -> tuple[TokenShift, ...]:
        """Build every token."""
        return self._build(0, len(self))

    def names(self) -> dict[int, bytes]:
        """Return the bytes of the ids that occur in it, by id."""
        raw = self.columns["names.bytes"].tobytes()
        spans = pairwise(accumulate(self.columns["names.n"].tolist(), initial=0))
        return {
            token: raw[start:end] for token, (start, end) in zip(self.columns["names.id"].tolist(), spans, strict=True)
        }

    def _build(self, start: int, stop: int) -> tuple[TokenShift, ...]:
        numbers = {name: self.columns[name][start:stop].tolist() for name in (*_INTEGERS, *_FLOATS)}
        for name in _MAYBE:
            numbers[name] = [None if value != value else value for value in numbers[name]]  # noqa: PLR0124
        tops = {name: self._tops(name, start, stop) for name in _TOPS}
        return tuple(
            TokenShift(
                id=numbers["id"][t],
                base_rank=numbers["base_rank"][t],
                base_logprob=numbers["base_logprob"][t],
                tuned_rank=numbers["tuned_rank"][t],
                tuned_logprob=numbers["tuned_logprob"][t],
                kl_tuned_base=numbers["kl_tuned_base"][t],
                kl_base_tuned=numbers["kl_base_tuned"][t],
                ties=numbers["ties"][t],
                near_border=bool(numbers["near_border"][t]),
                base_entropy=numbers["base_entropy"][t],
                tuned_entropy=numbers["tuned_entropy"][t],
                top_base=tops["top_base"][t],
                top_tuned=tops["top_tuned"][t],
            )
            for t in range(stop - start)
        )

    def _tops(self, name: str, start: int, stop: int) -> list[Top]:
        lengths = self.columns[f"{name}.n"]
        first = int(lengths[:start].sum())
        ends = list(accumulate(lengths[start:stop].tolist(), initial=0))
        rows = slice(first, first + ends[-1])
        ids, logprobs = (self.columns[f"{name}.{part}"][rows].tolist() for part in ("id", "logprob"))
        pairs = list(zip(ids, logprobs, strict=True))
        return [tuple(pairs[low:high]) for low, high in pairwise(ends)]


def _columns(tokens: Sequence[TokenShift]) -> Iterator[tuple[str, NDArray[Any]]]:
    for name in _INTEGERS:
        yield name, _narrow_integers([int(getattr(token, name)) for token in tokens])
    for name in _FLOATS:
        values = [getattr(token, name) for token in tokens]
        yield name, _narrow_floats([np.nan if value is None else value for value in values])
    for name in _TOPS:
        tops: list[Top] = [getattr(token, name) for token in tokens]
        yield f"{name}.n", _narrow_integers([len(top) for top in tops])
        yield f"{name}.id", _narrow_integers([token for top in tops for token, _ in top])
        yield f"{name}.logprob", _narrow_floats([logprob for top in tops for _, logprob in top])


def _name_columns(names: Mapping[int, bytes]) -> Iterator[tuple[str, NDArray[Any]]]:
    yield "names.id", _narrow_integers(list(names))
    yield "names.n", _narrow_integers([len(name) for name in names.values()])
    yield "names.bytes", np.frombuffer(b"".join(names.values()), dtype="<u1")


def _narrow_integers(values: list[int]) -> NDArray[Any]:
    largest = max(values, default=0)
    return np.array(values, dtype=next(kind for kind in ("<u1", "<u2", "<u4", "<u8") if largest <= np.iinfo(kind).max))


def _narrow_floats(values: list[float]) -> NDArray[Any]:
    wide = np.array(values, dtype="<f8")
    with np.errstate(over="ignore"):
        narrow = wide.astype("<f4")
    return narrow if np.array_equal(narrow.astype("<f8"), wide, equal_nan=True) else wide


def _read(data: bytes) -> dict[str, NDArray[Any]]:
    if data[:1] != bytes([VERSION]):
        raise ValueError(f"a packed trace starts with version {VERSION}, not {data[:1].hex() or 'nothing'}")
    try:
        raw = zlib.decompress(data[1:])
    except zlib.error as error:
        raise ValueError(f"a packed trace is damaged: {error}") from error
    at = 4 + int.from_bytes(raw[:4], "little")
    columns: dict[str, NDArray[Any]] = {}
    for name, kind, count in json.loads(raw[4:at]):
        columns[name] = np.frombuffer(raw, dtype=kind, count=count, offset=at)
        at += count * np.dtype(kind).itemsize
    return columns
