"""What the explore templates are given: frozen, finished, nothing left to look up. No web, no database."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from markupsafe import Markup, escape

from app.shift.classes import DEFAULT_THRESHOLDS, ShiftClass, Thresholds, classify
from app.shift.measures import MEASURES, Step, css_class, legend, level, value
from app.shift.summary import Part, first_count, summarise
from app.shift.trace import KlKind, TokenShift
from app.tokens.answer import Answer
from app.tokens.controls import MAX_THRESHOLD, MODES, Shown
from app.tokens.links import Links
from app.tokens.spelling import BIDI_CONTROLS, is_text, special_name, spelled
from app.tokens.verdict import VerdictView
from models import RunState

_SPOKEN = {"\n": "line break", "\t": "tab", " ": "space", "\r": "carriage return"}


@dataclass(frozen=True, slots=True)
class Mark:
    """One row of the legend. `css` is the class the page uses for it; `cue` is what shows besides colour."""

    name: str
    css: str
    cue: str
    meaning: str


def marks_for(thresholds: Thresholds = DEFAULT_THRESHOLDS) -> tuple[Mark, ...]:
    """List the legend of the classes under some thresholds; the page says the same words when they are edited."""
    first, last = thresholds.unshifted, thresholds.marginal
    return (
        Mark(ShiftClass.UNSHIFTED, "shift-unshifted", "plain", _ranks(1, first)),
        Mark(ShiftClass.MARGINAL, "shift-marginal", "dotted underline", _ranks(first + 1, last)),
        Mark(ShiftClass.SHIFTED, "shift-shifted", "solid underline", f"base rank above {last:,}"),
        Mark("near border", "near-border", "dashed outline", "rounding alone could change the class"),
        Mark("pending", "shift-pending", "grey text", "base has not scored it yet"),
    )


def _ranks(low: int, high: int) -> str:
    return f"base rank {low:,}" if low == high else f"base rank {low:,} to {high:,}"


MARKS = marks_for()
CLASS_MARKS = MARKS[:3]
_CSS = {mark.name: mark.css for mark in MARKS}


@dataclass(frozen=True, slots=True)
class MeasureLegend:
    """The legend of one measure: every step that colours a token, with its values in words."""

    name: str
    title: str
    unit: str
    description: str
    scale: str
    domain: tuple[float, float]
    whole: bool
    bounded: bool
    missing: str
    steps: tuple[Step, ...]


LEGENDS: tuple[MeasureLegend, ...] = tuple(
    MeasureLegend(
        name=one.name,
        title=one.title,
        unit=one.unit,
        description=one.description,
        scale=one.scale,
        domain=one.domain,
        whole=one.whole,
        bounded=one.bounded,
        missing=one.missing,
        steps=legend(one),
    )
    for one in MEASURES
)


@dataclass(frozen=True, slots=True)
class TokenView:
    """One token of a response in the page; the first word of `css` is its colour.

    `rank` is base's, None while it is pending. `spoken` is its name where its text is none, `ghost` what is drawn where
    it has no visible text, `hex` its bytes where they are no text on their own, `spelled` how tokenizer mode shows it.
    `passed_over`: tuned's own first choice was another token.
    """

    index: int
    id: int
    rank: int | None
    text: Markup
    css: str
    spoken: str
    ghost: str
    hex: str
    spelled: str
    passed_over: bool


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
    response_id: str
    links: Links
    shown: Shown
    verdict: VerdictView | None = None


def column_view(answer: Answer, links: Links | None = None, shown: Shown | None = None) -> ColumnView:
    """Show one column, live or stored: where its parts come from, and coloured as somebody wants to see it."""
    shown = shown or Shown()
    ended_badly = answer.state in {RunState.FAILED, RunState.INTERRUPTED}
    running = answer.state in {RunState.PENDING, RunState.RUNNING}
    if running and not shown.by_class:
        # Tokens arrive coloured by class, and stay so until all have.
        shown = replace(shown, measure=MEASURES[0])
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
        tokens=token_views(answer, range(len(answer.ids)), shown),
        bars=_live_bars(answer, shown.thresholds) if running else bars(answer, shown.thresholds),
        text=markup(answer.text),
        run=_run_facts(answer),
        response_id=answer.response_id or "",
        links=links or Links(),
        shown=shown,
    )


def page_context(shown: Shown) -> dict[str, Any]:
    """Return what the controls and legends of a page of tokens are drawn from."""
    return {
        "shown": shown,
        "legends": LEGENDS,
        "marks": marks_for(shown.thresholds),
        "modes": MODES,
        "blank_bar": BLANK_BAR,
        "max_threshold": MAX_THRESHOLD,
    }


def _awaited(ahead: int) -> str:
    if not ahead:
        return "the first token"
    return f"{ahead} other request{'' if ahead == 1 else 's'}"


def state_words(answer: Answer) -> str:
    """Say how a column stands, in words with its number of tokens."""
    n = len(answer.ids)
    tokens = f"{n} token" if n == 1 else f"{n} tokens"
    match answer.state:
        case RunState.PENDING:
            return "waiting"
        case RunState.RUNNING:
            return f"streaming · {tokens}" if n else f"waiting for {_awaited(answer.ahead)}"
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


def token_views(answer: Answer, indices: Iterable[int], shown: Shown | None = None) -> tuple[TokenView, ...]:
    """Show some tokens of a column."""
    shown = shown or Shown()
    return tuple(
        _token_view(index, answer.texts[index], answer.shifts[index], (answer.ids[index], answer.name), shown)
        for index in indices
    )


def _token_view(
    index: int,
    text: str,
    shift: TokenShift | None,
    named: tuple[int, Callable[[int], bytes | None]],
    shown: Shown,
) -> TokenView:
    token, name = named
    raw = name(token)
    spoken = _spoken(text, raw)
    fragment = raw is not None and not is_text(raw)
    return TokenView(
        index=index,
        id=token,
        rank=None if shift is None else shift.base_rank,
        text=markup(text),
        css=_css(text, shift, shown),
        spoken="" if spoken == text.strip() else spoken,
        ghost=_ghost(text, raw),
        hex=raw.hex(" ") if raw is not None and fragment else "",
        # Only a page without scripts needs it spelled; others spell it when somebody asks.
        spelled=spelled(text, raw, token) if shown.mode == "tokenizer" else "",
        passed_over=shift is not None and shift.tuned_rank > 1,
    )


def _css(text: str, shift: TokenShift | None, shown: Shown) -> str:
    if shift is None:
        css = _CSS["pending"]
    elif shown.by_class:
        css = _CSS[classify(shift.base_rank, shown.thresholds)]
    else:
        css = css_class(shown.measure, level(shown.measure, value(shown.measure, shift)))
    if shift is not None and shift.near_border:
        css += f" {_CSS['near border']}"
    return css if BIDI_CONTROLS.isdisjoint(text) else f"{css} bidi"


def _spoken(text: str, raw: bytes | None) -> str:
    if not text:
        return special_name(raw) or "part of a character"
    if text.isspace():
        return " ".join(_SPOKEN.get(char, "space") for char in text[:3])
    return text.strip()


def _ghost(text: str, raw: bytes | None) -> str:
    if not text:
        return special_name(raw) or "·"
    return "⏎" if text.isspace() and "\n" in text else ""


def bars(answer: Answer, thresholds: Thresholds = DEFAULT_THRESHOLDS) -> tuple[Bar, ...]:
    """Count the classes of the scored tokens, whole and in the two stretches."""
    scored = answer.scored
    if not scored:
        return ()
    summary = summarise(scored, thresholds)
    first = first_count(len(scored))
    rest = len(scored) - first
    return (
        bar("Whole answer", summary, answer.kl_kind),
        bar(f"First 5 % · {_tokens(first)}", summary.first5, answer.kl_kind),
        bar(f"Last 95 % · {_tokens(rest)}", summary.last95, answer.kl_kind),
    )


def _live_bars(answer: Answer, thresholds: Thresholds) -> tuple[Bar, ...]:
    """Show what the page itself can keep up to date while tokens arrive: the counts alone."""
    return tuple(replace(whole, mean_kl="") for whole in bars(answer, thresholds)[:1])


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
