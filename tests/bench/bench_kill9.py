"""A thousand kill -9 cycles with writers at work; prints what was acknowledged, retried, lost and duplicated.

Run: python -m tests.bench.bench_kill9 [CYCLES] [sqlite|postgres]
"""

import json
import os
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from tests import postgres_server
from tests.kill9 import kill_again_and_again

CYCLES = 1_000

if __name__ == "__main__":
    cycles = next((int(one) for one in sys.argv[1:] if one.isdecimal()), CYCLES)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        if "postgres" in sys.argv:
            # It must sync as any other would: only the app is killed, but what is measured is what people run.
            url = stack.enter_context(postgres_server.running(fsync="on", synchronous_commit="on"))
            os.environ["TUNESHIFT_DATABASE_URL"] = url
        outcome = kill_again_and_again(Path(folder) / "data", cycles=cycles, seed=time.time_ns())
    print(
        json.dumps(
            {"bench": "kill9", "database": sys.argv[-1] if "postgres" in sys.argv else "sqlite", **asdict(outcome)}
        )
    )
    sys.exit(bool(outcome.lost or outcome.duplicated or outcome.gaps or outcome.refused or outcome.integrity != "ok"))
