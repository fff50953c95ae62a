"""What a command costs before it does anything: processor time of its help, in turn with the help of an empty program.

The reference is a typer program of two empty commands, asked for its help: what the libraries of any command line cost.
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile

from app.settings import ROOT
from tests.bench.report import emit

PAIRS = 7
BAR = 1.5
EMPTY = """
import typer
app = typer.Typer(add_completion=False)
app.command("one")(lambda: None)
app.command("two")(lambda: None)
app()
"""
OURS = "from app.cli import main; main()"
COMMANDS = (
    "--help",
    "classify --help",
    "stats agreement --help",
    "stats preference --help",
    "judgments convert --help",
    "trace --help",
    "finetune --help",
    "score --help",
    "compare --help",
    "user add --help",
    "token list --help",
    "db check --help",
    "export --help",
    "tuning-set add --help",
    "doctor --help",
    "serve --help",
    "demo --help",
)


def spent(code: str, *words: str) -> float:
    """Run Python and return the seconds of processor that it took, user and system."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TUNESHIFT_")}
    environment |= {"PYTHONPATH": str(ROOT), "COLUMNS": "100"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-c", code, *words], cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL
        )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main(pairs: int = PAIRS) -> None:
    for command in COMMANDS:
        words = command.split()
        found = [(spent(EMPTY, "--help"), spent(OURS, *words)) for _ in range(pairs)]
        emit(
            bench="start",
            command=f"tuneshift {command}",
            cpu_s=round(statistics.median(ours for _, ours in found), 3),
            reference_cpu_s=round(statistics.median(reference for reference, _ in found), 3),
            ratio=round(statistics.median(ours / reference for reference, ours in found), 2),
            pairs=pairs,
            **({"bar": BAR} if command == "--help" else {}),
        )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
