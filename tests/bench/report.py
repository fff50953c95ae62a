"""How a bench says what it found: one JSON line per figure, with what is needed to read it."""

import json
import os
import sys
from typing import Any


def emit(**figures: Any) -> None:
    """Print one line; the load says whether the machine was doing something else."""
    figures |= {"cores": os.cpu_count(), "load_1min": round(os.getloadavg()[0], 2)}
    sys.stdout.write(json.dumps(figures) + "\n")
    sys.stdout.flush()
