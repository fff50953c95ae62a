"""What the explore templates are given: frozen, finished, nothing left to look up. No web, no database."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from markupsafe import Markup, escape

from app.compare.answers import Answer
from app.shift.classes import ShiftClass
from app.shift.summary import Part, first_count, summarise
from app.shift.trace import KlKind, TokenShift
from models import RunState

# Characters that reorder what follows them; a token holding one is shut into its own direction.
BIDI_CONTROLS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_SPOKEN = {"\n": "line break", "\t": "tab", " ": "space", "\r": "carriage return"}


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
    text: Markup
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
    text: Markup
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
        text=markup(answer.text),
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


def markup(text: str) -> Markup:
    """Escape text for a page; a carriage return must be spelled, or the browser reads it as a line feed."""
    return escape(text).replace("\r", Markup("&#13;"))


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
    if not BIDI_CONTROLS.isdisjoint(text):
        css += " bidi"
    spoken = _spoken(text, raw)
    label = f"{spoken}, pending" if shift is None else f"{spoken}, {shift.shift_class}, base rank {shift.base_rank:,}"
    return TokenView(index=index, text=markup(text), css=css, label=label, ghost=_ghost(text, raw))


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
    return Bar(title, part.n, tuple(segments), nats(part.mean_kl_tuned_base, kl_kind))


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


def nats(value: float | None, kl_kind: KlKind) -> str:
    """Write a KL in nats, with what a missing one means."""
    if value is None:
        return "infinite: base has no such id"
    return f"{'' if kl_kind == 'exact' else '≥ '}{value:.3f} nats"
