"""Provenance at 50,000 instances: build rate, time per answer, memory; against infini-gram and a plain scan.

Bars: 5,000 instances/s, 50 ms per answer of about 300 tokens, 300 MB. The tuning set is made of public sets (`--sets`
or TUNESHIFT_BENCH_SETS), multiplied as `tests/bench/provenance_set.py` says. infini-gram indexes the same answers as
bytes, lower case, one document an answer; it is asked by `attribute`, which finds maximal spans and nothing else.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from app.provenance.borrowed import borrowed_of
from app.provenance.build import build_index
from app.provenance.index import Index, Instance, open_index
from app.provenance.neighbours import nearest_to
from app.provenance.reading import read
from app.provenance.spans import spans_of
from app.provenance.tokens import TokenRange
from app.provenance.trace import trace
from app.shift.classes import ShiftClass
from tests.bench.provenance_set import multiply, perturb, read_sets
from tests.bench.report import Stopwatch, emit

SHA = "bench"
WORDS = 220  # about 300 tokens
_PIECE = re.compile(r"\s*(?:[^\W_]{1,9}|[^\w\s]|_)|\s+")
# The words and marks of the example: how often a tuned model's tokens fall in each class.
SHARES = {ShiftClass.UNSHIFTED: 0.75, ShiftClass.MARGINAL: 0.15, ShiftClass.SHIFTED: 0.10}
INFINI_QUERIES, SCAN_QUERIES = 10, 3


def main() -> None:
    options = _options()
    try:
        public = read_sets(options.sets)
    except FileNotFoundError as absent:
        emit(bench="provenance", absent=f"public sets: {absent}", remedy="Name their folder: --sets FOLDER.")
        return
    instances = list(multiply(public, options.size))
    queries = _queries(public, options.queries)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        _build(root, instances)
        file = root / "queries.json"
        file.write_text(json.dumps([(text, [(t.start, t.end, t.shift) for t in tokens]) for text, tokens in queries]))
        # A process of its own, so that what the build left in memory does not count.
        command = [sys.executable, "-m", "tests.bench.bench_provenance", "--ask", str(root)]
        subprocess.run(command, check=True)
        index, texts = open_index(root, SHA), [text for text, _ in queries]
        _scan(index, instances, texts[:SCAN_QUERIES])
        _infini_gram(root / "infini", index, instances, texts[:INFINI_QUERIES])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sets", type=Path, default=Path(os.environ.get("TUNESHIFT_BENCH_SETS", "bench-sets")))
    parser.add_argument("--size", type=int, default=50_000)
    parser.add_argument("--queries", type=int, default=40)
    parser.add_argument("--ask", type=Path)
    options = parser.parse_args()
    if options.ask:
        _ask(options.ask)
        sys.exit()
    return options


def _queries(public: list[Instance], number: int) -> list[tuple[str, tuple[TokenRange, ...]]]:
    """Make responses that half remember: the first WORDS words of an answer, three in ten replaced."""
    random = np.random.default_rng(7)
    long = [answer for instance in public for answer in instance.answers if len(answer.split()) > WORDS]
    words = np.array(re.findall(r"[a-z]+", " ".join(long[:200])))
    chosen = random.choice(len(long), number, replace=False)
    texts = [" ".join(perturb(long[at], words, random).split(" ")[:WORDS]) for at in chosen]
    return [(text, _tokens(text, random)) for text in texts]


def _tokens(text: str, random: np.random.Generator) -> tuple[TokenRange, ...]:
    bounds = [match.span() for match in _PIECE.finditer(text)]
    classes = random.choice(list(SHARES), size=len(bounds), p=list(SHARES.values()))
    return tuple(TokenRange(start, end, ShiftClass(str(c))) for (start, end), c in zip(bounds, classes, strict=True))


def _build(root: Path, instances: list[Instance]) -> None:
    started, busy = time.perf_counter(), time.process_time()
    folder = build_index(root, SHA, instances)
    wall, cpu = time.perf_counter() - started, time.process_time() - busy
    emit(
        bench="provenance_build",
        instances=len(instances),
        characters=sum(len(answer) for instance in instances for answer in instance.answers),
        seconds=round(wall, 2),
        cpu_seconds=round(cpu, 2),
        per_second=round(len(instances) / wall),
        bar_per_second=5_000,
        index_mb=round(sum(file.stat().st_size for file in folder.iterdir()) / 1e6),
    )


def _ask(root: Path) -> None:
    """Time each search alone, cold pages and all after one warm-up."""
    stored = json.loads((root / "queries.json").read_text())
    queries = [(text, tuple(TokenRange(s, e, ShiftClass(c)) for s, e, c in tokens)) for text, tokens in stored]
    before = _memory()
    started = time.perf_counter()
    index = open_index(root, SHA)
    opened = time.perf_counter() - started
    trace(index, *queries[0])
    steps = [_steps(index, *query) for query in queries]
    after = _memory()
    for name in steps[0]:
        wall, cpu = ([step[name][at] for step in steps] for at in (0, 1))
        emit(
            bench=f"provenance_{name}",
            instances=len(index),
            queries=len(queries),
            tokens=round(statistics.mean(len(tokens) for _, tokens in queries)),
            ms_median=round(statistics.median(wall), 1),
            ms_p95=round(float(np.percentile(wall, 95)), 1),
            cpu_ms_median=round(statistics.median(cpu), 1),
            cpu_ms_p95=round(float(np.percentile(cpu, 95)), 1),
        )
    emit(
        bench="provenance_memory",
        open_ms=round(opened * 1e3, 1),
        rss_delta_mb=round(after["VmRSS"] - before["VmRSS"]),
        of_that_own_mb=round(after["RssAnon"] - before["RssAnon"]),
        bar_mb=300,
    )


def _steps(index: Index, text: str, tokens: tuple[TokenRange, ...]) -> dict[str, tuple[float, float]]:
    times: dict[str, tuple[float, float]] = {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        started, busy = time.perf_counter(), time.thread_time()
        result = work()
        times[name] = ((time.perf_counter() - started) * 1e3, (time.thread_time() - busy) * 1e3)
        return result

    reading = timed("read", lambda: read(index, text))
    spans = timed("spans", lambda: spans_of(index, reading))
    neighbours = timed("nearest", lambda: nearest_to(index, reading, spans, tokens, k=10))
    times["search"] = tuple(map(sum, zip(*times.values(), strict=True)))
    timed("borrowed", lambda: borrowed_of(index, reading, tokens, [one.position for one in neighbours]))
    return times


def _memory() -> dict[str, float]:
    """Return resident memory in MB: all of it, and what is not a page of a file."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return {line.split(":")[0]: float(line.split()[1]) / 1e3 for line in lines if line.startswith(("VmRSS", "RssAnon"))}


