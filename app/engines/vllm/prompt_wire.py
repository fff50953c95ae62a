"""The answer of a scoring, read while it arrives: megabytes of JSON are never held, and never trusted to end.

A server lists every position of prompt and response with its best ids, some 75 bytes each, and cannot be asked for a
part; so the list is cut into its entries as the bytes come, and each entry becomes a view at once.
"""

import codecs
import json
import re
from collections.abc import Sequence
from typing import Any

from app.engines.vllm.wire import WireError, view
from app.shift.trace import PartialView

# No entry of a list of the best ids needs more: names of ids are short, numbers have up to 24 characters.
MAX_BYTES_PER_ID = 400
_SLACK_BYTES = 65_536
_LIST = re.compile(r'"prompt_logprobs"\s*:\s*')
_BETWEEN = re.compile(r"[\s,]*")
_MISSING = "it answered without the log-probabilities of the prompt"
_SCANNER = json.JSONDecoder()


class PromptReader:
    """Feed the bytes of an answer, in any split, then take `views()`: one per id from position `start` (>= 1) on.

    Lists are descending, equal values by ascending id, at most `k` long; ids without any probability are left out.
    Both raise WireError when the answer does not cover exactly `ids`, or is longer than that could ever be.
    """

    def __init__(self, ids: Sequence[int], *, start: int, k: int) -> None:
        """Start before the first byte."""
        self._ids, self._start, self._k = ids, start, k
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._text = ""
        self._position: int | None = None
        self._ended = False
        self._left = _SLACK_BYTES + len(ids) * (k + 1) * MAX_BYTES_PER_ID
        self._views: list[PartialView] = []

    def feed(self, received: bytes) -> None:
        """Take the next bytes."""
        self._left -= len(received)
        if self._left < 0:
            raise WireError("it sent far more than it was asked for")
        if self._ended:
            return
        try:
            self._text += self._decoder.decode(received)
        except UnicodeDecodeError as error:
            raise WireError("it answered with something that is not JSON") from error
        if self._position is None:
            self._find()
        if self._position is not None:
            self._take_entries()
        if len(self._text) > _SLACK_BYTES + max(len(self._ids), self._k + 1) * MAX_BYTES_PER_ID:
            raise WireError(_MISSING)

    def views(self) -> tuple[PartialView, ...]:
        """Return the views once the whole answer was fed."""
        if self._position is None:
            try:
                json.loads(self._text)
            except (ValueError, RecursionError) as error:
                raise WireError("it answered with something that is not JSON") from error
            raise WireError(_MISSING)
        if not self._ended or self._position != len(self._ids):
            raise WireError(f"it scored {self._position} of {len(self._ids)} tokens")
        return tuple(self._views)

    def _find(self) -> None:
        # Inside a string its quotes would be escaped, so this is the field itself.
        found = _LIST.search(self._text)
        if found is None or found.end() == len(self._text):
            return
        if self._text[found.end()] != "[":
            raise WireError(_MISSING)
        self._text, self._position = self._text[found.end() + 1 :], 0

    def _take_entries(self) -> None:
        place = 0
        while True:
            between = _BETWEEN.match(self._text, place)
            place = between.end() if between else place
            if self._text[place : place + 1] == "]":
                self._ended, self._text = True, ""
                return
            try:
                entry, place = _SCANNER.raw_decode(self._text, place)
            except (ValueError, RecursionError):  # not all of it is here yet
                break
            self._take(entry)
        self._text = self._text[place:]

    def _take(self, entry: Any) -> None:
        position = self._position or 0
        self._position = position + 1
        if position >= len(self._ids):
            raise WireError(f"it scored more than {len(self._ids)} tokens")
        if position < self._start:
            return
        try:
            self._views.append(view(entry, self._ids[position], self._k))
        except (TypeError, LookupError, AttributeError, ValueError) as error:
            raise WireError(_MISSING) from error
