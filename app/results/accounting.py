"""What the database holds of a study, counted apart from the rows of its export, so that the two can be compared."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from sqlmodel import Session, col, func, select

from app.results.account import Account, Tally
from app.results.judgments import JUDGED
from models import (
    Arm,
    Exclusion,
    Item,
    ItemKind,
    ItemResponse,
    LeakFlag,
    Membership,
    Presentation,
    Revision,
    Study,
    Trace,
    WithdrawalPolicy,
)


@dataclass(frozen=True, slots=True)
class Stored:
    """How much of everything is stored; `shown` counts presentations by kind of item and whether they are judged."""

    shown: Counter[tuple[str, bool]]
    revisions: int
    responses: int
    traces: int
    flags: int
    members: int
    rules: int

    @property
    def presentations(self) -> int:
        """All presentations."""
        return self.shown.total()

    @property
    def judgments(self) -> int:
        """The judgments of regular items."""
        return self.shown[ItemKind.REGULAR.value, True]

    def judged_apart(self, kind: ItemKind) -> dict[str, int]:
        """Say why presentations are no judgments of items of `kind`."""
        reasons = {f"of a {other.value} item": self.shown[other.value, True] for other in ItemKind if other != kind}
        return reasons | {"not submitted": sum(count for (_, judged), count in self.shown.items() if not judged)}


def count_stored(session: Session, study: Study) -> Stored:
    """Count what is stored of a study."""
    kinds = select(Item.kind, Presentation.state, func.count()).join(Item, col(Item.id) == col(Presentation.item_id))
    shown: Counter[tuple[str, bool]] = Counter()
    for kind, state, count in session.exec(
        kinds.where(Presentation.study_id == study.id).group_by(col(Item.kind), col(Presentation.state))
    ):
        shown[str(kind), state in JUDGED] += count
    of_study = select(func.count()).select_from(ItemResponse).join(Item, col(Item.id) == col(ItemResponse.item_id))
    of_study = of_study.where(Item.study_id == study.id)
    traces = of_study.join(Trace, col(Trace.response_id) == col(ItemResponse.response_id))
    flags = of_study.join(LeakFlag, col(LeakFlag.response_id) == col(ItemResponse.response_id))
    revisions = select(func.count()).select_from(Revision)
    revisions = revisions.join(Presentation, col(Presentation.id) == col(Revision.presentation_id))
    rules = session.exec(select(func.count()).where(Exclusion.study_id == study.id)).one()
    return Stored(
        shown=shown,
        revisions=session.exec(revisions.where(Presentation.study_id == study.id)).one(),
        responses=session.exec(of_study.join(Arm, col(Arm.id) == col(ItemResponse.arm_id))).one(),
        traces=session.exec(traces).one(),
        flags=session.exec(flags.where(LeakFlag.study_id == study.id)).one(),
        members=session.exec(select(func.count()).where(Membership.study_id == study.id)).one(),
        rules=rules + (study.withdrawal == WithdrawalPolicy.EXCLUDE),
    )


_NONE = {
    "ratings": "nothing rated",
    "acceptability": "nothing called acceptable or not",
    "hallucinations": "nothing marked",
    "evidence": "no instance shown",
}


def table_account(table: str, stored: Stored, tally: Tally) -> Account:
    """Compare what is stored with what was written. Raises ValueError where the two disagree."""
    rows = tally.rows
    if table in _NONE:
        missing = {_NONE[table]: stored.judgments - tally.judgments}
        return Account("judgments", stored.judgments, tally.judgments, rows, missing)
    if table in {"preferences", "gold"}:
        kind = ItemKind.GOLD if table == "gold" else ItemKind.REGULAR
        return Account("presentations", stored.presentations, rows, rows, stored.judged_apart(kind))
    if table == "annotators":
        return Account("members", stored.members, rows, rows, {"researchers who judged nothing": stored.members - rows})
    whole: dict[str, tuple[str, int]] = {
        "presentations": ("presentations", stored.presentations),
        "revisions": ("revisions", stored.revisions),
        "responses": ("responses", stored.responses),
        "traces": ("traces", stored.traces),
        "leak_flags": ("flags", stored.flags),
        "exclusions": ("rules", stored.rules),
    }
    return Account(*whole[table], rows, rows)


def weights(stored: Stored, formats: int) -> dict[str, int]:
    """Guess how many rows each part of an export will write, for its progress bar."""
    judged = stored.judgments
    tables: dict[str, Any] = {
        "preferences": judged, "ratings": 10 * judged, "hallucinations": judged, "evidence": judged,
        "acceptability": judged, "gold": 0, "annotators": stored.members, "exclusions": 0,
        "revisions": stored.revisions, "leak_flags": stored.flags, "presentations": stored.presentations,
        "responses": stored.responses, "traces": 20 * stored.traces,
    }  # fmt: skip
    return {name: count + 1 for name, count in tables.items()} | {"formats": formats * judged + 1}