def _scan(index: Index, instances: list[Instance], texts: list[str]) -> None:
    """Look for the same spans with `in` on one lower-case string: grow from every word while it is found."""
    corpus = "\n\n".join(answer.lower() for instance in instances for answer in instance.answers)
    _compare("provenance_plain_scan", index, texts, lambda text: _grow(text.lower(), corpus))


def _grow(text: str, corpus: str) -> list[tuple[int, int]]:
    words = [match.span() for match in re.finditer(r"\w+", text)]
    found, end = [], 0
    for first, (start, _) in enumerate(words):
        end = max(end, first)
        while end < len(words) and text[start : words[end][1]] in corpus:
            end += 1
        if end - first >= 5 and (not found or found[-1][1] < words[end - 1][1]):
            found.append((start, words[end - 1][1]))
    return found


def _infini_gram(folder: Path, index: Index, instances: list[Instance], texts: list[str]) -> None:
    if find_spec("infini_gram") is None:
        emit(bench="provenance_infini_gram", absent="infini-gram is not installed: pip install infini-gram==2.6.0")
        return
    from infini_gram.engine import InfiniGramEngine  # noqa: PLC0415  only this comparison needs it

    (folder / "text").mkdir(parents=True)
    with (folder / "text" / "set.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(
            json.dumps({"text": answer.lower()}) + "\n" for instance in instances for answer in instance.answers
        )
    command = [sys.executable, "-m", "infini_gram.indexing", "--token_dtype", "u8", "--shards", "1", "--mem", "4"]
    command += ["--data_dir", str(folder / "text"), "--save_dir", str(folder / "index"), "--ulimit", "4096"]
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    wall = time.perf_counter() - started
    emit(bench="provenance_infini_gram_build", seconds=round(wall, 1), per_second=round(len(instances) / wall))
    engine = InfiniGramEngine(str(folder / "index"), eos_token_id=0, vocab_size=255, token_dtype="u8")

    def attribute(text: str) -> None:
        # 25 bytes are about five words; a line break parts, as it does with us.
        engine.attribute(list(text.lower().encode()), delim_ids=[10], min_len=25, max_cnt=50, enforce_bow=False)

    _compare("provenance_infini_gram", index, texts, attribute)


def _compare(name: str, index: Index, texts: list[str], peer: Callable[[str], object]) -> None:
    """Ask ours for the spans and the peer, in turn; processor time is over all threads, and does not see other work."""
    ours, theirs = [], []
    for text in texts:
        for times, ask in ((ours, lambda text: spans_of(index, read(index, text))), (theirs, peer)):
            watch = Stopwatch()
            ask(text)
            times.append(watch.spent)
    figures = {"ms_median": theirs, "spans_ms": ours}
    wall = {key: statistics.median(one.wall for one in times) * 1e3 for key, times in figures.items()}
    cpu = {f"cpu_{key}": statistics.median(one.cpu for one in times) * 1e3 for key, times in figures.items()}
    emit(
        bench=name,
        queries=len(texts),
        **{key: round(value, 1) for key, value in (wall | cpu).items()},
        ratio=round(wall["ms_median"] / wall["spans_ms"]),
        cpu_ratio=round(cpu["cpu_ms_median"] / cpu["cpu_spans_ms"]),
    )


if __name__ == "__main__":
    main()
