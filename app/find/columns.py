"""What responses can be sorted and filtered by: the columns of an aggregate, as people choose and read them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Float, func, type_coerce
from sqlmodel import col

from models import TraceAggregate as Row

Scale = Literal["linear", "log", "share"]


@dataclass(frozen=True, slots=True)
class Column:
    """One number of a response. `expression` computes it in the database; NULL where it does not exist.

    A `diverging` one has a sign that means something, and can be sorted by its magnitude. `missing` says when a
    response has no such number.
    """

    name: str
    title: str
    unit: str
    description: str
    scale: Scale
    expression: Callable[[], Any]
    missing: str = ""
    diverging: bool = False
    whole: bool = False


def _share(part: Any, whole: Any) -> Any:
    return type_coerce(part * 1.0 / func.nullif(whole, 0), Float)


_NO_SHIFT = "no token of it is shifted"
_EMPTY = "it has too few tokens"
_NO_KL = "base lacks one of its ids, or the engine told no KL"
_NO_ENTROPY = "its engine reports no entropy"

COLUMNS: tuple[Column, ...] = (
    Column(
        "shifted_share",
        "Shifted tokens",
        "%",
        "share of all tokens that base ranks fourth or lower",
        "share",
        lambda: _share(col(Row.shifted), col(Row.n)),
        _EMPTY,
    ),
    Column(
        "first5_shifted_share",
        "Shifted, first 5 %",
        "%",
        "share of the first 5 % of tokens that are shifted",
        "share",
        lambda: _share(col(Row.first5_shifted), col(Row.first5_n)),
        _EMPTY,
    ),
    Column(
        "last95_shifted_share",
        "Shifted, last 95 %",
        "%",
        "share of the last 95 % of tokens that are shifted",
        "share",
        lambda: _share(col(Row.shifted) - col(Row.first5_shifted), col(Row.n) - col(Row.first5_n)),
        _EMPTY,
    ),
    Column(
        "late_shift_share",
        "Late shifts",
        "%",
        "of the shifted tokens, the share in the second half of the response",
        "share",
        lambda: col(Row.late_shift_share),
        _NO_SHIFT,
    ),
    Column(
        "first_shift_at",
        "First shift at",
        "%",
        "tokens before the first shifted one, as a share of the response",
        "share",
        lambda: col(Row.first_shift_at),
        _NO_SHIFT,
    ),
    Column(
        "content_shifted",
        "Shifted content words",
        "tokens",
        "shifted tokens that the lexicon calls neither opening, style nor format",
        "linear",
        lambda: col(Row.content_shifted),
        "its text cannot be cut into tokens",
        whole=True,
    ),
    Column(
        "content_shifted_share",
        "Content among the shifted",
        "%",
        "of the shifted tokens, the share that are content words",
        "share",
        lambda: _share(col(Row.content_shifted), col(Row.shifted)),
        _NO_SHIFT,
    ),
    Column(
        "max_base_rank",
        "Largest base rank",
        "rank",
        "how far down its list base had the least expected token",
        "log",
        lambda: col(Row.max_base_rank),
        _EMPTY,
        whole=True,
    ),
    Column(
        "mean_kl_tuned_base",
        "Mean KL(tuned ‖ base)",
        "nats",
        "over all tokens",
        "log",
        lambda: col(Row.mean_kl_tuned_base),
        _NO_KL,
    ),
    Column(
        "max_kl_tuned_base",
        "Largest KL(tuned ‖ base)",
        "nats",
        "of one token",
        "log",
        lambda: col(Row.max_kl_tuned_base),
        _NO_KL,
    ),
    Column(
        "last95_kl_tuned_base",
        "KL(tuned ‖ base), last 95 %",
        "nats",
        "mean over the last 95 % of tokens",
        "log",
        lambda: col(Row.last95_kl_tuned_base),
        _NO_KL,
    ),
    Column(
        "mean_kl_base_tuned",
        "Mean KL(base ‖ tuned)",
        "nats",
        "over all tokens",
        "log",
        lambda: col(Row.mean_kl_base_tuned),
        _NO_KL,
    ),
    Column(
        "max_kl_base_tuned",
        "Largest KL(base ‖ tuned)",
        "nats",
        "of one token",
        "log",
        lambda: col(Row.max_kl_base_tuned),
        _NO_KL,
    ),
    Column(
        "last95_kl_base_tuned",
        "KL(base ‖ tuned), last 95 %",
        "nats",
        "mean over the last 95 % of tokens",
        "log",
        lambda: col(Row.last95_kl_base_tuned),
        _NO_KL,
    ),
    Column(
        "mean_logprob_difference",
        "Mean logprob difference",
        "nats",
        "tuned minus base, over all tokens; above 0 tuning made the text likelier",
        "linear",
        lambda: col(Row.mean_logprob_difference),
        "base knows none of its ids",
        diverging=True,
    ),
    Column(
        "peak_logprob_difference",
        "Peak logprob difference",
        "nats",
        "of the token where it is largest either way, its sign kept",
        "linear",
        lambda: col(Row.peak_logprob_difference),
        "base knows none of its ids",
        diverging=True,
    ),
    Column(
        "mean_surprisal",
        "Mean surprisal",
        "nats",
        "-ln p(tuned) over all tokens",
        "linear",
        lambda: col(Row.mean_surprisal),
        _EMPTY,
    ),
    Column(
        "mean_base_entropy",
        "Mean entropy of base",
        "nats",
        "how undecided base was, over all tokens",
        "linear",
        lambda: col(Row.mean_base_entropy),
        _NO_ENTROPY,
    ),
    Column(
        "mean_tuned_entropy",
        "Mean entropy of tuned",
        "nats",
        "how undecided tuned was, over all tokens",
        "linear",
        lambda: col(Row.mean_tuned_entropy),
        _NO_ENTROPY,
    ),
    Column(
        "mean_top_k_overlap",
        "Mean top-10 overlap",
        "%",
        "of both models' ten likeliest ids, the share they have in common (Jaccard)",
        "share",
        lambda: col(Row.mean_top_k_overlap),
        "no lists are stored",
    ),
    Column("n", "Length", "tokens", "tokens of the response", "linear", lambda: col(Row.n), whole=True),
)
BY_NAME: dict[str, Column] = {column.name: column for column in COLUMNS}


def words(column: Column, number: float | None) -> str:
    """Write a value as people read it, with its unit."""
    if number is None:
        return "none"
    if column.scale == "share":
        return f"{100 * number:.1f} %"
    if column.whole:
        return f"{number:,.0f}" + (" tokens" if column.unit == "tokens" else "")
    shown = f"{number:+.3f} nats" if column.diverging else f"{number:.3f} nats"
    return shown.replace("-", "\N{MINUS SIGN}")


def bound(column: Column, text: str) -> float | None:
    """Read a bound a person typed, per cent for a share; None for nothing. Raises ValueError."""
    said = text.strip().removesuffix("%").strip()
    if not said:
        return None
    number = float(said)
    if not abs(number) < 1e12:  # noqa: PLR2004 - also refuses NaN and infinity
        raise ValueError(said)
    return number / 100 if column.scale == "share" else number
