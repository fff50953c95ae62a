"""A whole study of 1,000 prompts x 5 arms, generated and scored with an engine that costs nothing: what we add to each.

The scripted engine answers at once, so all that is left is ours: planning, claims, storing responses and traces with
100 alternatives per token. `--prompts N` and `--tokens N` change the size; `--workers N` shares the scoring.
"""

import argparse
import asyncio
import tempfile
from pathlib import Path

from sqlmodel import func, select

from app import migrate
from app.db import connect, reading, writing
from app.studies import scoring
from app.studies.design import NewArm
from app.studies.generate import generate_missing
from app.studies.queries import create_study, get_study
from app.studies.scoring_work import Scorings
from models import BasePrompt, ItemResponse, Role, ScoringTask, TaskState, Trace
from models.base import now
from tests.bench.report import Stopwatch, emit
from tests.factories import make_user
from tests.scripted_engine import Script, scripted_engines

ARMS = 5
TEXT = "The sky is blue because air scatters short waves more than long ones. "


async def scored(database, engines, workers: int) -> None:
    """Work the order off with some workers and wait for its end."""
    working = [Scorings(database, engines) for _ in range(workers)]
    for worker in working:
        worker.start()
    while await asyncio.to_thread(_left, database):  # noqa: ASYNC110  others' rows tell, and no event does
        await asyncio.sleep(0.2)
    await asyncio.gather(*(worker.aclose() for worker in working))


def _left(database) -> int:
    query = select(func.count()).select_from(ScoringTask).where(ScoringTask.state != TaskState.DONE)
    with reading(database) as session:
        return session.exec(query).one()


def _report(what: str, watch: Stopwatch, responses: int, **more) -> None:
    spent = watch.spent
    emit(
        bench=f"bulk {what}", responses=responses, wall_s=round(spent.wall, 1), cpu_s=round(spent.cpu, 1),
        wall_ms_each=round(1000 * spent.wall / responses, 2), cpu_ms_each=round(1000 * spent.cpu / responses, 2),
        **more,
    )  # fmt: skip


def main() -> None:
    """Build, generate, score, and count what is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=1000)
    parser.add_argument("--tokens", type=int, default=60)
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    names = ["base", *(f"tuned{n}" for n in range(1, ARMS))]
    with tempfile.TemporaryDirectory() as folder:
        database = connect(f"sqlite:///{folder}/bulk.db")
        migrate.upgrade(database)
        engines = scripted_engines(Path(folder) / "tokenizer", **{name: Script(text=TEXT * 20) for name in names})
        with writing(database) as session:
            owner = make_user(session, email="owner@example.org", role=Role.OWNER)
            decoding = {"max_tokens": asked.tokens, "temperature": 0.0, "seed": 0}
            study = create_study(
                session, name="Bulk", slug="bulk", prompts=[f"Prompt {n}?" for n in range(asked.prompts)],
                arms=[NewArm(name, name, decoding) for name in names], pairs=[(names[0], names[1])], guidelines="",
                overlap=1, created_by=owner.id,
            )  # fmt: skip
        watch, total = Stopwatch(), asked.prompts * ARMS
        assert asyncio.run(generate_missing(database, engines, "bulk", on_progress=lambda _: None)) == total
        _report("generate", watch, total, tokens=asked.tokens)
        watch = Stopwatch()
        with writing(database) as session:
            found = get_study(session, study.id)
            scoring.order(session, found, reader="tuned1", base_prompt=BasePrompt.PLAIN, user=owner, now=now())
        _report("order", watch, total)
        watch = Stopwatch()
        asyncio.run(scored(database, engines, asked.workers))
        _report("score", watch, total, tokens=asked.tokens, workers=asked.workers)
        with reading(database) as session:
            counts = {
                table.__name__: session.exec(select(func.count()).select_from(table)).one()
                for table in (ItemResponse, Trace)
            }
        emit(bench="bulk stored", **counts, database_mb=round(Path(folder, "bulk.db").stat().st_size / 1e6, 1))
        database.dispose()


if __name__ == "__main__":
    main()
