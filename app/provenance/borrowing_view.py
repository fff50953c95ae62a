"""What the page of a study's borrowing is given: finished words and numbers. No web, no database."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from app.provenance.borrowing_rates import ArmRates, Difference, Measured, Rates
from app.provenance.borrowing_rows import Answered
from app.provenance.view import p_value, percent
from app.stats.bootstrap import Interval
from models import Borrowing

KIND_NAMES = {
    "shifted": "Shifted tokens",
    "content": "Shifted tokens, without common words",
    "unshifted": "Unshifted tokens, for comparison",
    "unshifted_content": "Unshifted tokens, without common words",
}


@dataclass(frozen=True, slots=True)
class RateCell:
    """One rate of one arm: in words, and on an axis from 0 to 100 (None where there is no interval)."""

    arm: str
    found: str
    expected: str
    excess: str
    n: str
    estimate: float | None
    low: float | None
    high: float | None
    expected_at: float | None
    reason: str


@dataclass(frozen=True, slots=True)
class KindTable:
    """The arms beside each other for one kind of token."""

    kind: str
    name: str
    rows: tuple[RateCell, ...]


@dataclass(frozen=True, slots=True)
class DifferenceRow:
    """Two arms over the items both answered."""

    first: str
    second: str
    found: str
    excess: str
    items: int
    lft_sft: bool


@dataclass(frozen=True, slots=True)
class ResponseRow:
    """One measured response, with where to look at it."""

    position: int
    arm: str
    response_id: str
    checkpoint: str
    found: str
    expected: str
    p: str
    spans: int
    reason: str
    excess: float


def measured_by_arm(
    rows: Iterable[Answered], have: Mapping[tuple[str, str], Borrowing], lengths: Mapping[str, int]
) -> dict[str, list[Measured]]:
    """Sort what is measured by arm, for the statistics."""
    arms: dict[str, list[Measured]] = {}
    for one in rows:
        row = have.get((one.response_id, one.checkpoint))
        mine = arms.setdefault(one.arm, [])
        if row is not None:
            mine.append(
                Measured(
                    item=one.item_id,
                    kinds={
                        "shifted": (row.shifted, row.found, row.expected),
                        "content": (row.content_shifted, row.content_found, row.content_expected),
                        "unshifted": (row.unshifted, row.unshifted_found, row.unshifted_expected),
                        "unshifted_content": (
                            row.unshifted_content,
                            row.unshifted_content_found,
                            row.unshifted_content_expected,
                        ),
                    },
                    verbatim=row.verbatim_characters,
                    characters=lengths.get(one.response_id, 0),
                )
            )
    return arms


def kind_tables(arms: Sequence[ArmRates]) -> tuple[KindTable, ...]:
    """Lay the arms out, one table for each kind of token."""
    return tuple(
        KindTable(kind, name, tuple(_cell(arm.arm, arm.kinds[kind]) for arm in arms))
        for kind, name in KIND_NAMES.items()
    )


def _cell(arm: str, rates: Rates) -> RateCell:
    found = rates.found
    return RateCell(
        arm=arm,
        found=shares(found),
        expected="" if rates.expected is None else percent(rates.expected),
        excess=points(rates.excess),
        n=f"{found.n:,} tokens, {rates.responses:,} responses",
        estimate=_hundred(found.estimate),
        low=_hundred(found.low),
        high=_hundred(found.high),
        expected_at=_hundred(rates.expected),
        reason=found.reason,
    )


def shares(interval: Interval) -> str:
    """Write a share with its 95 % interval."""
    if interval.estimate is None:
        return ""
    if interval.low is None or interval.high is None:
        return percent(interval.estimate)
    return f"{percent(interval.estimate)} ({100 * interval.low:.0f} to {100 * interval.high:.0f})"


def points(interval: Interval) -> str:
    """Write a difference of shares in percentage points, with its sign and its 95 % interval."""
    if interval.estimate is None:
        return ""
    if interval.low is None or interval.high is None:
        return f"{_signed(interval.estimate)} points"
    return f"{_signed(interval.estimate)} points ({_signed(interval.low)} to {_signed(interval.high)})"


def _signed(share: float) -> str:
    return f"{100 * share:+.1f}".replace("-", "\u2212")


def difference_rows(found: Sequence[Difference], roles: Mapping[str, str]) -> tuple[DifferenceRow, ...]:
    """Show paired differences, that of LFT against SFT first; two arms without a common item with numbers have none."""
    rows = [
        DifferenceRow(
            first=one.first,
            second=one.second,
            found=points(one.found) or one.found.reason,
            excess=points(one.excess) or one.excess.reason,
            items=one.items,
            lft_sft={roles.get(one.first), roles.get(one.second)} == {"lft", "sft"},
        )
        for one in found
        if one.items
    ]
    return tuple(sorted(rows, key=lambda row: not row.lft_sft))


def response_rows(
    rows: Iterable[Answered], have: Mapping[tuple[str, str], Borrowing], *, arm: str = ""
) -> list[ResponseRow]:
    """List the measured responses, those furthest above what is expected first."""
    found = [
        _response_row(one, row)
        for one in rows
        if (row := have.get((one.response_id, one.checkpoint))) is not None and arm in {"", one.arm}
    ]
    return sorted(found, key=lambda row: (-row.excess, row.position, row.arm))


def _response_row(one: Answered, row: Borrowing) -> ResponseRow:
    known = row.found is not None and row.expected is not None and row.shifted > 0
    share = (row.found or 0) / row.shifted if known else 0.0
    return ResponseRow(
        position=one.position,
        arm=one.arm,
        response_id=one.response_id,
        checkpoint=one.checkpoint,
        found=f"{row.found} of {row.shifted} ({percent(share)})" if known else "",
        expected=percent(row.expected or 0.0) if known else "",
        p=p_value(row.p_value).removeprefix("= ") if known else "",
        spans=row.verbatim_spans,
        reason=row.reason,
        # Those without a number come last.
        excess=share - (row.expected or 0.0) if known else -2.0,
    )


def _hundred(share: float | None) -> float | None:
    return None if share is None else round(100 * share, 2)
