"""Shift maths per token at the demo's vocabulary: rank, ties, both KLs, entropies, top-20. Bar: 1 ms on one core."""

import statistics
import time

import numpy as np

from app.shift.trace import from_logits
from tests.bench.report import emit

VOCABULARY = 49_152


def main() -> None:
    rng = np.random.default_rng(0)
    for tokens in (1, 64, 300):
        base = rng.normal(size=(tokens, VOCABULARY)).astype(np.float32) * 3
        tuned = base + rng.normal(size=base.shape).astype(np.float32) * 0.3
        targets = tuned.argmax(axis=-1)
        wall, cpu = [], []
        for _ in range(12):
            started, busy = time.perf_counter(), time.thread_time()
            from_logits(base, tuned, targets, top_k=20, border=1e-3)
            wall.append((time.perf_counter() - started) / tokens * 1e3)
            cpu.append((time.thread_time() - busy) / tokens * 1e3)
        emit(
            bench="shift",
            rows_at_once=tokens,
            vocabulary=VOCABULARY,
            ms_per_token=round(statistics.median(wall[2:]), 4),
            cpu_ms_per_token=round(statistics.median(cpu[2:]), 4),
            bar_ms=1.0,
        )


if __name__ == "__main__":
    main()
