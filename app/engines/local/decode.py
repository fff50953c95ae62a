"""Decode a cohort of requests: rows that share weights in one batch each, references in lockstep with what is emitted.

The reference reads the emitted ids beside the checkpoint, so every token leaves with its exact shift.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from app.engines.local.batch import Batch, View
from app.engines.local.jobs import StreamJob
from app.engines.local.weights import Floats, Store, Weights, explained
from app.engines.local.worker import Work
from app.engines.protocol import FinishReason, Token
from app.engines.registry import Registry
from app.errors import AppError
from app.shift.distributions import log_softmax
from app.shift.trace import from_logits


@dataclass(slots=True, eq=False)
class _Run:
    """One request under way."""

    job: StreamJob
    limit: int
    rng: np.random.Generator
    index: int = 0
    last: int = 0
    done: bool = False

    @property
    def live(self) -> bool:
        return not (self.done or self.job.out.cancelled)

    def fail(self, error: AppError) -> None:
        if self.live:
            self.job.out.put(error)
        self.done = True


@dataclass(frozen=True, slots=True, eq=False)
class _Column:
    """A run with its own view and its reference's, if it has one."""

    run: _Run
    own: View
    reference: View | None

    @property
    def views(self) -> tuple[View, ...]:
        return (self.own,) if self.reference is None else (self.own, self.reference)


def decode(jobs: Sequence[StreamJob], store: Store, registry: Registry, *, border: float) -> Work:
    """Stream every job to its end, one step of all per `next`. A job that fails leaves the others alone."""
    columns: list[_Column] = []
    for job in jobs:
        try:
            columns.append(_start(job, store, registry))
        except AppError as error:
            job.out.put(error)
        yield
    batches = _batches(columns)
    for batch in batches:
        with _failing(batch):
            yield from batch.prefill()
    while any(column.run.live for column in columns):
        _emit_all(columns, border=border)
        for batch in batches:
            with _failing(batch):
                batch.advance()
        yield


def _emit_all(columns: Sequence[_Column], *, border: float) -> None:
    for column in columns:
        if column.run.live:
            _emit(column, border=border)


def _start(job: StreamJob, store: Store, registry: Registry) -> _Column:
    request = job.request
    own = store.reader(registry.get(request.checkpoint))
    own.check_prompt(request.prompt_ids)
    room = own.weights.context - len(request.prompt_ids)
    prompt = request.prompt_ids if request.reference_prompt_ids is None else request.reference_prompt_ids
    reference = None
    if request.reference is not None:
        reference = store.reader(registry.get(request.reference))
        reference.check_prompt(prompt)
        room = min(room, reference.weights.context - len(prompt))
    run = _Run(
        job=job,
        limit=min(request.decoding.max_tokens, room),
        rng=np.random.default_rng(request.decoding.seed),
    )
    return _Column(
        run=run,
        own=View(reader=own, prompt=request.prompt_ids, run=run),
        reference=None if reference is None else View(reader=reference, prompt=prompt, run=run),
    )


def _batches(columns: Sequence[_Column]) -> list[Batch]:
    by_weights: dict[Weights, list[View]] = {}
    for column in columns:
        for view in column.views:
            by_weights.setdefault(view.reader.weights, []).append(view)
    return [Batch(weights, views) for weights, views in by_weights.items()]


@contextmanager
def _failing(batch: Batch) -> Iterator[None]:
    """Fail the runs of this batch, and only these, when the block raises."""
    runs = {view.run for view in batch.views if isinstance(view.run, _Run) and view.run.live}
    names = ", ".join(sorted({view.reader.name for view in batch.views}))
    try:
        with explained(f"{names} stopped"):
            yield
    except AppError as error:
        for run in runs:
            run.fail(error)


def _emit(column: _Column, *, border: float) -> None:
    """Draw the next token, compare it and send it."""
    run, request = column.run, column.run.job.request
    own = column.own.logits
    token = choose(own, temperature=request.decoding.temperature, rng=run.rng)
    shift = None
    if column.reference is not None:
        base = column.reference.logits[None]
        (shift,) = from_logits(base, own[None], np.array([token]), top_k=request.top_k, border=border)
    finish: FinishReason | None = None
    if token in column.own.reader.eos_ids:
        finish = "stop"
    elif run.index + 1 >= run.limit:
        finish = "length"
    logprob = float(log_softmax(own[None])[0, token]) if shift is None else shift.tuned_logprob
    run.job.out.put(Token(index=run.index, id=token, logprob=logprob, shift=shift, finish=finish))
    run.index, run.last, run.done = run.index + 1, token, finish is not None


def choose(logits: Floats, *, temperature: float, rng: np.random.Generator) -> int:
    """Pick the next id from logits `[V]`: the largest (lowest id on ties) at temperature 0, else drawn.

    Drawing inverts the cumulative distribution at one uniform number per token, so the rounding that company in a
    batch brings moves a choice only when that number falls on a border.
    """
    if temperature == 0:
        return int(logits.argmax())
    scaled = (logits.astype(np.float64) - float(logits.max())) / temperature
    cumulative = np.exp(scaled).cumsum()
    drawn = np.searchsorted(cumulative, rng.random() * cumulative[-1], side="right")
    return int(min(drawn, len(logits) - 1))
