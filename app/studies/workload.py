"""How much work a design asks for, and which items are wanted more often: functions of the numbers and the seed."""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Workload:
    """`judgments` in all; the most one person may give; the fewest people who can give them all (0: nothing to do)."""

    items: int
    pairs: int
    overlap: int
    sample_n: int
    sample_overlap: int
    judgments: int
    most: int
    people: int

    @property
    def sentence(self) -> str:
        """Say it in one sentence with the sum written out."""
        if not self.judgments:
            return "Nothing to judge yet: it takes prompts and a pair of arms."
        sums = [_times(self.items - self.sample_n, self.pairs, self.overlap)] if self.items > self.sample_n else []
        if self.sample_n:
            sums.append(_times(self.sample_n, self.pairs, self.sample_overlap))
        people = _count(self.people, "person", "people")
        return (
            f"{' + '.join(sums)} = {_count(self.judgments, 'judgment', 'judgments')}, "
            f"at most {self.most:,} per person, at least {people}."
        )


def workload(
    *,
    items: int,
    pairs: int,
    overlap: int,
    sample_n: int = 0,
    sample_overlap: int = 0,
    per_annotator: int | None = None,
    repeat_items: bool = False,
) -> Workload:
    """Count the judgments wanted, the most per person, and how many people that takes at least.

    Nobody judges an item and pair twice, and without `repeat_items` nobody judges two pairs of one item.
    """
    sample_n = min(sample_n, items)
    judgments = pairs * ((items - sample_n) * overlap + sample_n * sample_overlap)
    possible = items * (pairs if repeat_items else min(pairs, 1))
    most = min(per_annotator or possible, possible)
    highest = max(overlap if items > sample_n else 0, sample_overlap if sample_n else 0)
    per_item = highest * (1 if repeat_items else pairs)
    people = max(per_item, -(-judgments // most)) if judgments else 0
    return Workload(items, pairs, overlap, sample_n, sample_overlap, judgments, most if judgments else 0, people)


def drawn_sample(prompts: Sequence[str], *, seed: str, n: int) -> set[str]:
    """Draw the `n` prompts that are wanted at another overlap; the order they were given in has no influence."""

    def key(prompt: str) -> str:
        return hmac.new(seed.encode(), f"overlap\n{prompt}".encode(), hashlib.sha256).hexdigest()

    return set(sorted(prompts, key=key)[:n])


def _times(items: int, pairs: int, overlap: int) -> str:
    return (
        f"{_count(items, 'item', 'items')} \N{MULTIPLICATION SIGN} "
        f"{_count(pairs, 'pair', 'pairs')} \N{MULTIPLICATION SIGN} {overlap}"
    )


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"
