"""`tuneshift generate`: fill a study with responses."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from app.cli.common import RegistryOption, StudyArgument, console
from app.cli.opened_database import opened_database
from app.cli.opened_engines import opened_engines
from app.demo.progress import Report, bars
from app.settings import settings_for
from app.studies.generate import Progress, generate_missing


def generate(study: StudyArgument, checkpoints: RegistryOption = None) -> None:
    """Let every arm answer the items it has not answered yet; interrupted, it continues where it was."""
    settings = settings_for(checkpoints)

    async def work() -> int:
        with opened_database(settings) as database, response_bar() as on_progress:
            async with opened_engines(settings) as engines:
                return await generate_missing(database, engines, study, on_progress=on_progress)

    console.print(f"{asyncio.run(work())} responses added")


@contextmanager
def response_bar() -> Iterator[Callable[[Progress], None]]:
    """Show how many of a study's missing responses are there; yields what to call after each."""
    with bars() as progress:
        reports: list[Report] = []

        def show(now: Progress) -> None:
            if not reports:
                reports.append(progress.step("Generate responses", now.total))
            reports[0](now.done, f"item {now.position}, {now.arm}")

        yield show
