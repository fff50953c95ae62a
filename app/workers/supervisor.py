"""The parent of several processes: starts them, replaces one that dies, ends them in the order that loses nothing."""

import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import structlog
from fastapi import FastAPI

from app.errors import ConfigurationError
from app.workers.place import Crew, Place, write_crew
from app.workers.process import SHUTDOWN_GRACE_S, Drain, run_child

BACKLOG = 2048
# Requests that are under way get the grace of their server, and what it takes to close a database after that.
STOP_S = SHUTDOWN_GRACE_S + 10.0
_LOOK_S = 0.05
# Whoever dies young is not replaced before a pause. A post that was never held for longer ends the server when its
# app cannot start, or after so many deaths; once it was, a database may be away for long and come back.
_YOUNG_S, _PAUSE_S, _YOUNG_DEATHS = 3.0, 1.0, 10
_STARTUP_FAILURE = 3

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Post:
    """A process there should be: what it serves on which sockets, and who fills it now."""

    name: str
    app: FastAPI
    sockets: Sequence[socket.socket]
    pid: int = 0
    since: float = 0.0
    not_before: float = 0.0
    deaths: int = 0
    oldest: float = 0.0


@dataclass(slots=True)
class _Watch:
    """The processes of a server, and whether it is to end."""

    place: Place
    posts: list[_Post]
    drain: Drain
    on_fork: Callable[[str], None]
    on_death: Callable[[str], None]
    pipe: tuple[int, int] = field(default_factory=os.pipe)
    ending: bool = False
    failed: bool = False
    replaced: int = 0
    told: Crew | None = None

    def end(self, _signal: int, _frame: FrameType | None) -> None:
        """Remember that somebody asked for the end."""
        self.ending = True


@contextmanager
def meeting_place() -> Iterator[Place]:
    """Make the folder where the parts of a server meet; its path is short, as those of Unix sockets have to be."""
    if sys.platform == "win32":
        raise ConfigurationError("Several workers need Unix sockets.", remedy="On Windows, leave --workers at 1.")
    folder = Path(tempfile.mkdtemp(prefix="tuneshift-"))
    try:
        place = Place("models", folder)
        place.metrics.mkdir()
        yield place
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def listening(host: str, port: int) -> socket.socket:
    """Open the port that the processes share. Raises ConfigurationError when it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise ConfigurationError(
            f"Cannot listen on {host}, port {port}: {error.strerror or error}.", remedy="Choose another with --port."
        ) from error


def supervise(
    place: Place,
    listener: socket.socket,
    *,
    pages: FastAPI,
    models: FastAPI,
    drain: Drain,
    workers: int,
    on_fork: Callable[[str], None],
    on_death: Callable[[str], None],
) -> int:
    """Run `workers` processes for people and one with the models until a signal; returns the exit code.

    `on_fork` hears the name of each process inside it, before it serves; `on_death` that of one that ended, out here.
    """
    # Opened here, so that whoever asks while the process with the models is replaced waits instead of failing.
    with socket.socket(socket.AF_UNIX) as inside, listener:
        inside.bind(str(place.models_socket))
        inside.listen(BACKLOG)
        posts = [_Post("models", models, (inside,))]
        posts += [_Post(f"pages-{number}", pages, (listener,)) for number in range(1, workers + 1)]
        # Before anybody can ask.
        write_crew(place, Crew(len(posts), 0, 0, models=False))
        watch = _Watch(place, posts, drain, on_fork, on_death)
        before = {sig: signal.signal(sig, watch.end) for sig in (signal.SIGTERM, signal.SIGINT)}
        try:
            while not watch.ending:
                _look(watch)
                time.sleep(_LOOK_S)
            _stop(watch)
        finally:
            for sig, handler in before.items():
                signal.signal(sig, handler)
            os.close(watch.pipe[1])
            os.close(watch.pipe[0])
    return int(watch.failed)


def _look(watch: _Watch) -> None:
    """Note who has died, fill the posts that are empty, and say how things are where that has changed."""
    for post in watch.posts:
        if post.pid and (status := _ended(post)) is not None:
            _note_death(watch, post, status)
        if not post.pid and not watch.ending and time.monotonic() >= post.not_before:
            _start(watch, post)
    running = sum(post.pid != 0 for post in watch.posts)
    crew = Crew(len(watch.posts), running, watch.replaced, models=watch.posts[0].pid != 0)
    if crew != watch.told:
        watch.told = crew
        write_crew(watch.place, crew)


def _ended(post: _Post) -> int | None:
    pid, status = os.waitpid(post.pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if pid else None


def _note_death(watch: _Watch, post: _Post, status: int) -> None:
    age = time.monotonic() - post.since
    post.oldest, post.deaths = max(age, post.oldest), post.deaths + 1
    post.not_before = time.monotonic() + (_PAUSE_S if age < _YOUNG_S else 0)
    _log.warning("a process of the server died", process=post.name, pid=post.pid, status=status, age_s=round(age, 1))
    post.pid = 0
    watch.replaced += 1
    watch.on_death(post.name)
    if post.oldest < _YOUNG_S and (status == _STARTUP_FAILURE or post.deaths >= _YOUNG_DEATHS):
        _log.error("a process of the server cannot start, so the server ends", process=post.name)
        watch.ending = watch.failed = True


def _start(watch: _Watch, post: _Post) -> None:
    sys.stderr.flush()
    sys.stdout.flush()
    post.since = time.monotonic()
    pid = os.fork()
    if pid == 0:
        os.close(watch.pipe[1])
        watch.on_fork(post.name)
        run_child(post.app, watch.drain, post.sockets, watch.pipe[0])
    post.pid = pid
    _log.info("a process of the server was started", process=post.name, pid=pid)


def _stop(watch: _Watch) -> None:
    """End those who answer people first, while streams get their last event; then the one that has the models."""
    models, *pages = watch.posts
    if models.pid:
        os.kill(models.pid, signal.SIGUSR1)
    _end(pages)
    _end([models])


def _end(posts: Sequence[_Post]) -> None:
    """Ask processes to end, and wait until they have."""
    until = time.monotonic() + STOP_S
    while left := [post for post in posts if post.pid]:
        for post in left:
            if _ended(post) is not None:
                post.pid = 0
            elif time.monotonic() > until:
                _log.error("a process of the server did not end and was killed", process=post.name)
                os.kill(post.pid, signal.SIGKILL)
            else:
                # Again, because one that had only just been forked did not listen yet.
                os.kill(post.pid, signal.SIGTERM)
        time.sleep(_LOOK_S)
