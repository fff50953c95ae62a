"""The panel of one token: what both models would have written there, as the template shows it."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from app.shift.align import AlignedRow, align
from app.shift.classes import ShiftClass, classify
from app.shift.measures import MEASURES, Measure, value, words
from app.shift.trace import KlKind, TokenShift
from app.tokens.answer import Answer
from app.tokens.controls import Shown
from app.tokens.links import Links
from app.tokens.spelling import begun, spelled, visible
from app.tokens.view import Mark, marks_for

PANEL_ROWS = 10
FORK_TOKENS = 128
_BY_CLASS = {"shift_class"}
_OPTIONAL = {"base_entropy", "tuned_entropy"}


@dataclass(frozen=True, slots=True)
class Share:
    """A probability in words and as a bar: `width` in per cent. `rank` is empty beyond the model's list."""

    words: str
    width: float
    rank: str


@dataclass(frozen=True, slots=True)
class PanelRow:
    """One id under both models; `emitted` marks the token that was written, `twin` one that looks like another id."""

    id: int
    text: str
    hex: str
    emitted: bool
    twin: bool
    base: Share
    tuned: Share


@dataclass(frozen=True, slots=True)
class PanelView:
    """Everything about one token of a response. `fact`: (name, value, what it means)."""

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
    links: Links
    max_tokens: int


def panel_view(answer: Answer, index: int, links: Links | None = None, shown: Shown | None = None) -> PanelView:
    """Show one token: what both models would have written here, and how far apart they are.

    `index` must be below `len(answer.ids)`. Only the shift of that token is looked at.
    """
    shown = shown or Shown()
    token, shift = answer.ids[index], answer.shifts[index]
    raw = answer.name(token)
    mark = None if shift is None else _mark(shift.base_rank, shown)
    rows = () if shift is None else _rows(shift, answer.name, _before(answer, index))
    return PanelView(
        position=answer.position,
        index=index,
        checkpoint=answer.checkpoint,
        reference=answer.reference,
        text=spelled(answer.texts[index], raw, token),
        hex=_hex(raw),
        id=token,
        mark=mark,
        near_border=shown.usual and shift is not None and shift.near_border,
        rows=rows,
        rest=None if shift is None else _rest(shift, rows),
        facts=() if shift is None else tuple(_facts(shift, answer, shown, rows)),
        links=links or Links(),
        max_tokens=int((answer.run.get("decoding") or {}).get("max_tokens") or FORK_TOKENS),
    )


def pinned_views(answers: Sequence[Answer], links: Sequence[Links], shown: Shown) -> tuple[PanelView, ...]:
    """Show the pinned tokens that exist, in the order they were pinned."""
    columns = {answer.position: (answer, link) for answer, link in zip(answers, links, strict=True)}
    return tuple(
        panel_view(columns[position][0], index, columns[position][1], shown)
        for position, index in shown.pins
        if position in columns and index < len(columns[position][0].ids)
    )


def _mark(base_rank: int, shown: Shown) -> Mark:
    name = classify(base_rank, shown.thresholds)
    return next(mark for mark in marks_for(shown.thresholds) if mark.name == name)


def _before(answer: Answer, index: int) -> bytes:
    """Return the bytes of a character that the tokens before `index` have begun: an alternative may complete it."""
    return begun([answer.name(token) or b"" for token in answer.ids[max(0, index - 4) : index]])


def _hex(raw: bytes | None) -> str:
    return raw.hex(" ") if raw is not None else "unknown"


def _rows(shift: TokenShift, name: Callable[[int], bytes | None], before: bytes) -> tuple[PanelRow, ...]:
    """Align the ten most probable ids of each model, and the emitted one wherever it stands."""
    top_base, top_tuned = shift.top_base[:PANEL_ROWS], shift.top_tuned[:PANEL_ROWS]
    shown = {row.id for row in align(top_base, top_tuned).rows} | {shift.id}
    # The longer lists know more ranks than the ten that made the cut.
    known = {row.id: row for row in align(shift.top_base, shift.top_tuned).rows}
    emitted = AlignedRow(shift.id, shift.base_rank, shift.base_logprob, shift.tuned_rank, shift.tuned_logprob)
    aligned = [emitted if token == shift.id else known[token] for token in shown]
    aligned.sort(key=lambda row: (-max(_or_none(row.base_logprob), _or_none(row.tuned_logprob)), row.id))
    texts = {row.id: visible(name(row.id), row.id, before) for row in aligned}
    seen = Counter(texts.values())
    return tuple(
        PanelRow(
            id=row.id,
            text=texts[row.id],
            twin=seen[texts[row.id]] > 1,
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
        twin=False,
        base=_rest_share(base, shown),
        tuned=_rest_share(tuned, shown),
    )


def _rest_share(logprobs: dict[int, float], shown: set[int]) -> Share:
    mass = max(0.0, 1 - math.fsum(math.exp(logprobs[token]) for token in shown & logprobs.keys()))
    return Share(percent(mass), round(100 * mass, 2), "")


def _facts(shift: TokenShift, answer: Answer, shown: Shown, rows: Sequence[PanelRow]) -> Iterator[tuple[str, str, str]]:
    """List the numbers of a token, from the table of measures."""
    for measure in MEASURES:
        number = value(measure, shift)
        if measure.name in _BY_CLASS or (number is None and measure.name in _OPTIONAL):
            continue
        said = words(measure, number, answer.kl_kind)
        if measure.name == "base_rank":
            tied = f", tied with {shift.ties:,}" if shift.ties else ""
            yield measure.title, said + tied, "(1 is its own first choice)"
            yield "Rank under tuned", f"{shift.tuned_rank:,}", _passed_over(shift, shown, rows)
        elif measure.name == "logprob_difference":
            yield "Log-probability", _logprobs(shift), ""
            yield measure.title, said, "tuned \u2212 base"
        else:
            yield measure.title, said, _note(measure, answer.kl_kind)


def _logprobs(shift: TokenShift) -> str:
    base = "none" if shift.base_logprob is None else f"{shift.base_logprob:.3f}"
    return f"base {base}, tuned {shift.tuned_logprob:.3f} nats".replace("-", "\u2212")


def _passed_over(shift: TokenShift, shown: Shown, rows: Sequence[PanelRow]) -> str:
    """Say what tuned would have written itself, and which class that token has, where another one was drawn."""
    if shift.tuned_rank == 1 or not shift.top_tuned:
        return ""
    first = shift.top_tuned[0][0]
    text = next((row.text for row in rows if row.id == first), f"id {first}")
    base = dict(shift.top_base)
    if first in base:
        rank = 1 + sum(logprob > base[first] for logprob in base.values())
        return f"its first choice was {text} (id {first}), base rank {rank:,}: {classify(rank, shown.thresholds)}"
    beyond = len(base)
    known = f": {ShiftClass.SHIFTED}" if beyond >= shown.thresholds.marginal else ""
    return f"its first choice was {text} (id {first}), below base's first {beyond:,}{known}"


def _note(measure: Measure, kl_kind: KlKind) -> str:
    if not measure.bounded:
        return ""
    return "exact" if kl_kind == "exact" else "a lower bound, from the listed ids"


def percent(probability: float) -> str:
    """Write a probability so that small ones stay apart from nothing."""
    if probability >= 0.1:  # noqa: PLR2004
        return f"{100 * probability:.1f} %"
    if probability >= 0.001:  # noqa: PLR2004
        return f"{100 * probability:.2f} %"
    return f"{100 * probability:.2g} %"
