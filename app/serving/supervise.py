"""Run planned servers in process groups of their own: ready before anyone is told, kept running, gone at the end."""

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from app.errors import ConfigurationError, EngineTimeoutError
from app.serving.launch import rotate
from app.serving.plan import ServerPlan
from app.serving.server import Server, answers, http_client
from app.serving.watch import Say, log_words, watch

READY_TIMEOUT_S = 900.0
STOP_GRACE_S = 15.0
_POLL_S = 0.25

# (steps done, steps in all, what is going on)
Progress = Callable[[float, float, str], None]


def wait_until_ready(server: Server, *, api_key: str | None, step: Callable[[str], None]) -> None:
    """Block until the server lists its checkpoints and each has answered with one token.

    Health alone says little: the first request of a model compiles for seconds, and an engine can hang while it
    reports to be well. Raises EngineUnavailableError when it ends, EngineTimeoutError when it never gets there.
    """
    deadline = time.monotonic() + READY_TIMEOUT_S
    with http_client(api_key) as client:
        missing = ["", *server.plan.served]
        while missing:
            server.check_alive()
            if time.monotonic() > deadline:
                raise EngineTimeoutError(
                    f"The vLLM server of {server.plan.name!r} was not ready after {READY_TIMEOUT_S:.0f} s.",
                    remedy=f"See {server.log}.",
                )
            name = missing[0]
            if answers(client, server.plan, name):
                missing.pop(0)
                step(f"{name} answers" if name else f"{server.plan.name} is loaded")
            else:
                time.sleep(_POLL_S)


@contextmanager
def running(
    plans: Iterable[ServerPlan],
    *,
    logs: Path,
    api_key: str | None = None,
    one_by_one: bool = False,
    progress: Progress | None = None,
    say: Say = log_words,
) -> Iterator[tuple[Server, ...]]:
    """Start the servers, wait for all, keep them running, and stop them whatever happens.

    `one_by_one` is for servers that share a GPU: each measures free memory while it starts. `say` gets what happens
    to them later, in words. Raises ConfigurationError for a taken port, else as `wait_until_ready`.
    """
    logs.mkdir(parents=True, exist_ok=True)
    servers = tuple(Server(p, log=logs / p.log_name, api_key=api_key) for p in plans)
    for server in servers:
        _check_port(server.plan)
    stopping = threading.Event()
    keep = {"api_key": api_key, "say": say}
    watchers = [
        threading.Thread(target=watch, args=(s, stopping), kwargs=keep, name=f"watch-{s.plan.name}", daemon=True)
        for s in servers
    ]
    try:
        _start(servers, api_key=api_key, one_by_one=one_by_one, progress=progress)
        for watcher in watchers:
            watcher.start()
        yield servers
    finally:
        stopping.set()
        stop(servers)
        for watcher in watchers:
            if watcher.is_alive():
                watcher.join()


def _start(servers: Sequence[Server], *, api_key: str | None, one_by_one: bool, progress: Progress | None) -> None:
    total = sum(2 + len(server.plan.served) for server in servers)
    done = 0

    def step(message: str) -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total, message)

    for batch in [[server] for server in servers] if one_by_one else [list(servers)]:
        for server in batch:
            rotate(server.log)
            server.start()
            step(f"{server.plan.name} starts, port {server.plan.port}")
        for server in batch:
            wait_until_ready(server, api_key=api_key, step=step)


def _check_port(plan: ServerPlan) -> None:
    """Refuse a port somebody listens on: the server would end after a minute of loading."""
    with socket.socket(socket.AF_INET6 if ":" in plan.host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((plan.host, plan.port))
        except OSError as error:
            raise ConfigurationError(
                f"The server of {plan.name!r} cannot listen on {plan.host}:{plan.port}: {error.strerror}.",
                remedy="Stop what listens there, or name another first port with --port.",
            ) from error


def stop(servers: Iterable[Server], *, grace_s: float = STOP_GRACE_S) -> None:
    """Ask all to end, wait, then end what is left of their groups."""
    servers = tuple(servers)
    for server in servers:
        server.close()
    deadline = time.monotonic() + grace_s
    for server in servers:
        server.wait(max(0.0, deadline - time.monotonic()))
        server.signal(signal.SIGKILL)
        server.wait(grace_s)


def available_cores() -> list[int]:
    """Return the numbers of the cores this process may use."""
    return sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else list(range(os.cpu_count() or 1))
