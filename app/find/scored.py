"""A scored file, line by line: what `tuneshift score` writes, read back bit for bit. Pure.

Keys that later versions added may be missing: `engine_version`, `border_width`, `near_border`, the entropies, `prompt`.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from app.shift.align import Top
from app.shift.classes import border_width, classify, near_border
from app.shift.trace import KlKind, TokenShift

MAX_LINE_BYTES = 64 * 2**20
_MAX_ID = 2**31 - 1
_MAX_RANK = 2**31 - 1
_UNSTORABLE = frozenset(map(chr, (0, *range(0xD800, 0xE000))))


class LineError(ValueError):
    """A line that cannot be used: the field, as people find it (`tokens[3].base_rank`), and what would be right."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.field = field
        self.message = message


@dataclass(frozen=True, slots=True)
class Record:
    """One scored response. `texts[i]` is what token i adds to it, `raws[i]` are its bytes."""

    id: str
    prompt: str
    prompt_ids: tuple[int, ...]
    engine: str
    engine_version: str
    dtype: str
    border_width: float
    kl_kind: KlKind
    tokens: tuple[TokenShift, ...]
    texts: tuple[str, ...]
    raws: tuple[bytes, ...]


def lines_of(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Read lines with their 1-based numbers; blank ones are left out, and none is held beyond `MAX_LINE_BYTES`.

    Raises LineError, whose message names the line, for one that is longer.
    """
    number = 0
    while line := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(line) > MAX_LINE_BYTES:
            raise LineError("", f"line {number} is longer than {MAX_LINE_BYTES // 2**20} MiB; write one record a line")
        if line.strip():
            yield number, line


def read_line(line: bytes) -> Record:
    """Read one line. Raises LineError for the first thing that cannot be used."""
    return _record(_object(_json(line), ""))


def _json(line: bytes) -> Any:
    if line.startswith((b"\xff\xfe", b"\xfe\xff")) or line[1:2] == b"\x00":
        raise LineError("", "this is UTF-16; save the file as UTF-8")
    try:
        text = line.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise LineError("", f"byte {error.start + 1} is not UTF-8; save the file as UTF-8") from error
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        where = f" at character {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
        raise LineError("", f"this is not JSON{where}; write one JSON object a line") from error


def _record(line: dict[str, Any]) -> Record:
    kl_kind = _text(line, "kl_kind")
    if kl_kind not in {"exact", "lower_bound"}:
        raise LineError("kl_kind", f"must be 'exact' or 'lower_bound', not {kl_kind[:40]!r}")
    dtype = _text(line, "dtype")
    given = _number(line, "border_width", "", least=0.0, default=None)
    border = border_width(dtype) if given is None else given
    tokens = _list(line, "tokens")
    read = [_token(_object(token, f"tokens[{index}]"), index, border) for index, token in enumerate(tokens)]
    return Record(
        id=_id(line),
        prompt=_text(line, "prompt", default=""),
        prompt_ids=tuple(
            _whole(value, f"prompt_ids[{at}]", 0, _MAX_ID) for at, value in enumerate(_list(line, "prompt_ids"))
        ),
        engine=_text(line, "engine")[:40],
        engine_version=_text(line, "engine_version", default="")[:40],
        dtype=dtype[:16],
        border_width=border,
        kl_kind=cast("KlKind", kl_kind),
        tokens=tuple(token for token, _, _ in read),
        texts=tuple(text for _, text, _ in read),
        raws=tuple(raw for *_, raw in read),
    )


def _token(line: dict[str, Any], index: int, border: float) -> tuple[TokenShift, str, bytes]:
    at = f"tokens[{index}]."
    if line.get("i", index) != index:
        raise LineError(f"{at}i", f"must be {index}, its place in the list")
    rank = _whole(_needed(line, "base_rank", at), f"{at}base_rank", 1, _MAX_RANK)
    if line.get("class", classify(rank).value) != classify(rank).value:
        raise LineError(f"{at}class", f"a base rank of {rank} is {classify(rank).value}")
    base_logprob = _number(line, "base_logprob", at, most=0.0)
    tuned_logprob = _number(line, "tuned_logprob", at, most=0.0)
    if tuned_logprob is None:
        raise LineError(f"{at}tuned_logprob", "must be a number")
    top_base = _top(line, "top_base", at)
    near = line.get("near_border")
    if near is None:
        listed = tuple(logprob for _, logprob in top_base)
        near = base_logprob is not None and near_border(base_logprob, rank, listed, border)
    token = TokenShift(
        id=_whole(_needed(line, "id", at), f"{at}id", 0, _MAX_ID),
        base_rank=rank,
        base_logprob=base_logprob,
        tuned_rank=_whole(_needed(line, "tuned_rank", at), f"{at}tuned_rank", 1, _MAX_RANK),
        tuned_logprob=tuned_logprob,
        kl_tuned_base=_number(line, "kl_tuned_base", at, least=0.0),
        kl_base_tuned=_number(line, "kl_base_tuned", at, least=0.0),
        ties=_whole(line.get("ties", 0), f"{at}ties", 0, _MAX_RANK),
        near_border=near is True,
        base_entropy=_number(line, "base_entropy", at, least=0.0, default=None),
        tuned_entropy=_number(line, "tuned_entropy", at, least=0.0, default=None),
        top_base=top_base,
        top_tuned=_top(line, "top_tuned", at),
    )
    return token, _text(line, "text", at), _bytes(line, at)


def _top(line: dict[str, Any], name: str, at: str) -> Top:
    result: list[tuple[int, float]] = []
    for place, pair in enumerate(_list(line, name, at)):
        field = f"{at}{name}[{place}]"
        if not isinstance(pair, list) or len(pair) != 2:  # noqa: PLR2004 - a pair
            raise LineError(field, "must be [id, logprob]")
        logprob = -math.inf if pair[1] is None else _real(pair[1], field, most=0.0)
        result.append((_whole(pair[0], field, 0, _MAX_ID), logprob))
    if len({id_ for id_, _ in result}) < len(result):
        raise LineError(f"{at}{name}", "names an id twice")
    return tuple(result)


def _bytes(line: dict[str, Any], at: str) -> bytes:
    try:
        return bytes.fromhex(_text(line, "bytes_hex", at))
    except ValueError as error:
        raise LineError(f"{at}bytes_hex", "must be pairs of hex digits") from error


_MISSING = object()


def _needed(line: dict[str, Any], name: str, at: str = "") -> Any:
    value = line.get(name, _MISSING)
    if value is _MISSING:
        raise LineError(f"{at}{name}", "is missing")
    return value


def _object(value: Any, field: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise LineError(field, "must be a JSON object")
    return value


def _list(line: dict[str, Any], name: str, at: str = "") -> list[Any]:
    value = _needed(line, name, at)
    if not isinstance(value, list):
        raise LineError(f"{at}{name}", "must be a list")
    return value


def _text(line: dict[str, Any], name: str, at: str = "", *, default: str | None = None) -> str:
    value = _needed(line, name, at) if default is None else line.get(name, default)
    if not isinstance(value, str):
        raise LineError(f"{at}{name}", "must be text")
    if not _UNSTORABLE.isdisjoint(value):
        raise LineError(f"{at}{name}", "contains a character that cannot be stored (NUL or half of a surrogate pair)")
    return value


def _id(line: dict[str, Any]) -> str:
    value = _needed(line, "id")
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise LineError("id", "must be text or a whole number")
    text = _text({"id": str(value)}, "id")
    if not 0 < len(text) <= 400:  # noqa: PLR2004 - what the column holds
        raise LineError("id", "must have 1 to 400 characters")
    return text


def _whole(value: Any, field: str, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise LineError(field, f"must be a whole number from {least} to {most:,}, not {str(value)[:40]}")
    return value


def _number(
    line: dict[str, Any],
    name: str,
    at: str,
    *,
    least: float = -math.inf,
    most: float = math.inf,
    default: Any = _MISSING,
) -> Any:
    """Read a number or null; a missing key is an error unless there is a default."""
    value = _needed(line, name, at) if default is _MISSING else line.get(name, default)
    return None if value is None else _real(value, f"{at}{name}", least=least, most=most)


def _real(value: Any, field: str, *, least: float = -math.inf, most: float = math.inf) -> float:
    # Rounding leaves log-probabilities of certain tokens, and KL of equal distributions, a hair beyond 0.
    slack = 1e-4
    real = isinstance(value, int | float) and not isinstance(value, bool)
    if not real or math.isnan(value) or value == math.inf or not least - slack <= value <= most + slack:
        bounds = "at most 0" if most == 0 else "at least 0" if least == 0 else "finite"
        raise LineError(field, f"must be a number, {bounds}, or null, not {str(value)[:40]}")
    return float(value)
