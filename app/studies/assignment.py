"""Who stands left, and which item comes next: pure functions of the study seed and of what was handed out before.

Everything that goes into a draw is in the export (item, arm names, pseudonym, key), so a reader who is given the seed
can check that no side was chosen after the fact. `docs/export.md` states the rule of the sides in words.
"""

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from json.encoder import encode_basestring_ascii
from typing import NamedTuple

# Gold comes once in so many regular items, at a drawn place among them.
GOLD_BLOCK = 10


@dataclass(frozen=True, slots=True)
class SideOrder:
    """The keyed hash that drew the sides (64 hex digits) and the arm it put left."""

    key: str
    left: str
    right: str


class Slot(NamedTuple):
    """An item and pair that still wants judgments; `taken` of the `wanted` ones are given or in hand."""

    item_id: str
    pair_id: str
    taken: int
    wanted: int


@dataclass(frozen=True, slots=True)
class Leans:
    """How often the alphabetically first arm stood left, less how often right, per pair.

    Counted is what is judged or in hand: `own` that of one annotator, `study` that of everybody.
    """

    own: Mapping[str, int] = field(default_factory=dict)
    study: Mapping[str, int] = field(default_factory=dict)

    def against(self, pair_id: str) -> int:
        """Say what balance asks for: 1 the first arm left, -1 right, 0 where it leaves both open.

        The annotator's own balance over all pairs decides first, so it never leaves -1..1; then the pair's over the
        study; then the annotator's within the pair.
        """
        for lean in (sum(self.own.values()), self.study.get(pair_id, 0), self.own.get(pair_id, 0)):
            if lean:
                return -1 if lean > 0 else 1
        return 0

    def strain(self, pair_id: str) -> tuple[int, int]:
        """Tell how far beyond 1 a next item of this pair would leave the pair, and the annotator within the pair."""
        step = self.against(pair_id)
        return (
            max(0, abs(self.study.get(pair_id, 0) + step) - 1),
            max(0, abs(self.own.get(pair_id, 0) + step) - 1),
        )


def draw_sides(arms: tuple[str, str], *, seed: str, item_id: str, pid: str, against: int = 0) -> SideOrder:
    """Draw which of two arm names stands left: HMAC-SHA256 under the seed over (item, sorted names, pseudonym).

    Where balance leaves both open (`against` 0) the lowest bit of the key decides: 0 puts the alphabetically first
    name left. The order of `arms` has no influence.
    """
    first, second = sorted(arms)
    if first == second:
        raise ValueError(f"a pair needs two different arms, not {first!r} twice")
    key = _keyed(seed, "side", item_id, first, second, pid)
    first_left = against > 0 if against else int(key[-1], 16) % 2 == 0
    return SideOrder(key, first, second) if first_left else SideOrder(key, second, first)


def next_slot(slots: Iterable[Slot], leans: Leans, *, seed: str, pid: str) -> Slot:
    """Choose among the slots an annotator may take, none of them full; there is at least one.

    Pairs whose sides would stay balanced come first; then slots that others began, those nearest to their overlap
    before the rest, so that overlap is finished early when people drop out; among equals each annotator has an order
    of their own, so that fatigue does not fall on the same items for everybody.
    """
    strains: dict[str, tuple[int, int]] = {}
    best: list[Slot] = []
    lowest: tuple[tuple[int, int], bool, int] | None = None
    for slot in slots:
        if slot.pair_id not in strains:
            strains[slot.pair_id] = leans.strain(slot.pair_id)
        rank = (strains[slot.pair_id], slot.taken == 0, slot.wanted - slot.taken)
        if lowest is None or rank < lowest:
            lowest, best = rank, [slot]
        elif rank == lowest:
            best.append(slot)
    # Drawn for the best alone: a large study has thousands of slots and every claim would draw them all.
    return min(best, key=lambda slot: _keyed(seed, "order", slot.item_id, slot.pair_id, pid))


def gold_places(gold: Iterable[str], *, regular: int, seed: str, pid: str) -> list[tuple[int, str]]:
    """Say after how many regular items each gold item comes for one annotator, soonest first.

    One comes in every block of at most `GOLD_BLOCK` regular items, `regular` being all the annotator could do, and
    always before the last of those, so that it looks like any other.
    """
    order = sorted(gold, key=lambda item_id: _keyed(seed, "gold", item_id, pid))
    if not order:
        return []
    block = max(1, min(GOLD_BLOCK, regular // len(order)))
    drawn = [int(_keyed(seed, "place", item_id, pid)[:8], 16) % block for item_id in order]
    return [(min(at * block + 1 + drawn[at], max(1, regular - 1)), item_id) for at, item_id in enumerate(order)]


def _keyed(seed: str, *parts: str) -> str:
    # A JSON list keeps ("a", "bc") and ("ab", "c") apart; written by hand, since a claim may draw a thousand.
    message = f"[{','.join(map(encode_basestring_ascii, parts))}]"
    return hmac.digest(seed.encode(), message.encode(), "sha256").hex()
