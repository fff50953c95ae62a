"""A thousand kill -9 cycles with writers at work; prints what was acknowledged, retried, lost and duplicated.

Run: python -m tests.bench.bench_kill9 [CYCLES]
"""

import json
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from tests.kill9 import kill_again_and_again

CYCLES = 1_000

if __name__ == "__main__":
    cycles = int(sys.argv[1]) if len(sys.argv) > 1 else CYCLES
    with tempfile.TemporaryDirectory() as folder:
        outcome = kill_again_and_again(Path(folder) / "data", cycles=cycles, seed=time.time_ns())
    print(json.dumps({"bench": "kill9", **asdict(outcome)}))
    sys.exit(bool(outcome.lost or outcome.duplicated or outcome.gaps or outcome.refused or outcome.integrity != "ok"))
