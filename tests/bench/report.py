"""How a bench says what it found: one JSON line per figure, with what is needed to read it."""

import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Spent:
    """Seconds by the clock, and seconds of processor over all threads, which other programs do not add to."""

    wall: float
    cpu: float

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(self.wall + other.wall, self.cpu + other.cpu)


class Stopwatch:
    """Started when made; `spent` is the time since then."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    @property
    def spent(self) -> Spent:
        return Spent(time.perf_counter() - self._wall, time.process_time() - self._cpu)


def peak_mb(*, anew: bool = False) -> int:
    """The most memory this process has had, in MB, its parent's not counted; `anew` begins again."""
    status = Path("/proc/self/status").read_text()
    if anew:
        Path("/proc/self/clear_refs").write_text("5")
    return round(int(status.split("VmHWM:")[1].split()[0]) / 1024)


def emit(**figures: Any) -> None:
    """Print one line; the load says whether the machine was doing something else."""
    figures |= {"cores": os.cpu_count(), "load_1min": round(os.getloadavg()[0], 2)}
    sys.stdout.write(json.dumps(figures) + "\n")
    sys.stdout.flush()
