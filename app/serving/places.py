"""Who computes where: cores shared out on a CPU, cards and their memory on GPUs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from app.errors import ConfigurationError

GPU_SHARE = 0.9
# Beside weights and cache: activations, logits of one chunk, what CUDA keeps.
_OVERHEAD_GIB = 1.5
_GIB = 2**30


@dataclass(frozen=True, slots=True)
class Cards:
    """The GPUs to use, as CUDA numbers them; none named means the one that CUDA sees first.

    `share` of each card is for all of its servers together; `gib` is what one card holds, when known.
    """

    names: tuple[str, ...] = ()
    share: float = GPU_SHARE
    gib: float | None = None


@dataclass(frozen=True, slots=True)
class Seat:
    """A server's card (empty: whichever CUDA sees first) and its share of that card's whole memory."""

    card: str
    share: float


def share_cores(cores: Sequence[int], servers: int) -> list[str]:
    """Give each server cores of its own, as vLLM writes them; with plenty, one stays free for the app.

    Two servers on the same core would wait for each other at every step.
    """
    usable = list(cores[1:]) if len(cores) > 2 * servers else list(cores)
    if not servers or len(usable) < servers:
        return ["nobind"] * servers
    size, rest = divmod(len(usable), servers)
    shares = []
    for index in range(servers):
        start = index * size + min(index, rest)
        shares.append(",".join(map(str, usable[start : start + size + (index < rest)])))
    return shares


def share_cards(weights: Sequence[int], cards: Cards) -> list[Seat]:
    """Seat servers of so many bytes of weights on the cards: largest first, each where least is loaded.

    Servers on one card share its memory in proportion to their weights. Raises ConfigurationError where the size of
    a card is known and weights do not fit into their share.
    """
    names = cards.names or ("",)
    loads = dict.fromkeys(names, 0)
    seats: dict[int, str] = {}
    for index in sorted(range(len(weights)), key=lambda i: -weights[i]):
        seats[index] = min(names, key=loads.__getitem__)
        loads[seats[index]] += weights[index]
    placed = []
    for index, size in enumerate(weights):
        card = seats[index]
        # Rounded down, so that the shares never add up to more than was given.
        share = math.floor(100 * cards.share * size / loads[card] + 1e-6) / 100
        _check_fits(size, share, card=card, gib=cards.gib)
        placed.append(Seat(card=card, share=share))
    return placed


def _check_fits(size: int, share: float, *, card: str, gib: float | None) -> None:
    if gib is None:
        return
    given, needed = share * gib, size / _GIB + _OVERHEAD_GIB
    if needed > given:
        where = f"Card {card}" if card else "The card"
        raise ConfigurationError(
            f"{where} has {given:.1f} GiB for a server whose weights and working memory take {needed:.1f} GiB.",
            remedy="Use more cards (--gpus 0,1), a smaller number type (TUNESHIFT_VLLM_DTYPE=bfloat16), or fewer "
            "checkpoints.",
        )
