"""What can be said of one token in one number: the table that colours, legends, panels, charts and exports are made of.

A measure has one fixed domain for every response, so that two columns, pages or days compare. Its eight steps are even
in its own scale; darker is always further from base. A number that does not exist is None, never 0.
"""

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from app.shift.classes import ShiftClass
from app.shift.trace import KlKind, TokenShift

Scale = Literal["class", "log", "linear", "symmetric", "unit"]

STEPS = 8
SIDE_STEPS = 4
OVERLAP_K = 10
_CLASSES = tuple(ShiftClass)
_NO_SUCH_ID = "infinite: base has no such id"
_NOT_REPORTED = "not reported by this engine"


@dataclass(frozen=True, slots=True)
class Measure:
    """One row of the table. `domain` is what its steps divide; the last one also holds what lies beyond.

    `scale` says how: `class` (the three classes), `log` (even in the logarithm), `linear`, `symmetric` (doubling away
    from 0, both ways), `unit` (0..1, darker towards 0). `bounded` values are lower bounds where KL is one, `whole` ones
    whole numbers. `missing` says what a None means, empty where there is none.
    """

    name: str
    title: str
    unit: str
    description: str
    scale: Scale
    diverging: bool
    domain: tuple[float, float]
    accessor: Callable[[TokenShift], float | None]
    missing: str = _NOT_REPORTED
    bounded: bool = False
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a legend: its level, its CSS class, and the values it stands for in words."""

    level: int | None
    css: str
    words: str


def _shift_class(token: TokenShift) -> float:
    return float(_CLASSES.index(token.shift_class))


def _logprob_difference(token: TokenShift) -> float | None:
    return None if token.base_logprob is None else token.tuned_logprob - token.base_logprob


def _overlap(token: TokenShift) -> float | None:
    base, tuned = ({id_ for id_, _ in top[:OVERLAP_K]} for top in (token.top_base, token.top_tuned))
    return len(base & tuned) / len(base | tuned) if base and tuned else None


MEASURES: tuple[Measure, ...] = (
    Measure(
        "shift_class",
        "Shift class",
        "",
        "unshifted, marginal or shifted, by the base rank of the written token",
        "class",
        False,
        (0, 2),
        _shift_class,
    ),
    Measure(
        "base_rank",
        "Rank under base",
        "",
        "1 + the ids base holds strictly more probable than the written one",
        "log",
        False,
        (1, 10_000),
        lambda token: float(token.base_rank),
        "",
        whole=True,
    ),
    Measure(
        "logprob_difference",
        "Logprob difference",
        "nats",
        "ln p(tuned) - ln p(base) of the written token; above 0 tuning made it likelier",
        "symmetric",
        True,
        (-8, 8),
        _logprob_difference,
        _NO_SUCH_ID,
    ),
    Measure(
        "kl_tuned_base",
        "KL(tuned ‖ base)",
        "nats",
        "how far tuned's whole next-token distribution is from base's, weighted by tuned",
        "log",
        False,
        (0.05, 12.8),
        lambda token: token.kl_tuned_base,
        _NO_SUCH_ID,
        bounded=True,
    ),
    Measure(
        "kl_base_tuned",
        "KL(base ‖ tuned)",
        "nats",
        "the same the other way round, weighted by base",
        "log",
        False,
        (0.05, 12.8),
        lambda token: token.kl_base_tuned,
        "infinite: tuned has no mass where base has",
        bounded=True,
    ),
    Measure(
        "base_entropy",
        "Entropy of base",
        "nats",
        "how undecided base was here",
        "linear",
        False,
        (0, 4),
        lambda token: token.base_entropy,
    ),
    Measure(
        "tuned_entropy",
        "Entropy of tuned",
        "nats",
        "how undecided tuned was here",
        "linear",
        False,
        (0, 4),
        lambda token: token.tuned_entropy,
    ),
    Measure(
        "surprisal",
        "Surprisal",
        "nats",
        "-ln p(tuned) of the written token: how little tuned itself expected it",
        "linear",
        False,
        (0, 4),
        lambda token: -token.tuned_logprob,
        "",
    ),
    Measure(
        "top_k_overlap",
        "Top-10 overlap",
        "",
        "ids in both top-10 lists / ids in either (Jaccard); 1 is the same ten",
        "unit",
        False,
        (0, 1),
        _overlap,
        "no lists are kept",
    ),
)
BY_NAME = {measure.name: measure for measure in MEASURES}


def value(measure: Measure, token: TokenShift) -> float | None:
    """Return the measure of a token, in its unit; None where it does not exist."""
    return measure.accessor(token)


def edges(measure: Measure) -> tuple[float, ...]:
    """Return where the levels 1, 2, ... begin, ascending: a level holds what is strictly above its edge.

    Of a symmetric measure these are magnitudes, of a unit measure distances from 1.
    """
    low, high = measure.domain
    match measure.scale:
        case "class":
            return (0.0, 1.0)
        case "log":
            # Rounded, so that a whole rank on an edge stays on it.
            return tuple(float(f"{low * (high / low) ** (step / STEPS):.12g}") for step in range(STEPS))
        case "symmetric":
            return tuple(high / 2 ** (SIDE_STEPS - step) for step in range(SIDE_STEPS))
        case "linear" | "unit":
            return tuple(low + (high - low) * step / STEPS for step in range(STEPS))


def level(measure: Measure, number: float | None) -> int | None:
    """Quantise a value: 0..8 (0..2 of classes), or -4..4 of a diverging measure; None stays None."""
    if number is None:
        return None
    if measure.diverging:
        steps = bisect_left(edges(measure), abs(number))
        return steps if number > 0 else -steps
    return bisect_left(edges(measure), 1 - number if measure.scale == "unit" else number)


def css_class(measure: Measure, number: int | None) -> str:
    """Name the CSS class of a level."""
    if number is None:
        return "heat-missing"
    if measure.scale == "class":
        return f"shift-{_CLASSES[number]}"
    if measure.diverging and number:
        return f"div-{'p' if number > 0 else 'n'}{abs(number)}"
    return f"heat-{number}"


def legend(measure: Measure) -> tuple[Step, ...]:
    """List the steps of a measure with their boundaries in words, then the mark of a missing value if there is one."""
    levels = range(-SIDE_STEPS, SIDE_STEPS + 1) if measure.diverging else range(len(edges(measure)) + 1)
    steps = [Step(number, css_class(measure, number), _step_words(measure, number)) for number in levels]
    missing = (Step(None, css_class(measure, None), measure.missing),) if measure.missing else ()
    return (*steps, *missing)


def words(measure: Measure, number: float | None, kl_kind: KlKind = "exact") -> str:
    """Write a value with its unit; a lower bound as one, a missing value as what its absence means."""
    if number is None:
        return measure.missing
    if measure.scale == "class":
        return str(_CLASSES[int(number)])
    if measure.whole:
        return f"{int(number):,}"
    bound = "≥ " if measure.bounded and kl_kind == "lower_bound" else ""
    sign = "+" if measure.diverging and number > 0 else ""
    digits = "2" if measure.scale == "unit" else "3"
    return f"{bound}{sign}{number:.{digits}f} {measure.unit}".rstrip().replace("-", "\u2212")


def _step_words(measure: Measure, number: int) -> str:
    at = edges(measure)
    if measure.scale == "class":
        return str(_CLASSES[number])
    if measure.whole:
        low, high = (int(at[number - 1]) + 1 if number else 1), (int(at[number]) if number < len(at) else None)
        return f"{low:,}+" if high is None else (f"{low:,}" if low == high else f"{low:,}\u2013{high:,}")
    if measure.diverging:
        return _diverging_words(number, at)
    if measure.scale == "unit":
        return "1" if number == 0 else f"< {1 - at[number - 1]:.3g}"
    return f"\u2264 {at[0]:.2g}" if number == 0 else f"> {at[number - 1]:.2g}"


def _diverging_words(number: int, at: tuple[float, ...]) -> str:
    if number == 0:
        return f"within \u00b1{at[0]:.2g}"
    return f"> +{at[number - 1]:.2g}" if number > 0 else f"< \u2212{at[-number - 1]:.2g}"
