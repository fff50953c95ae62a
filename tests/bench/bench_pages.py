"""What a researcher's pages of one large study cost: `python -m tests.bench.bench_pages [judgments or file]`.

Each page from the request to the last byte, in one process as a server would have them: the first monitor, which reads
all judgments, a poll of it, every other page of the study, and monitor and study right after a new judgment. Prints
JSON lines; fails when the first monitor takes 600 MB more than the program did before it, or a page has 500 kB.
"""

import secrets
import sqlite3
import sys
import tempfile
from pathlib import Path

from tests.bench.bench_results import _client as client_of
from tests.bench.big_study import fill
from tests.bench.report import Stopwatch, emit

BAR_MB, BAR_BYTES = 600, 500_000
POLL = {"HX-Request": "true"}
PAGES = (
    ("monitor, the first", "/monitor", {}),
    ("monitor, a poll", "/monitor", POLL),
    ("monitor, last pages of its lists", "/monitor?items=999999&people=99&annotators=99", {}),
    ("judgments", "/judgments", {}),
    ("judgments of one annotator, by time", "/judgments?annotator=a00000000007&order=time", {}),
    ("exclusions", "/exclusions", {}),
    ("people", "/people", {}),
    ("judgments behind results", "/results/judgments", {}),
    ("judgments behind results, one answer", "/results/judgments?outcome=left", {}),
    ("export", "/export", {}),
    ("study", "", {}),
)
AGAIN = (("study, after a new judgment", "", {}), ("monitor, after a new judgment", "/monitor", POLL))


def judge_again(path):
    """Somebody changes their answer: one more revision, now."""
    with sqlite3.connect(path) as raw:
        names = [row[1] for row in raw.execute("PRAGMA table_info(revision)")]
        changed = {
            "id": f"'{secrets.token_hex(8)}'", "number": "number + 5", "idempotency_key": f"'{secrets.token_hex(4)}'",
            "created_at": "strftime('%Y-%m-%d %H:%M:%f000', 'now')",
        }  # fmt: skip
        columns = ", ".join(changed.get(name, name) for name in names)
        raw.execute(
            f"INSERT INTO revision ({', '.join(names)}) SELECT {columns} FROM revision ORDER BY rowid DESC LIMIT 1"
        )


def _memory_mb(kind):
    return int(Path("/proc/self/status").read_text().split(f"{kind}:")[1].split()[0]) / 1024


def get(client, path, name, headers):
    """Get one page and say what it took; returns whether that was too much."""
    # Its peak is counted from here.
    Path("/proc/self/clear_refs").write_text("5")
    before, watch = _memory_mb("VmRSS"), Stopwatch()
    answer = client.get(path, headers=headers).raise_for_status()
    spent, more = watch.spent, _memory_mb("VmHWM") - before
    emit(
        bench="pages", what=name, wall_s=round(spent.wall, 2), cpu_s=round(spent.cpu, 2), bytes=len(answer.content),
        memory_before_mb=round(before), peak_more_mb=round(more),
    )  # fmt: skip
    return more >= BAR_MB or len(answer.content) >= BAR_BYTES


def main(given):
    """Measure and print; returns the exit code. A file that is there already gets some more revisions."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(given)
        if not path.exists():
            path = Path(folder) / "bench.db"
            fill(path, int(given))
        with client_of(path) as (client, study):
            client.get("/studies").raise_for_status()
            missed = [get(client, f"/studies/{study}{at}", name, headers) for name, at, headers in PAGES]
            for _ in range(3):
                for name, at, headers in AGAIN:
                    judge_again(path)
                    missed.append(get(client, f"/studies/{study}{at}", name, headers))
    return int(any(missed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "1000000"))
