"""20,000 requests nobody would send: forms and addresses by Hypothesis, the interface for programs by Schemathesis.

The cases are those of `tests/web/test_fuzz.py`, many more of them. Prints a JSON line for each; fails where any ends in
a 500.
Run: python -m tests.bench.bench_fuzz [cases of each]
"""

import os
import subprocess
import sys

from app.settings import ROOT

CASES = 10_000


def main() -> int:
    """Run both with as many cases as asked for."""
    number = sys.argv[1] if len(sys.argv) > 1 else str(CASES)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-s",
        "-p",
        "no:cacheprovider",
        "--timeout",
        "7200",
        "tests/web/test_fuzz.py",
    ]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"FUZZ_CASES": number}, stdout=subprocess.PIPE, text=True, check=False
    )
    # Before a figure may stand the dot of a test that passed.
    lines = (line.lstrip(".") for line in done.stdout.splitlines())
    print("\n".join(line for line in lines if line.startswith("{") or (done.returncode and "assert" in line)))
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
