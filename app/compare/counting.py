"""Count what columns do: how long engines keep people waiting, how many tokens they give, how answers end."""

import time
from contextlib import suppress

from app.compare.plan import Plan
from app.compare.runner import ColumnDone, ColumnFailed, ColumnStarted, ColumnStopped, Event, TokenArrived
from app.web.metrics import ANSWERS_ENDED, ANSWERS_WAITING, FIRST_TOKEN_SECONDS, TOKENS

_HOW = {ColumnDone: "done", ColumnFailed: "failed", ColumnStopped: "stopped"}


class Counting:
    """The columns of one run, by what has happened so far."""

    def __init__(self, plan: Plan) -> None:
        """Start before anything has happened."""
        self._engines = ["local" if column.checkpoint.is_local else "vllm" for column in plan.columns]
        self._given = [len(column.prefix_ids) for column in plan.columns]
        self._waiting: dict[int, float] = {}

    def take(self, event: Event) -> None:
        """Count one event. The first tokens of a branch are given, so no engine is praised for them."""
        if isinstance(event, ColumnStarted):
            self._waiting[event.column] = time.perf_counter()
            ANSWERS_WAITING.labels(self._engines[event.column]).inc()
        elif isinstance(event, TokenArrived):
            if event.token.index >= self._given[event.column]:
                self._token(event.column)
        elif (how := _HOW.get(type(event))) is not None:
            column = event.column  # type: ignore[union-attr]  # the three endings have one
            self._first(column)
            ANSWERS_ENDED.labels(self._engines[column], how).inc()

    def close(self) -> None:
        """Let nobody wait any longer: the run is over, whatever came of it."""
        for column in list(self._waiting):
            self._first(column)

    def _token(self, column: int) -> None:
        began = self._first(column)
        if began is not None:
            FIRST_TOKEN_SECONDS.labels(self._engines[column]).observe(time.perf_counter() - began)
        TOKENS.labels(self._engines[column]).inc()

    def _first(self, column: int) -> float | None:
        began = None
        with suppress(KeyError):
            began = self._waiting.pop(column)
            ANSWERS_WAITING.labels(self._engines[column]).dec()
        return began
