"""What the server counts, in one process or in files that several share: the only place where a metric is named.

No label tells a checkpoint, an arm, a study or a person: whoever can reach the address may read it.
"""

from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, values
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

_who = "parent"


def _identity() -> str:
    return _who


if values.ValueClass._multiprocess:  # noqa: SLF001  the library's own word for what the environment asked of it
    # By post and not by process: whoever takes the post of one that died goes on with its counts.
    values.ValueClass = values.MultiProcessValue(_identity)  # type: ignore[no-untyped-call]

METRICS = CollectorRegistry()
REQUESTS = Counter("tuneshift_requests", "Requests answered.", ("method", "route", "status"), registry=METRICS)
DURATION = Histogram(
    "tuneshift_request_seconds", "Time to the first byte of an answer, seconds.", ("route",), registry=METRICS
)
STREAMS_OPEN = Gauge("tuneshift_streams_open", "Event streams open now.", registry=METRICS, multiprocess_mode="livesum")
JUDGMENTS_SAVED = Counter("tuneshift_judgments_saved", "Revisions acknowledged.", ("kind",), registry=METRICS)


def count_as(post: str) -> None:
    """Count in the files of a post from now on; called in a process that was just forked."""
    global _who  # noqa: PLW0603  a process is one thing at a time
    _who = post


def forget(folder: Path, post: str) -> None:
    """Drop what stood for the moment in a process that has died; what it had counted stays."""
    mark_process_dead(post, path=str(folder))  # type: ignore[no-untyped-call]


def exposition(folder: Path | None) -> bytes:
    """Write the metrics in Prometheus' text format: of this process, or of all that count in `folder`."""
    if folder is None:
        return generate_latest(METRICS)
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(folder))  # type: ignore[no-untyped-call]
    return generate_latest(registry)
