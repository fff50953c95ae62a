"""What the explore templates are given: frozen, finished, nothing left to look up. No web, no database."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from app.compare.answers import Answer
from app.shift.align import AlignedRow, align
from app.shift.classes import ShiftClass
from app.shift.summary import Part, first_count, summarise
from app.shift.trace import KlKind, TokenShift
from models import RunState

PANEL_ROWS = 10
# Characters that reorder what follows them; a token holding one is shut into its own direction.
_BIDI_CONTROLS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_SPOKEN = {"\n": "line break", "\t": "tab", " ": "space", "\r": "carriage return"}
_DRAWN = {"\n": "⏎", "\t": "⇥", " ": "␣", "\r": "␍"}


@dataclass(frozen=True, slots=True)
class Mark:
    """One row of the legend. `css` is the class the page uses for it; `cue` is what shows besides colour."""

    name: str
    css: str
    cue: str
    meaning: str


MARKS: tuple[Mark, ...] = (
    Mark(ShiftClass.UNSHIFTED, "shift-unshifted", "plain", "base ranks this token first"),
    Mark(ShiftClass.MARGINAL, "shift-marginal", "dotted underline", "base ranks it second or third"),
    Mark(ShiftClass.SHIFTED, "shift-shifted", "solid underline", "base ranks it fourth or lower"),
    Mark("near border", "near-border", "dashed outline", "rounding alone could change the class"),
    Mark("pending", "shift-pending", "grey text", "base has not scored it yet"),
)
CLASS_MARKS = MARKS[:3]
_CSS = {mark.name: mark.css for mark in MARKS}


@dataclass(frozen=True, slots=True)
class TokenView:
    """One token of a response in the page. `ghost` is drawn where the token has no visible text of its own."""

    index: int
    text: str
    css: str
    label: str
    ghost: str


@dataclass(frozen=True, slots=True)
class Segment:
    """A share of a bar, in per cent of its width."""

    mark: Mark
    count: int
    start: float
    width: float


@dataclass(frozen=True, slots=True)
class Bar:
    """Counts of the three classes over a stretch of tokens, as a bar and in words."""

    title: str
    n: int
    segments: tuple[Segment, ...]
    mean_kl: str


@dataclass(frozen=True, slots=True)
class ColumnView:
    """One column. `bars` are the whole answer, its first 5 % and its last 95 %; empty while nothing is scored."""

    position: int
    checkpoint: str
    role: str
    reference: str
    state: str
    words: str
    message: str
    running: bool
    can_retry: bool
    tokens: tuple[TokenView, ...]
    bars: tuple[Bar, ...]
    text: str
    run: tuple[tuple[str, str], ...]


def column_view(answer: Answer) -> ColumnView:
    """Show one column, live or stored."""
    ended_badly = answer.state in {RunState.FAILED, RunState.INTERRUPTED}
    running = answer.state in {RunState.PENDING, RunState.RUNNING}
    return ColumnView(
        position=answer.position,
        checkpoint=answer.checkpoint,
        role=answer.role,
        reference=answer.reference,
        state=answer.state.value,
        words=state_words(answer),
        message=answer.message,
        running=running,
        can_retry=ended_badly,
        tokens=token_views(answer, range(len(answer.ids))),
        bars=_live_bars(answer) if running else bars(answer),
        text=answer.text,
        run=_run_facts(answer),
    )


def state_words(answer: Answer) -> str:
    """Say how a column stands, in words with its number of tokens."""
    n = len(answer.ids)
    tokens = f"{n} token" if n == 1 else f"{n} tokens"
    match answer.state:
        case RunState.PENDING:
            return "waiting"
        case RunState.RUNNING:
            return f"streaming · {tokens}" if n else "waiting for the first token"
        case RunState.DONE:
            return f"done: {tokens} · {'end of sequence' if answer.finish == 'stop' else 'reached max tokens'}"
        case RunState.STOPPED:
            return f"stopped after {tokens}"
        case RunState.FAILED:
            return f"failed after {tokens}" if n else "failed"
        case RunState.INTERRUPTED:
            return f"interrupted after {tokens}" if n else "interrupted"


def token_views(answer: Answer, indices: Iterable[int]) -> tuple[TokenView, ...]:
    """Show some tokens of a column."""
    return tuple(
        _token_view(index, answer.texts[index], answer.shifts[index], answer.name(answer.ids[index]))
        for index in indices
    )


def _token_view(index: int, text: str, shift: TokenShift | None, raw: bytes | None) -> TokenView:
    css = _CSS["pending"] if shift is None else _CSS[shift.shift_class]
    if shift is not None and shift.near_border:
        css += f" {_CSS['near border']}"
    if not _BIDI_CONTROLS.isdisjoint(text):
        css += " bidi"
    spoken = _spoken(text, raw)
    label = f"{spoken}, pending" if shift is None else f"{spoken}, {shift.shift_class}, base rank {shift.base_rank:,}"
    return TokenView(index=index, text=text, css=css, label=label, ghost=_ghost(text, raw))


def _spoken(text: str, raw: bytes | None) -> str:
    if not text:
        return _special_name(raw) or "part of a character"
    if text.isspace():
        return " ".join(_SPOKEN.get(char, "space") for char in text[:3])
    return text.strip()


def _ghost(text: str, raw: bytes | None) -> str:
    if not text:
        return _special_name(raw) or "·"
    return "⏎" if text.isspace() and "\n" in text else ""


def _special_name(raw: bytes | None) -> str:
    """Return the name of a special token; a token without text is either one or an unfinished character."""
    try:
        return raw.decode() if raw else ""
    except UnicodeDecodeError:
        return ""


def bars(answer: Answer) -> tuple[Bar, ...]:
    """Count the classes of the scored tokens, whole and in the two stretches."""
    scored = answer.scored
    if not scored:
        return ()
    summary = summarise(scored)
    first = first_count(len(scored))
    rest = len(scored) - first
    return (
        bar("Whole answer", summary, answer.kl_kind),
        bar(f"First 5 % · {_tokens(first)}", summary.first5, answer.kl_kind),
        bar(f"Last 95 % · {_tokens(rest)}", summary.last95, answer.kl_kind),
    )


def _live_bars(answer: Answer) -> tuple[Bar, ...]:
    """Show what the page itself can keep up to date while tokens arrive: the counts alone."""
    return tuple(replace(whole, mean_kl="") for whole in bars(answer)[:1])


def _tokens(n: int) -> str:
    return f"{n} token" if n == 1 else f"{n} tokens"


def bar(title: str, part: Part, kl_kind: KlKind) -> Bar:
    """Lay out the three classes of a stretch side by side."""
    counts = (part.unshifted, part.marginal, part.shifted)
    segments, start = [], 0.0
    for mark, number in zip(CLASS_MARKS, counts, strict=True):
        width = 100 * number / part.n if part.n else 0.0
        segments.append(Segment(mark, number, round(start, 3), round(width, 3)))
        start += width
    return Bar(title, part.n, tuple(segments), _nats(part.mean_kl_tuned_base, kl_kind))


BLANK_BAR = Bar("Whole answer", 0, tuple(Segment(mark, 0, 0.0, 0.0) for mark in CLASS_MARKS), "")


def _run_facts(answer: Answer) -> tuple[tuple[str, str], ...]:
    run = answer.run
    wanted = (
        ("Model", "model"),
        ("Adapter", "adapter"),
        ("Revision", "revision"),
        ("Template", "template"),
        ("Engine", "engine"),
        ("Engine version", "engine_version"),
        ("Number type", "dtype"),
        ("Compared with", "reference"),
        ("Tuneshift", "app_version"),
    )
    return tuple((title, str(run[key])) for title, key in wanted if run.get(key))


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
    if char in _BIDI_CONTROLS or (not char.isprintable() and char not in _DRAWN):
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
        ("KL(tuned ‖ base)", _nats(shift.kl_tuned_base, kl_kind), _kl_note(kl_kind)),
        ("KL(base ‖ tuned)", _nats(shift.kl_base_tuned, kl_kind), _kl_note(kl_kind)),
    ]
    if shift.base_entropy is not None and shift.tuned_entropy is not None:
        facts.append(("Entropy", f"base {shift.base_entropy:.3f}, tuned {shift.tuned_entropy:.3f} nats", ""))
    return tuple(facts)


def _kl_note(kl_kind: KlKind) -> str:
    return "exact" if kl_kind == "exact" else "a lower bound, from the listed ids"


def _nats(value: float | None, kl_kind: KlKind) -> str:
    if value is None:
        return "infinite: base has no such id"
    return f"{'' if kl_kind == 'exact' else '≥ '}{value:.3f} nats"


def percent(probability: float) -> str:
    """Write a probability so that small ones stay apart from nothing."""
    if probability >= 0.1:  # noqa: PLR2004
        return f"{100 * probability:.1f} %"
    if probability >= 0.001:  # noqa: PLR2004
        return f"{100 * probability:.2f} %"
    return f"{100 * probability:.2g} %"
