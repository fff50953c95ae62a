"""One line under the text per checkpoint that has read it: the class of each token under that checkpoint's own rank."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache

from app.responses.queries import Stored
from app.shift.agreement import Choices, base_choices, own_choices
from app.shift.classes import ShiftClass, Thresholds, classify
from app.shift.packing import open_packed
from models import BasePrompt, Trace

MAX_LANES = 6
_LETTERS = {ShiftClass.UNSHIFTED: "", ShiftClass.MARGINAL: "m", ShiftClass.SHIFTED: "s"}


@dataclass(frozen=True, slots=True)
class Lane:
    """A line: `number` counts from the top, `counts` are tokens per class of the checkpoint's own rank."""

    number: int
    name: str
    ranks: tuple[int | None, ...]
    counts: tuple[int, int, int]

    @property
    def words(self) -> str:
        """Write the ranks for the page's script: numbers between blanks, 0 where there is none."""
        return " ".join(str(rank or 0) for rank in self.ranks)


def choices_under(stored: Stored, base_prompt: BasePrompt, order: Sequence[str]) -> tuple[Choices, ...]:
    """Return what every checkpoint that has read the response would have written, given what its base reads.

    A tuned checkpoint's own choices do not depend on that; a base's do, and any trace against it holds them.
    """
    names = {name: None for trace in stored.traces for name in (trace.reference, trace.checkpoint)}
    ordered = [*[name for name in order if name in names], *[name for name in names if name not in order]]
    found = [_choices(stored, name, base_prompt) for name in ordered]
    return tuple(one for one in found if one is not None)


def lanes(views: Sequence[Choices], thresholds: Thresholds, *, wanted: Collection[str] = ()) -> tuple[Lane, ...]:
    """Lay out the lines from the top, at most six: those wanted, or the first."""
    shown = [view for view in views if view.name in wanted] or list(views)
    return tuple(
        Lane(number, view.name, view.ranks, class_counts(view.ranks, thresholds))
        for number, view in enumerate(shown[:MAX_LANES], start=1)
    )


def class_counts(ranks: Sequence[int | None], thresholds: Thresholds) -> tuple[int, int, int]:
    """Count own ranks by class; tokens that were not read are left out."""
    classes = [classify(rank, thresholds) for rank in ranks if rank is not None]
    first, second, third = (classes.count(one) for one in ShiftClass)
    return first, second, third


def lane_css(lanes_shown: Sequence[Lane], index: int, thresholds: Thresholds) -> str:
    """Name the classes that draw a token's lines: `l2m` is a marginal token on the second line."""
    ranks = ((lane.number, lane.ranks[index]) for lane in lanes_shown)
    marks = ((number, _LETTERS[classify(rank, thresholds)]) for number, rank in ranks if rank is not None)
    return " ".join(f"l{number}{letter}" for number, letter in marks if letter)


def _choices(stored: Stored, name: str, base_prompt: BasePrompt) -> Choices | None:
    own = [trace for trace in stored.traces if trace.checkpoint == name]
    exact = [trace for trace in own if trace.base_prompt == base_prompt]
    is_base = any(trace.reference == name for trace in stored.traces)
    if exact or (own and not is_base):
        return _own(name, (exact or own)[0].tokens, len(stored.response.token_ids))
    against = [trace for trace in stored.traces if trace.reference == name and _shows_base(stored, trace, base_prompt)]
    return _bases(name, against[0].tokens, len(stored.response.token_ids)) if against else None


def _shows_base(stored: Stored, trace: Trace, base_prompt: BasePrompt) -> bool:
    """Tell whether a trace's base was given what a base on its own would be given."""
    if trace.base_prompt != base_prompt:
        return False
    response = stored.response
    given = trace.prompt_ids.get("reference")
    return (
        base_prompt is not BasePrompt.SAME_IDS
        or trace.checkpoint == response.checkpoint
        or given == response.prompt_ids
    )


# Traces never change, so their bytes are their key; a panel of a long response asks for the same few again and again.
@lru_cache(maxsize=12)
def _own(name: str, trace: bytes, n: int) -> Choices:
    return own_choices(name, open_packed(trace), n)


@lru_cache(maxsize=12)
def _bases(name: str, trace: bytes, n: int) -> Choices:
    return base_choices(name, open_packed(trace), n)
