"""The panel of one token: what both models would have written there, as the template shows it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.compare.answers import Answer
from app.compare.view import BIDI_CONTROLS, CLASS_MARKS, Mark, nats
from app.shift.align import AlignedRow, align
from app.shift.trace import KlKind, TokenShift

PANEL_ROWS = 10
_DRAWN = {"\n": "⏎", "\t": "⇥", " ": "␣", "\r": "␍"}


@dataclass(frozen=True, slots=True)
class Share:
    """A probability in words and as a bar: `width` in per cent. `rank` is empty beyond the model's list."""

    words: str
    width: float
    rank: str


@dataclass(frozen=True, slots=True)
class PanelRow:
    """One id under both models; `emitted` marks the token that was written."""

    id: int
    text: str
    hex: str
    emitted: bool
    base: Share
    tuned: Share


@dataclass(frozen=True, slots=True)
class PanelView:
    """Everything about one token of a response."""

    position: int
    index: int
    checkpoint: str
    reference: str
    text: str
    hex: str
    id: int
    mark: Mark | None
    near_border: bool
    rows: tuple[PanelRow, ...]
    rest: PanelRow | None
    facts: tuple[tuple[str, str, str], ...]


def panel_view(answer: Answer, index: int) -> PanelView:
    """Show one token: what both models would have written here, and how far apart they are.

    `index` must be below `len(answer.ids)`.
    """
    token, shift = answer.ids[index], answer.shifts[index]
    raw = answer.name(token)
    mark = None if shift is None else next(mark for mark in CLASS_MARKS if mark.name == shift.shift_class)
    rows = () if shift is None else _rows(shift, answer.name)
    return PanelView(
        position=answer.position,
        index=index,
        checkpoint=answer.checkpoint,
        reference=answer.reference,
        text=visible(raw, token),
        hex=_hex(raw),
        id=token,
        mark=mark,
        near_border=shift is not None and shift.near_border,
        rows=rows,
        rest=None if shift is None else _rest(shift, rows),
        facts=() if shift is None else _facts(shift, answer.kl_kind),
    )


def visible(raw: bytes | None, token: int) -> str:
    """Spell a token so that white space shows and bytes that are no text on their own are seen as fragments."""
    if raw is None:
        return f"id {token}"
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return f"·{raw.hex(' ')}"
    return "".join(_drawn(char) for char in text) or "∅"


def _drawn(char: str) -> str:
    if char in BIDI_CONTROLS or (not char.isprintable() and char not in _DRAWN):
        return f"\\u{ord(char):04x}"
    return _DRAWN.get(char, char)


def _hex(raw: bytes | None) -> str:
    return raw.hex(" ") if raw is not None else "unknown"


def _rows(shift: TokenShift, name: Callable[[int], bytes | None]) -> tuple[PanelRow, ...]:
    """Align the ten most probable ids of each model, and the emitted one wherever it stands."""
    top_base, top_tuned = shift.top_base[:PANEL_ROWS], shift.top_tuned[:PANEL_ROWS]
    shown = {row.id for row in align(top_base, top_tuned).rows} | {shift.id}
    # The longer lists know more ranks than the ten that made the cut.
    known = {row.id: row for row in align(shift.top_base, shift.top_tuned).rows}
    emitted = AlignedRow(shift.id, shift.base_rank, shift.base_logprob, shift.tuned_rank, shift.tuned_logprob)
    aligned = [emitted if token == shift.id else known[token] for token in shown]
    aligned.sort(key=lambda row: (-max(_or_none(row.base_logprob), _or_none(row.tuned_logprob)), row.id))
    return tuple(
        PanelRow(
            id=row.id,
            text=visible(name(row.id), row.id),
            hex=_hex(name(row.id)),
            emitted=row.id == shift.id,
            base=_share(row.base_logprob, row.base_rank, shift.top_base),
            tuned=_share(row.tuned_logprob, row.tuned_rank, shift.top_tuned),
        )
        for row in aligned
    )


def _or_none(logprob: float | None) -> float:
    return -math.inf if logprob is None else logprob


def _share(logprob: float | None, rank: int | None, top: Sequence[tuple[int, float]]) -> Share:
    if logprob is None:
        # Beyond its list a model gives an id at most what it gives the last one in it.
        return Share(f"< {percent(math.exp(top[-1][1]))}" if rank is None and top else "none", 0.0, "")
    return Share(percent(math.exp(logprob)), round(100 * math.exp(logprob), 2), "" if rank is None else f"{rank:,}")


def _rest(shift: TokenShift, rows: Sequence[PanelRow]) -> PanelRow:
    """Sum what the rows leave out; an id beyond a model's own list counts as rest there."""
    shown = {row.id for row in rows}
    base = dict(shift.top_base) | ({} if shift.base_logprob is None else {shift.id: shift.base_logprob})
    tuned = dict(shift.top_tuned) | {shift.id: shift.tuned_logprob}
    return PanelRow(
        id=-1,
        text="rest of the vocabulary",
        hex="",
        emitted=False,
        base=_rest_share(base, shown),
        tuned=_rest_share(tuned, shown),
    )


def _rest_share(logprobs: dict[int, float], shown: set[int]) -> Share:
    mass = max(0.0, 1 - math.fsum(math.exp(logprobs[token]) for token in shown & logprobs.keys()))
    return Share(percent(mass), round(100 * mass, 2), "")


def _facts(shift: TokenShift, kl_kind: KlKind) -> tuple[tuple[str, str, str], ...]:
    """List the numbers of a token: (name, value, what it means)."""
    ties = f", tied with {shift.ties:,}" if shift.ties else ""
    facts = [
        ("Rank under base", f"{shift.base_rank:,}{ties}", "(1 is its own first choice)"),
        ("Rank under tuned", f"{shift.tuned_rank:,}", ""),
        ("KL(tuned ‖ base)", nats(shift.kl_tuned_base, kl_kind), _kl_note(kl_kind)),
        ("KL(base ‖ tuned)", nats(shift.kl_base_tuned, kl_kind), _kl_note(kl_kind)),
    ]
    if shift.base_entropy is not None and shift.tuned_entropy is not None:
        facts.append(("Entropy", f"base {shift.base_entropy:.3f}, tuned {shift.tuned_entropy:.3f} nats", ""))
    return tuple(facts)


def _kl_note(kl_kind: KlKind) -> str:
    return "exact" if kl_kind == "exact" else "a lower bound, from the listed ids"


def percent(probability: float) -> str:
    """Write a probability so that small ones stay apart from nothing."""
    if probability >= 0.1:  # noqa: PLR2004
        return f"{100 * probability:.1f} %"
    if probability >= 0.001:  # noqa: PLR2004
        return f"{100 * probability:.2f} %"
    return f"{100 * probability:.2g} %"
