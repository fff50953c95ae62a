"""Who stands left, and which item comes next: pure functions of the study seed, so anyone can draw them again.

Everything that goes into a draw is in the export (item, arm names, pseudonym, key), so a reader who is given the seed
can check that no side was chosen after the fact.
"""

import hashlib
import hmac
import json
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SideOrder:
    """The keyed hash that drew the sides (64 hex digits) and the arm it put left."""

    key: str
    left: str
    right: str


@dataclass(frozen=True, slots=True)
class Slot:
    """An item and pair that still wants judgments; `taken` counts those given or in hand."""

    item_id: str
    pair_id: str
    taken: int


def draw_sides(arms: tuple[str, str], *, seed: str, item_id: str, pid: str) -> SideOrder:
    """Draw which of two arm names stands left: HMAC-SHA256 under the seed over (item, sorted names, pseudonym).

    The lowest bit of the key decides: 0 puts the alphabetically first name left. The order of `arms` has no influence.
    """
    first, second = sorted(arms)
    if first == second:
        raise ValueError(f"a pair needs two different arms, not {first!r} twice")
    key = _keyed(seed, "side", item_id, first, second, pid)
    if int(key[-1], 16) % 2 == 0:
        return SideOrder(key=key, left=first, right=second)
    return SideOrder(key=key, left=second, right=first)


def order_slots(slots: Iterable[Slot], *, seed: str, overlap: int, pid: str) -> list[Slot]:
    """Put the slots an annotator may take in order, full ones left out.

    Slots that others began come first, so that overlap is finished early when people drop out; among equals each
    annotator has an order of their own, so that fatigue does not fall on the same items for everybody.
    """
    free = [slot for slot in slots if slot.taken < overlap]
    return sorted(free, key=lambda slot: (-slot.taken, _keyed(seed, "order", slot.item_id, slot.pair_id, pid)))


def _keyed(seed: str, *parts: str) -> str:
    # A JSON list keeps ("a", "bc") and ("ab", "c") apart.
    message = json.dumps(parts, ensure_ascii=True, separators=(",", ":"))
    return hmac.new(seed.encode(), message.encode(), hashlib.sha256).hexdigest()
