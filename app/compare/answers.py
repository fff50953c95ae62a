"""Fold the events of a run into answers: what is known of each column so far, and its run record."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from importlib.metadata import version
from typing import Any

from app.compare.plan import Plan
from app.compare.runner import (
    ColumnDone,
    ColumnFailed,
    ColumnStarted,
    ColumnStopped,
    ColumnWaiting,
    Ending,
    Event,
    Finished,
    TokenArrived,
    TokensScored,
)
from app.engines.protocol import Scores
from app.shift.trace import TokenShift
from app.tokens.answer import Answer
from models import RunState

APP_VERSION = version("tuneshift")


class Fold:
    """Take the events of a run in order and keep what they say; cheap enough to do again for every reader."""

    def __init__(self, plan: Plan, name: Callable[[str], Callable[[int], bytes | None]]) -> None:
        """Start with every column waiting; `name(checkpoint)` gives the bytes of its ids."""
        self._columns = [
            _Open(
                Answer(
                    position=position,
                    checkpoint=column.checkpoint.name,
                    role=column.checkpoint.role,
                    reference=column.checkpoint.base,
                    state=RunState.PENDING,
                    name=name(column.checkpoint.name),
                    prefix=len(column.prefix_ids),
                ),
                plan,
            )
            for position, column in enumerate(plan.columns)
        ]

    def take(self, events: Iterable[Event]) -> "Fold":
        """Take more events; returns itself."""
        for event in events:
            if not isinstance(event, Finished):
                self._columns[event.column].take(event)
        return self

    def answer(self, position: int) -> Answer:
        """Return one column as it stands."""
        return self._columns[position].freeze()

    def answers(self) -> tuple[Answer, ...]:
        """Return every column as it stands."""
        return tuple(column.freeze() for column in self._columns)


class _Open:
    def __init__(self, answer: Answer, plan: Plan) -> None:
        self._answer = answer
        self._plan = plan
        self._ids: list[int] = []
        self._texts: list[str] = []
        self._shifts: list[TokenShift | None] = []

    def freeze(self) -> Answer:
        return replace(self._answer, ids=tuple(self._ids), texts=tuple(self._texts), shifts=tuple(self._shifts))

    def take(self, event: Event) -> None:
        match event:
            case ColumnStarted():
                self._answer = replace(self._answer, state=RunState.RUNNING)
            case ColumnWaiting():
                self._answer = replace(self._answer, ahead=event.ahead)
            case TokenArrived():
                self._arrive(event)
            case TokensScored():
                self._shifts[event.start : event.start + len(event.shifts)] = event.shifts
            case ColumnDone():
                self._answer = replace(self._answer, state=RunState.DONE, finish=event.finish)
                self._score(event)
            case ColumnFailed():
                self._answer = replace(self._answer, state=RunState.FAILED, message=event.sentence)
                self._score(event)
            case ColumnStopped():
                self._answer = replace(self._answer, state=RunState.STOPPED)
                self._score(event)

    def _arrive(self, event: TokenArrived) -> None:
        self._ids.append(event.token.id)
        self._texts.append(event.text)
        if event.token.server:
            self._answer = replace(self._answer, server=event.token.server)
        shift = event.token.shift
        self._shifts.append(shift)
        if shift is not None and shift.base_entropy is not None:
            self._answer = replace(self._answer, kl_kind="exact") if self._answer.kl_kind != "exact" else self._answer

    def _score(self, ending: Ending) -> None:
        if ending.scores is not None:
            self._shifts[: len(ending.scores.tokens)] = ending.scores.tokens
            self._answer = replace(self._answer, kl_kind=ending.scores.kl_kind)
        run = run_record(self._plan, self._answer.position, ending.scores) | _servers(self._answer, ending.scores)
        self._answer = replace(self._answer, run=run, response_id=ending.response_id)


def run_record(plan: Plan, position: int, scores: Scores | None) -> dict[str, Any]:
    """Say how a response was made, so that it can be made again; engine facts are None when nothing was scored."""
    column = plan.columns[position]
    checkpoint = column.checkpoint
    fork = plan.fork
    return {
        "role": checkpoint.role,
        "model": checkpoint.model,
        "adapter": str(checkpoint.adapter) if checkpoint.adapter else None,
        "revision": checkpoint.revision,
        "template": checkpoint.template,
        "engine": scores.engine if scores else None,
        "engine_version": scores.engine_version if scores else None,
        "dtype": scores.dtype if scores else None,
        "reference": checkpoint.base,
        "base_prompt": plan.base_prompt.value,
        "reference_prompt_ids": list(column.reference_prompt_ids),
        "decoding": asdict(plan.decoding),
        "app_version": APP_VERSION,
        **({"fork": {"of": fork.of, "index": fork.index, "token_id": fork.token_id}} if fork else {}),
    }


def _servers(answer: Answer, scores: Scores | None) -> dict[str, str]:
    """Say which replicas answered and scored, for an engine that has several servers."""
    found = {"server": answer.server, "scoring_server": scores.server if scores else ""}
    return {name: where for name, where in found.items() if where}
