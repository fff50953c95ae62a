"""What the server counts, in one process or in files that several share: the only place where a metric is named.

No label tells a checkpoint, an arm, a study or a person: whoever can reach the address may read it.
"""

from http import HTTPStatus
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, values
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

_who = "parent"


def _identity() -> str:
    return _who


if values.ValueClass._multiprocess:  # noqa: SLF001  the library's own word for what the environment asked of it
    # By post and not by process: whoever takes the post of one that died goes on with its counts.
    values.ValueClass = values.MultiProcessValue(_identity)  # type: ignore[no-untyped-call]

# From a database that is at hand to one that is busy; the bar for a save is a second.
_SAVE_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0)
_FIRST_TOKEN_S = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
_SAVING = {"/judge/{presentation_id}/draft": "draft", "/judge/{presentation_id}/submit": "submitted"}

METRICS = CollectorRegistry()
REQUESTS = Counter("tuneshift_requests", "Requests answered.", ("method", "route", "status"), registry=METRICS)
DURATION = Histogram(
    "tuneshift_request_seconds", "Time to the first byte of an answer, seconds.", ("route",), registry=METRICS
)
SAVE_SECONDS = Histogram(
    "tuneshift_save_seconds",
    "From the arrival of a save until it is acknowledged, seconds.",
    ("kind",),
    buckets=_SAVE_S,
    registry=METRICS,
)
JUDGMENTS_SAVED = Counter("tuneshift_judgments_saved", "Revisions acknowledged.", ("kind",), registry=METRICS)
STREAMS_OPEN = Gauge("tuneshift_streams_open", "Event streams open now.", registry=METRICS, multiprocess_mode="livesum")
ANSWERS_WAITING = Gauge(
    "tuneshift_answers_waiting",
    "Answers asked of an engine whose first token has not come: its queue.",
    ("engine",),
    registry=METRICS,
    multiprocess_mode="livesum",
)
ANSWERS_ENDED = Counter(
    "tuneshift_answers_ended", "Answers of engines, by how they ended.", ("engine", "how"), registry=METRICS
)
FIRST_TOKEN_SECONDS = Histogram(
    "tuneshift_first_token_seconds",
    "From asking an engine until the first token of its answer, seconds.",
    ("engine",),
    buckets=_FIRST_TOKEN_S,
    registry=METRICS,
)
TOKENS = Counter(
    "tuneshift_tokens", "Tokens that engines generated; their rate is tokens per second.", ("engine",), registry=METRICS
)


def count_request(method: str, route: str, *, status: int, seconds: float) -> None:
    """Count an answer, and a save among them that was acknowledged."""
    REQUESTS.labels(method, route, str(status)).inc()
    DURATION.labels(route).observe(seconds)
    if (kind := _SAVING.get(route)) and status < HTTPStatus.BAD_REQUEST:
        SAVE_SECONDS.labels(kind).observe(seconds)


def count_as(post: str) -> None:
    """Count in the files of a post from now on; called in a process that was just forked."""
    global _who  # noqa: PLW0603  a process is one thing at a time
    _who = post


def forget(folder: Path, post: str) -> None:
    """Drop what stood for the moment in a process that has died; what it had counted stays."""
    mark_process_dead(post, path=str(folder))  # type: ignore[no-untyped-call]


def exposition(folder: Path | None, now: Collector) -> bytes:
    """Write the metrics in Prometheus' text format: of this process, or of all that count in `folder`; then `now`."""
    counted = METRICS
    if folder is not None:
        counted = CollectorRegistry()
        MultiProcessCollector(counted, path=str(folder))  # type: ignore[no-untyped-call]
    asked = CollectorRegistry()
    asked.register(now)
    return generate_latest(counted) + generate_latest(asked)
