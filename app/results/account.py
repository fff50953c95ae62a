"""Where every row of an export came from: in = used + left out by reason, or nothing is written. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Account:
    """`used` of `given` things (`unit` says which) made `rows` rows; the others are left out, each for one reason.

    Raises ValueError where this does not add up.
    """

    unit: str
    given: int
    used: int
    rows: int
    left_out: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse sums that are wrong."""
        if self.given != self.used + sum(self.left_out.values()):
            raise ValueError(
                f"{self.given} {self.unit} in, but {self.used} used and {dict(self.left_out)} left out: "
                "the export does not add up"
            )

    def as_json(self) -> dict[str, Any]:
        """Spell it as the manifest does."""
        return {
            "unit": self.unit,
            "in": self.given,
            "used": self.used,
            "left_out": {reason: count for reason, count in sorted(self.left_out.items()) if count},
            "rows": self.rows,
        }


class Tally:
    """Counts rows while they pass: all, the judgments they belong to, and the excluded ones by rule."""

    def __init__(self) -> None:
        """Start at nothing."""
        self.rows = self.judgments = self.excluded = 0
        self.by_rule: Counter[str] = Counter()
        self._last: object = None

    def passing(self, rows: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
        """Count rows and hand them on; those of one judgment come one after the other."""
        for row in rows:
            self.rows += 1
            shown = row.get("presentation_id")
            if shown != self._last:
                self.judgments += 1
                self._last = shown
            if row.get("excluded") is True:
                self.excluded += 1
                self.by_rule.update(str(row["exclusion_reason"]).split("; "))
            yield row
