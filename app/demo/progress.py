"""Show how far a long step is: bars with a remaining time on a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

Report = Callable[[float, str], None]

# Seconds between two plain lines of one step, so that a log stays readable.
_QUIET = 15.0
# A training step takes seconds: a shorter memory would make the remaining time jump.
_SPEED_MEMORY = 120.0


class StepProgress(Protocol):
    """Where a long job says how far it is."""

    def step(self, name: str, total: float) -> Report:
        """Announce a step of `total` units; returns `report(done, message)`, with `done` counted from zero."""


class _Bars:
    def __init__(self, bars: Progress) -> None:
        self._bars = bars

    def step(self, name: str, total: float) -> Report:
        task = self._bars.add_task(name, total=total, message="")

        def report(done: float, message: str = "") -> None:
            self._bars.update(task, completed=done, message=message)

        return report


def _remaining(done: float, total: float, *, elapsed: float) -> str:
    if not 0 < done < total:
        return ""
    seconds = round(elapsed * (total - done) / done)
    return f", about {seconds // 60} min {seconds % 60:02d} s left"


class _Lines:
    def __init__(self, console: Console) -> None:
        self._console = console

    def step(self, name: str, total: float) -> Report:
        started = time.monotonic()
        last = 0.0

        def report(done: float, message: str = "") -> None:
            nonlocal last
            now = time.monotonic()
            if done < total and now - last < _QUIET:
                return
            last = now
            left = _remaining(done, total, elapsed=now - started)
            tail = f" ({message})" if message else ""
            share = 100 * done / total if total else 100.0
            self._console.print(f"{name}: {share:3.0f} %{left}{tail}", markup=False, highlight=False, soft_wrap=True)

        return report


def counted(progress: StepProgress, title: str) -> Callable[[float, float, str], None]:
    """Adapt to jobs that call `report(done, total, message)`: the step begins with the first report."""
    steps: list[Report] = []

    def report(done: float, total: float, message: str) -> None:
        if not steps:
            steps.append(progress.step(title, total))
        steps[0](done, message)

    return report


@contextmanager
def bars(console: Console | None = None) -> Iterator[StepProgress]:
    """Yield a progress display on `console` (standard error by default), cleared up at the end."""
    shown = console or Console(stderr=True)
    if not shown.is_terminal:
        yield _Lines(shown)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[message]}", style="dim"),
    )
    with Progress(*columns, console=shown, speed_estimate_period=_SPEED_MEMORY) as shown_bars:
        yield _Bars(shown_bars)
