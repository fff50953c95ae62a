"""One vLLM server as a process group: started, signalled, read."""

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import httpx2

from app.engines.vllm.wire import WireError, served_models
from app.errors import EngineUnavailableError
from app.serving import launch
from app.serving.plan import ServerPlan

ASK_TIMEOUT_S = 120.0
_LOG_LINES = 12
_LOG_TAIL_BYTES = 64 * 2**10


class Server:
    """One running server and what it takes to start it again."""

    def __init__(self, plan: ServerPlan, *, log: Path, api_key: str | None) -> None:
        """Remember the plan; `start` runs it."""
        self.plan = plan
        self.log = log
        self.restarts = 0
        # In words, once it is not started again.
        self.given_up = ""
        self._api_key = api_key
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._closed = False

    @property
    def pid(self) -> int | None:
        """The process id while it runs; it leads a process group of the same number."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    @property
    def code(self) -> int | None:
        """How the last process ended; None while it runs."""
        return None if self._process is None else self._process.poll()

    def start(self) -> None:
        """Start the process, which appends to the log; after `close` nothing is started any more."""
        command = [sys.executable, "-I", launch.__file__, str(self.log), *self.plan.command]
        with self._lock:
            if self._closed:
                return
            self._let_go()
            self._process = subprocess.Popen(  # noqa: S603  the command is the plan's
                command,
                env=self._environment(),
                # Nothing is written: that it closes tells the process that this one has ended.
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
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

    def close(self) -> None:
        """Ask it to end, for good."""
        with self._lock:
            self._closed = True
        self.signal(signal.SIGTERM)

    def wait(self, timeout_s: float) -> None:
        """Wait for the end, at most so long."""
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout_s)
            self._let_go()

    def _let_go(self) -> None:
        """Close our end of the pipe to a process that has ended."""
        if self._process is not None and self._process.stdin is not None and self._process.poll() is not None:
            self._process.stdin.close()

    def last_lines(self) -> str:
        """Return the end of its log, under the log's name."""
        with suppress(FileNotFoundError), self.log.open("rb") as log:
            log.seek(max(0, self.log.stat().st_size - _LOG_TAIL_BYTES))
            lines = log.read().decode(errors="replace").splitlines()[-_LOG_LINES:]
            return f"The end of {self.log}:\n" + "\n".join(lines)
        return f"It wrote no log to {self.log}."

    def check_alive(self) -> None:
        """Raise EngineUnavailableError, with the end of its log, if the process has ended."""
        if self.code is not None:
            raise EngineUnavailableError(
                f"The vLLM server of {self.plan.name!r} ended with code {self.code} before it was ready.",
                remedy=self.last_lines(),
            )


def http_client(api_key: str | None) -> httpx2.Client:
    """Return a client for a server's own machine or network: no proxy in between."""
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    return httpx2.Client(headers=headers, timeout=ASK_TIMEOUT_S, verify=False, trust_env=False)


def answers(client: httpx2.Client, plan: ServerPlan, name: str) -> bool:
    """Whether the server lists its models (no name), or a model scores and draws one token."""
    try:
        if not name:
            return set(plan.served) <= set(served_models(client.get(f"{plan.url}/models").content))
        return _one_token(client, plan, name).is_success
    except (httpx2.HTTPError, WireError):
        return False


def is_silent(client: httpx2.Client, plan: ServerPlan) -> bool:
    """Whether the server takes a request for one token and says nothing; a refusal is an answer."""
    try:
        _one_token(client, plan, plan.served[0])
    except httpx2.ReadTimeout:
        return True
    except httpx2.HTTPError:
        return False
    return False


def _one_token(client: httpx2.Client, plan: ServerPlan, name: str) -> httpx2.Response:
    body = {"model": name, "prompt": [0, 0], "max_tokens": 1, "temperature": 0, "prompt_logprobs": 1}
    return client.post(f"{plan.url}/completions", json=body)
