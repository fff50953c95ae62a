"""Run planned servers in process groups of their own: ready before anyone is told, restarted once, gone at the end."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from pathlib import Path

import httpx2
import structlog

from app.engines.vllm.wire import WireError, served_models
from app.errors import EngineTimeoutError, EngineUnavailableError
from app.serving import launch
from app.serving.plan import ServerPlan

READY_TIMEOUT_S = 900.0
STOP_GRACE_S = 15.0
_POLL_S = 0.25
_ASK_TIMEOUT_S = 120.0
_LOG_LINES = 12

# (steps done, steps in all, what is going on)
Progress = Callable[[float, float, str], None]

_log = structlog.get_logger(__name__)


class Server:
    """One running server and what it takes to start it again."""

    def __init__(self, plan: ServerPlan, *, log: Path, api_key: str | None) -> None:
        """Remember the plan; `start` runs it."""
        self.plan = plan
        self.log = log
        self.restarts = 0
        self._api_key = api_key
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process id while it runs; it leads a process group of the same number."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self) -> None:
        """Start the process, appending to the log. Must be called by a thread that outlives the server."""
        command = [self.plan.command[0], launch.__file__, str(os.getpid()), *self.plan.command]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603  the command is the plan's
                command,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,
            )

    def _environment(self) -> dict[str, str]:
        inherited = dict(os.environ)  # noqa: TID251  the server's settings, not Tuneshift's
        # It would override the cache size on the command line.
        inherited.pop("VLLM_CPU_KVCACHE_SPACE", None)
        # Not on the command line, where every user of the machine could read it.
        key = {"VLLM_API_KEY": self._api_key} if self._api_key else {}
        return inherited | dict(self.plan.environment) | key

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the whole group; one that is gone is fine."""
        if self._process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)

    def wait(self, timeout_s: float) -> None:
        """Wait for the end, at most so long."""
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout_s)

    def check_alive(self) -> None:
        """Raise EngineUnavailableError, with the end of its log, if the process has ended."""
        if self._process is None or self._process.poll() is None:
            return
        lines = self.log.read_text(errors="replace").splitlines()[-_LOG_LINES:]
        raise EngineUnavailableError(
            f"The vLLM server of {self.plan.name!r} ended with code {self._process.returncode} before it was ready.",
            remedy=f"The end of {self.log}:\n" + "\n".join(lines),
        )


def wait_until_ready(server: Server, *, api_key: str | None, step: Callable[[str], None]) -> None:
    """Block until the server lists its checkpoints and each has answered with one token.

    Health alone says little: the first request of a model compiles for seconds, and an engine can hang while it
    reports to be well. Raises EngineUnavailableError when it ends, EngineTimeoutError when it never gets there.
    """
    deadline = time.monotonic() + READY_TIMEOUT_S
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    with httpx2.Client(headers=headers, timeout=_ASK_TIMEOUT_S, verify=False, trust_env=False) as client:
        missing = ["", *server.plan.served]
        while missing:
            server.check_alive()
            if time.monotonic() > deadline:
                raise EngineTimeoutError(
                    f"The vLLM server of {server.plan.name!r} was not ready after {READY_TIMEOUT_S:.0f} s.",
                    remedy=f"See {server.log}.",
                )
            name = missing[0]
            if _answers(client, server.plan, name):
                missing.pop(0)
                step(f"{name} answers" if name else f"{server.plan.name} is loaded")
            else:
                time.sleep(_POLL_S)


def _answers(client: httpx2.Client, plan: ServerPlan, name: str) -> bool:
    """Whether the server lists its models (no name), or a model scores and draws one token."""
    body = {"model": name, "prompt": [0, 0], "max_tokens": 1, "temperature": 0, "prompt_logprobs": 1}
    try:
        if not name:
            return set(plan.served) <= set(served_models(client.get(f"{plan.url}/models").content))
        return client.post(f"{plan.url}/completions", json=body).status_code == HTTPStatus.OK
    except (httpx2.HTTPError, WireError):
        return False


@contextmanager
def running(
    plans: Iterable[ServerPlan],
    *,
    logs: Path,
    api_key: str | None = None,
    one_by_one: bool = False,
    progress: Progress | None = None,
) -> Iterator[tuple[Server, ...]]:
    """Start the servers, wait for all, watch them, and stop them whatever happens.

    `one_by_one` is for servers that share a GPU: each measures free memory while it starts.
    """
    logs.mkdir(parents=True, exist_ok=True)
    servers = tuple(Server(p, log=logs / f"vllm-{p.name}.log", api_key=api_key) for p in plans)
    total = sum(2 + len(server.plan.served) for server in servers)
    done = 0

    def step(message: str) -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total, message)

    stopping = threading.Event()
    watcher = threading.Thread(target=_watch, args=(servers, stopping), name="vllm-watch", daemon=True)
    try:
        for batch in [[server] for server in servers] if one_by_one else [list(servers)]:
            for server in batch:
                server.log.unlink(missing_ok=True)
                server.start()
                step(f"{server.plan.name} starts, port {server.plan.port}")
            for server in batch:
                wait_until_ready(server, api_key=api_key, step=step)
        watcher.start()
        yield servers
    finally:
        stopping.set()
        if watcher.is_alive():
            watcher.join()
        stop(servers)


def stop(servers: Iterable[Server], *, grace_s: float = STOP_GRACE_S) -> None:
    """Ask all to end, wait, then end what is left of their groups."""
    servers = tuple(servers)
    for server in servers:
        server.signal(signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    for server in servers:
        server.wait(max(0.0, deadline - time.monotonic()))
        server.signal(signal.SIGKILL)
        server.wait(grace_s)


def _watch(servers: tuple[Server, ...], stopping: threading.Event) -> None:
    """Start a server that died again, once; a second death is left to be seen."""
    while not stopping.wait(1.0):
        for server in servers:
            if server.pid is not None or server.restarts:
                continue
            server.restarts += 1
            server.signal(signal.SIGKILL)  # what its group left behind holds its memory
            _log.warning("vllm_server_restarted", server=server.plan.name, log=str(server.log))
            server.start()


def available_cores() -> list[int]:
    """Return the numbers of the cores this process may use."""
    return sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else list(range(os.cpu_count() or 1))
