"""Keep a trace as one small blob: columns of numbers, each in the narrowest type that loses nothing, deflated.

Layout: one version byte, then a zlib stream of `header length (4 bytes, little-endian) | JSON header | columns`.
The header lists `[name, type, count]` in the order of the columns.
"""

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
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
    columns = _read(data)
    tops = {name: _unflatten(columns, name) for name in _TOPS}
    floats = {name: [None if value != value else value for value in columns[name]] for name in _FLOATS}  # noqa: PLR0124
    return tuple(
        TokenShift(
            id=columns["id"][t],
            base_rank=columns["base_rank"][t],
            base_logprob=floats["base_logprob"][t],
            tuned_rank=columns["tuned_rank"][t],
            tuned_logprob=columns["tuned_logprob"][t],
            kl_tuned_base=floats["kl_tuned_base"][t],
            kl_base_tuned=floats["kl_base_tuned"][t],
            ties=columns["ties"][t],
            near_border=bool(columns["near_border"][t]),
            base_entropy=floats["base_entropy"][t],
            tuned_entropy=floats["tuned_entropy"][t],
            top_base=tops["top_base"][t],
            top_tuned=tops["top_tuned"][t],
        )
        for t in range(len(columns["id"]))
    )


def unpack_names(data: bytes) -> dict[int, bytes]:
    """Decode the names packed with a trace, by id. Raises ValueError as `unpack` does."""
    columns = _read(data)
    raw = bytes(columns["names.bytes"])
    spans = pairwise(accumulate(columns["names.n"], initial=0))
    return {token: raw[start:end] for token, (start, end) in zip(columns["names.id"], spans, strict=True)}


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


def _read(data: bytes) -> dict[str, list[Any]]:
    if data[:1] != bytes([VERSION]):
        raise ValueError(f"a packed trace starts with version {VERSION}, not {data[:1].hex() or 'nothing'}")
    try:
        raw = zlib.decompress(data[1:])
    except zlib.error as error:
        raise ValueError(f"a packed trace is damaged: {error}") from error
    at = 4 + int.from_bytes(raw[:4], "little")
    columns: dict[str, list[Any]] = {}
    for name, kind, count in json.loads(raw[4:at]):
        columns[name] = np.frombuffer(raw, dtype=kind, count=count, offset=at).tolist()
        at += count * np.dtype(kind).itemsize
    return columns


def _unflatten(columns: dict[str, list[Any]], name: str) -> list[Top]:
    pairs = list(zip(columns[f"{name}.id"], columns[f"{name}.logprob"], strict=True))
    ends = accumulate(columns[f"{name}.n"], initial=0)
    return [tuple(pairs[start:end]) for start, end in pairwise(ends)]
