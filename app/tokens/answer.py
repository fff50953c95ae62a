"""A response with what is known of its tokens, live or stored: the one shape pages, panels and exports read."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from app.shift.trace import KlKind, TokenShift
from models import RunState


@dataclass(frozen=True, slots=True)
class Answer:
    """A response under one checkpoint. `texts[i]` is what token i adds to it; `shifts[i]` is None while it is pending.

    `checkpoint` is whose view the shifts are; of a column, the one that wrote it. `finish` is as in `Response`.
    `name` gives the bytes of an id, or None where they are not known. The first `prefix` tokens were given, not drawn.
    While its request waits for a server, `ahead` others must end before it. `server` is the replica that answered.
    """

    position: int
    checkpoint: str
    role: str
    reference: str
    state: RunState
    name: Callable[[int], bytes | None]
    message: str = ""
    finish: str = ""
    ids: tuple[int, ...] = ()
    texts: tuple[str, ...] = ()
    shifts: tuple[TokenShift | None, ...] = ()
    kl_kind: KlKind = "lower_bound"
    run: dict[str, Any] = field(default_factory=dict)
    response_id: str | None = None
    prefix: int = 0
    ahead: int = 0
    server: str = ""

    @property
    def text(self) -> str:
        """The response so far."""
        return "".join(self.texts)

    @property
    def scored(self) -> tuple[TokenShift, ...]:
        """The shifts that are known, in order."""
        return tuple(shift for shift in self.shifts if shift is not None)
