"""Watch servers that run: one that ends or falls silent is started again, and everything is said in words."""

import signal
import threading
import time
from collections.abc import Callable

import structlog

from app.serving import backoff
from app.serving.server import Server, answers, http_client, is_silent

# An engine can hang while its health route reports to be well: only a token proves the contrary.
PROBE_EVERY_S = 60.0
SILENCES = 3
_POLL_S = 0.25

Say = Callable[[str], None]

_log = structlog.get_logger(__name__)


def log_words(message: str) -> None:
    """Say it in the app's own log."""
    _log.warning("vllm_server", message=message)


def watch(server: Server, stopping: threading.Event, *, api_key: str | None, say: Say) -> None:
    """Keep one server, which answers now, running until `stopping` is set or it fails too often in a row."""
    failures = 0
    ready_at: float | None = time.monotonic()
    while _stays(server, stopping, api_key=api_key, say=say):
        answered_s = None if ready_at is None else time.monotonic() - ready_at
        failures = backoff.failures_in_a_row(failures, answered_s)
        wait = backoff.delay_s(failures)
        ended = f"The vLLM server of {server.plan.name!r} ended with code {server.code}"
        server.signal(signal.SIGKILL)  # what its group left behind holds its memory
        if wait is None:
            server.given_up = f"{ended}, {failures} times in a row. It is not started again."
            say(f"{server.given_up} {server.last_lines()}")
            return
        say(f"{ended}. It starts again in {wait:g} s (failure {failures} of {backoff.MOST_FAILURES} in a row).")
        if stopping.wait(wait):
            return
        server.restarts += 1
        server.start()
        ready_at = _ready_again(server, stopping, api_key=api_key, say=say)


def _stays(server: Server, stopping: threading.Event, *, api_key: str | None, say: Say) -> bool:
    """Wait until the server has ended (True) or nobody wants it any more (False); end one that fell silent."""
    silences, probe_at = 0, time.monotonic() + PROBE_EVERY_S
    with http_client(api_key) as client:
        while not stopping.wait(_POLL_S):
            if server.pid is None:
                return True
            if time.monotonic() < probe_at:
                continue
            silences = silences + 1 if is_silent(client, server.plan) else 0
            probe_at = time.monotonic() + PROBE_EVERY_S
            if silences >= SILENCES and not stopping.is_set():
                say(f"The vLLM server of {server.plan.name!r} takes requests and answers none. It is ended.")
                server.signal(signal.SIGKILL)
    return False


def _ready_again(server: Server, stopping: threading.Event, *, api_key: str | None, say: Say) -> float | None:
    """Wait until a restarted server answers for each checkpoint; returns when that was, None if it never did."""
    missing = ["", *server.plan.served]
    with http_client(api_key) as client:
        while missing and server.pid is not None and not stopping.wait(_POLL_S):
            if answers(client, server.plan, missing[0]):
                missing.pop(0)
    if missing:
        return None
    say(f"The vLLM server of {server.plan.name!r} answers again.")
    return time.monotonic()
