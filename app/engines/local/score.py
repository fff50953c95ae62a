"""Score given ids: teacher-forced, one pass per distinct model, in blocks that bound the memory of the logits."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from transformers import DynamicCache

from app.engines.local.jobs import ScoreJob
from app.engines.local.weights import Floats, Reader, Store, explained
from app.engines.local.worker import Work
from app.engines.protocol import Scores
from app.engines.registry import Registry
from app.shift.trace import TokenShift, from_logits

# Logits held per model at a time, in numbers: 64 MiB in float32, some 340 positions of 49,152 ids.
BLOCK_LOGITS = 2**24
MIN_BLOCK = 16


def score(job: ScoreJob, store: Store, registry: Registry, *, template: Scores) -> Work:
    """Score a job and hand out `template` with its tokens, one block of positions per `next`."""
    own = store.reader(registry.get(job.checkpoint))
    base = store.reader(registry.get(job.reference))
    own.check_prompt(job.prompt_ids, response=len(job.response_ids))
    base.check_prompt(job.reference_prompt_ids, response=len(job.response_ids))
    own.check_response(job.response_ids)
    rows = max(MIN_BLOCK, BLOCK_LOGITS // max(own.weights.vocabulary, base.weights.vocabulary))
    same = own is base and job.prompt_ids == job.reference_prompt_ids
    tuned_blocks = logit_blocks(own, job.prompt_ids, job.response_ids, rows=rows)
    base_blocks = logit_blocks(base, job.reference_prompt_ids, job.response_ids, rows=rows)
    tokens: list[TokenShift] = []
    for start in range(0, len(job.response_ids), rows):
        if job.out.cancelled:
            return
        with explained(f"{own.name} could not be scored"):
            tuned = next(tuned_blocks)
        yield
        with explained(f"{base.name} could not score"):
            reference = tuned if same else next(base_blocks)
        targets = np.array(job.response_ids[start : start + rows], dtype=np.int64)
        tokens += from_logits(reference, tuned, targets, top_k=job.top_k, border=template.border_width)
        yield
    job.out.put(replace(template, tokens=tuple(tokens)))


def logit_blocks(
    reader: Reader, prompt_ids: tuple[int, ...], response_ids: tuple[int, ...], *, rows: int
) -> Iterator[Floats]:
    """Yield the logits that predict each response id, `[rows, V]` at a time; the last block may be shorter.

    Only a response longer than one block needs a key-value cache.
    """
    inputs = [*prompt_ids, *map(reader.known, response_ids[:-1])]
    cache = DynamicCache(config=reader.weights.model.config) if len(response_ids) > rows else None
    read = 0
    for start in range(0, len(response_ids), rows):
        count = min(rows, len(response_ids) - start)
        end = len(prompt_ids) + start + count - 1
        ids = torch.tensor([inputs[read:end]])
        logits = reader.weights.forward(
            ids, [reader.adapter], keep=count, past_key_values=cache, use_cache=cache is not None
        )
        read = end
        yield logits[0]
