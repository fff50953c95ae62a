"""One process of the server: uvicorn, which at its end first ends what streams, and then lets requests finish."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Sequence
from types import FrameType

import structlog
import uvicorn
from fastapi import FastAPI

from app.web.patience import PatientProtocol

# An open stream or a slow client would otherwise hold a stopping server for ever.
SHUTDOWN_GRACE_S = 5
# Ends what an app streams; made where the app is wired.
Drain = Callable[[FastAPI], Coroutine[None, None, None]]

_log = structlog.get_logger(__name__)


class Server(uvicorn.Server):
    """A server of one app. With `parent`, a pipe that closes when the parent ends, it ends with its parent."""

    def __init__(
        self, app: FastAPI, drain: Drain, *, host: str = "127.0.0.1", port: int = 0, parent: int | None = None
    ) -> None:
        """Prepare; `run` serves, and calls `drain` with the app when it begins to end."""
        super().__init__(
            uvicorn.Config(
                app,
                host=host,
                port=port,
                log_config=None,
                access_log=False,
                server_header=False,
                lifespan="on",
                http=PatientProtocol,
                timeout_graceful_shutdown=SHUTDOWN_GRACE_S,
            )
        )
        self._app, self._parent, self._drained = app, parent, drain
        self._draining: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then listen for the parent's end and for its word to end what streams."""
        await super().startup(sockets)
        if self._parent is not None:
            loop = asyncio.get_running_loop()
            loop.add_reader(self._parent, self._without_parent)
            loop.add_signal_handler(signal.SIGUSR1, self._drain)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting; streams get their last event while requests under way finish."""
        self._drain()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End at a signal. Ctrl+C reaches a parent and its children at once, and is the parent's to pass on."""
        if self._parent is None or sig != signal.SIGINT:
            super().handle_exit(sig, frame)

    def _drain(self) -> None:
        if self._draining is None and self.started:
            self._draining = asyncio.create_task(self._drained(self._app))

    def _without_parent(self) -> None:
        if self._parent is not None:
            asyncio.get_running_loop().remove_reader(self._parent)
        self.should_exit = True


def run_alone(app: FastAPI, drain: Drain, *, host: str, port: int) -> None:
    """Serve in this process until interrupted; exits with an error when the app cannot start."""
    server = Server(app, drain, host=host, port=port)
    try:
        server.run()
    except KeyboardInterrupt:
        return
    if not server.started:
        sys.exit(uvicorn.config.STARTUP_FAILURE)


def run_child(app: FastAPI, drain: Drain, sockets: Sequence[socket.socket], parent: int) -> None:
    """Serve in a forked process and leave it; the exit code says whether the app could start."""
    code = uvicorn.config.STARTUP_FAILURE
    try:
        for sig in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
            signal.signal(sig, signal.SIG_IGN)
        server = Server(app, drain, parent=parent)
        server.run(sockets=list(sockets))
        code = 0 if server.started else code
    except Exception:  # noqa: BLE001  nobody else would say so
        _log.exception("a process of the server ended by an error")
    finally:
        sys.stderr.flush()
        # Whatever the parent has registered to be done at its end is not this process's to do.
        os._exit(code)
