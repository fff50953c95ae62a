"""The indexes this process has opened, on `app.state.indexes`: opened when first asked for, built when missing.

A small tuning set is indexed while its page waits; a large one in the background, one at a time, and its page says so.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import structlog
from sqlalchemy import Engine as Database
from sqlmodel import col, select

from app.db import reading
from app.errors import NotFoundError
from app.provenance.index import Encoder, Index, Instance, ensure_index, open_sound
from app.storage import in_words
from app.tuning_sets.queries import instance_of
from models import TuningInstance, TuningSet

# Indexing two thousand instances takes less than half a second; nobody should have to come back for that.
BUILT_AT_ONCE = 2_000
KEPT_RESULTS = 256
_ROWS_AT_ONCE = 1_000

T = TypeVar("T")

_log = structlog.get_logger(__name__)


class StoppedError(Exception):
    """The server is closing; what was being built is dropped."""


@dataclass(frozen=True, slots=True)
class Building:
    """An index that is not there yet: `done` of `total` instances, or why it could not be made."""

    done: int
    total: int
    doing: str = "waiting"
    problem: str = ""


@dataclass(frozen=True, slots=True)
class SetKey:
    """What an index is made of: the rows of one tuning set, by the hash of its content."""

    set_id: str
    sha256: str
    n: int


class Indexes:
    """Open indexes by content, builds under way, and the latest search results. Safe to use from any thread."""

    def __init__(self, root: Path, database: Database) -> None:
        """Start with nothing open; `root` is the folder of all indexes."""
        self._root = root
        self._database = database
        self._open: dict[str, Index] = {}
        self._building: dict[str, Building] = {}
        self._results: OrderedDict[object, object] = OrderedDict()
        self._lock = threading.RLock()
        self._stopping = threading.Event()
        self._builder = ThreadPoolExecutor(1, thread_name_prefix="index")

    def get(self, tuning_set: TuningSet, encoder: Encoder | None = None) -> Index | Building:
        """Return the index of a ready tuning set, or how far its building is; asking again after a failure retries."""
        key = SetKey(tuning_set.id, tuning_set.sha256, tuning_set.n)
        name = _name(key, encoder)
        with self._lock:
            if name in self._open:
                return self._open[name]
            if name in self._building:
                # A failure is told once; whoever looks again starts again.
                state = self._building[name]
                return self._building.pop(name) if state.problem else state
            if (found := open_sound(self._root, key.sha256, encoder)) is not None:
                return self._open.setdefault(name, found)
            self._building[name] = waiting = Building(0, key.n)
        if key.n > BUILT_AT_ONCE:
            self._builder.submit(self._build, key, encoder)
            return waiting
        self._build(key, encoder)
        with self._lock:
            return self._open.get(name) or self._building.pop(name)

    def opened(self, tuning_set: TuningSet, encoder: Encoder | None = None) -> Index:
        """Return the index of a tuning set, building it first however long that takes. Raises what building raises."""
        key = SetKey(tuning_set.id, tuning_set.sha256, tuning_set.n)
        with self._lock:
            if (known := self._open.get(_name(key, encoder))) is not None:
                return known
        index = ensure_index(self._root, key.sha256, lambda: self._instances(key), encoder=encoder)
        with self._lock:
            return self._open.setdefault(_name(key, encoder), index)

    def remembered(self, key: object, work: Callable[[], T]) -> T:
        """Return the result kept under `key`, or do the work and keep it; the least recently used one goes."""
        with self._lock:
            if key in self._results:
                self._results.move_to_end(key)
                return self._results[key]  # type: ignore[return-value]  # one key, one kind of result
        result = work()
        with self._lock:
            self._results[key] = result
            while len(self._results) > KEPT_RESULTS:
                self._results.popitem(last=False)
        return result

    def close(self) -> None:
        """Stop building; a half-built index leaves nothing behind."""
        self._stopping.set()
        self._builder.shutdown(wait=True, cancel_futures=True)

    def _build(self, key: SetKey, encoder: Encoder | None) -> None:
        name = _name(key, encoder)

        def report(done: float, doing: str) -> None:
            if self._stopping.is_set():
                raise StoppedError
            with self._lock:
                self._building[name] = Building(int(done), key.n, doing)

        try:
            index = ensure_index(self._root, key.sha256, lambda: self._instances(key), encoder=encoder, progress=report)
        except StoppedError:
            return
        except Exception as error:  # noqa: BLE001  a page must say that an index could not be made, whatever it was
            _log.exception("index_not_built", tuning_set=key.set_id)
            problem = in_words(error)
            with self._lock:
                self._building[name] = Building(0, key.n, problem=problem)
            return
        with self._lock:
            self._open[name] = index
            self._building.pop(name, None)

    def _instances(self, key: SetKey) -> Iterator[Instance]:
        """Read a tuning set out of the database in order. Raises NotFoundError when some of it is gone."""
        found = 0
        with reading(self._database) as session:
            rows = select(TuningInstance).where(TuningInstance.set_id == key.set_id)
            for row in session.exec(
                rows.order_by(col(TuningInstance.position)).execution_options(yield_per=_ROWS_AT_ONCE)
            ):
                found += 1
                yield instance_of(row)
        if found != key.n:
            raise NotFoundError(
                f"This tuning set has {found:,} of its {key.n:,} instances.", remedy="Delete it and import it again."
            )


def _name(key: SetKey, encoder: Encoder | None) -> str:
    return f"{key.sha256}-{encoder.fingerprint if encoder else ''}"
