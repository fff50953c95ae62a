"""What a vLLM server sends, as bytes in and values out: no sockets, no clock, no checkpoint names.

Shapes hold for vLLM 0.10 to 0.33. Unknown fields are ignored; a missing one that was asked for is an error, because
the server silently ignores a parameter it does not know.
"""

import json
import math
from dataclasses import dataclass
from typing import Any

from app.engines.protocol import FinishReason, Token
from app.shift.trace import PartialView

# JSON has no infinity, so the server writes this for a probability of zero.
FLOOR = -9999.0
# An event is one token with one log-probability; more than this is not vLLM.
MAX_EVENT_BYTES = 1_000_000
_MAX_WORDS = 300
_MOST_IDS = 2**31
# A probability of one may come out a little larger in half precision.
_ROUNDING = 0.01
_FINISH: dict[str, FinishReason] = {"stop": "stop", "length": "length"}
_PLACEHOLDER = "token_id:"


class WireError(Exception):
    """The bytes are not what a working server sends; `said` and `status` are the server's own where it gave any."""

    def __init__(self, message: str, *, said: str = "", status: int = 0) -> None:
        """Keep what went wrong and what the server said apart."""
        super().__init__(message)
        self.said = said
        self.status = status


class EventDecoder:
    """Server-sent events to their data: feed any split of the bytes, get the data of each event completed by it.

    Comment lines (keep-alives) and fields other than `data` are skipped. Raises WireError for an endless event.
    """

    def __init__(self) -> None:
        """Start before the first byte."""
        self._rest = b""
        self._data: list[bytes] = []

    def feed(self, received: bytes) -> list[bytes]:
        """Take the next bytes and return the data of every event they complete."""
        lines = (self._rest + received).splitlines(keepends=True)
        # A carriage return at the very end may be the first half of a line end.
        self._rest = lines.pop() if lines and not lines[-1].endswith(b"\n") else b""
        events = [event for line in lines for event in self._line(line.rstrip(b"\r\n"))]
        if len(self._rest) + sum(map(len, self._data)) > MAX_EVENT_BYTES:
            raise WireError("it sent an event without an end")
        return events

    def _line(self, line: bytes) -> list[bytes]:
        if not line:
            event, self._data = self._data, []
            return [b"\n".join(event)] if event else []
        field, _, value = line.partition(b":")
        if field == b"data":
            self._data.append(value.removeprefix(b" "))
        return []


class CompletionDecoder:
    """The body of a streamed `/v1/completions` to tokens; `finish` is set on the last one, `flush` checks it came.

    A chunk may hold no token, one, or several. Raises WireError for an error event, which a server that fails after
    its headers sends under status 200, and for anything that lacks an id or a log-probability.
    """

    def __init__(self) -> None:
        """Start before the first byte."""
        self._events = EventDecoder()
        self._count = 0
        self.finished = False

    def feed(self, received: bytes) -> list[Token]:
        """Take the next bytes and return the tokens they complete."""
        return [token for data in self._events.feed(received) for token in self._event(data)]

    def flush(self) -> None:
        """Raise WireError if the body ended before the last token."""
        if not self.finished:
            raise WireError("it closed the connection before the end")

    def _event(self, data: bytes) -> list[Token]:
        if self.finished or data == b"[DONE]":
            return []
        chunk = read_json(data)
        if error := chunk.get("error"):
            # Some refusals, such as of an id outside the vocabulary, come only after the headers.
            status = error.get("code") if isinstance(error, dict) else None
            raise WireError("it failed", said=error_message(data), status=status if isinstance(status, int) else 0)
        choices = chunk.get("choices")
        if not isinstance(choices, list) or (choices and not isinstance(choices[0], dict)):
            raise WireError("it sent an event that is not a completion")
        return self._choice(choices[0]) if choices else []

    def _choice(self, choice: dict[str, Any]) -> list[Token]:
        drawn = _drawn(choice)
        reason = choice.get("finish_reason")
        if reason is None:
            return [self._token(token_id, logprob) for token_id, logprob in drawn]
        if reason not in _FINISH or not drawn:
            raise WireError(f"it gave up ({reason})")
        self.finished = True
        *others, (last_id, last_logprob) = drawn
        tokens = [self._token(token_id, logprob) for token_id, logprob in others]
        return [*tokens, self._token(last_id, last_logprob, finish=_FINISH[reason])]

    def _token(self, token_id: int, logprob: float, *, finish: FinishReason | None = None) -> Token:
        token = Token(index=self._count, id=token_id, logprob=logprob, finish=finish)
        self._count += 1
        return token


def _drawn(choice: dict[str, Any]) -> list[tuple[int, float]]:
    logprobs = choice.get("logprobs") or {}
    try:
        ids = choice.get("token_ids")
        if ids is None:  # before 0.10.2 ids exist only as placeholder strings
            ids = [int(name.removeprefix(_PLACEHOLDER)) for name in logprobs.get("tokens", [])]
        values = [_logprob(value) for value in logprobs.get("token_logprobs", [])]
        return [(_id(token_id), value) for token_id, value in zip(ids, values, strict=True)]
    except (TypeError, ValueError, AttributeError) as error:
        raise WireError("it sent tokens without ids or log-probabilities") from error


def view(entry: dict[str, Any], token_id: int, k: int) -> PartialView:
    """Read one entry of `prompt_logprobs`; raises LookupError, TypeError or ValueError for another shape."""
    own = entry[str(token_id)]
    pairs = [(_id(int(name)), _logprob(value["logprob"])) for name, value in entry.items()]
    top = sorted((pair for pair in pairs if pair[1] > -math.inf), key=lambda pair: (-pair[1], pair[0]))
    return PartialView(logprob=_logprob(own["logprob"]), server_rank=int(own["rank"]), top=tuple(top[:k]))


def _id(value: Any) -> int:
    if type(value) is not int or not 0 <= value < _MOST_IDS:
        raise WireError("it sent token ids that no vocabulary has")
    return value


def _logprob(value: Any) -> float:
    number = float(value)
    if math.isnan(number):
        raise WireError("its model computes values that are not numbers")
    if number > _ROUNDING:
        raise WireError("it sent log-probabilities above zero")
    return -math.inf if number <= FLOOR else number


@dataclass(frozen=True, slots=True)
class ServedModel:
    """One row of `/v1/models`: an adapter names its parent; only full models tell their longest context."""

    name: str
    parent: str | None
    max_model_len: int | None


def served_models(body: bytes) -> dict[str, ServedModel]:
    """Read `/v1/models` by served name. Raises WireError for another shape."""
    try:
        rows = [
            ServedModel(name=row["id"], parent=row.get("parent"), max_model_len=row.get("max_model_len"))
            for row in read_json(body)["data"]
        ]
    except (TypeError, LookupError, AttributeError) as error:
        raise WireError("it does not list its models the way vLLM does") from error
    return {row.name: row for row in rows}


def error_message(body: bytes) -> str:
    """Find the server's own words in an error body: nested, a bare string, flat, or FastAPI's; "" if none."""
    try:
        content = read_json(body)
    except WireError:
        return ""
    error = content.get("error", content)
    words = error if isinstance(error, str) else None
    if isinstance(error, dict):
        words = error.get("message") or error.get("detail")
    return words[:_MAX_WORDS] if isinstance(words, str) else ""


def read_json(body: bytes) -> dict[str, Any]:
    """Read a JSON object. Raises WireError for anything else."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise WireError("it answered with something that is not JSON") from error
    if not isinstance(content, dict):
        raise WireError("it answered with JSON that is not an object")
    return content
