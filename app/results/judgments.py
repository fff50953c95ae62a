"""Reading judgments out of the database, item by item, so that a study of any size fits in memory.

This is where presentations meet their arms again; only researchers' routes and the command line come here.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import and_, bindparam, func
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, select

from app.cells import known_ms
from app.monitor.excluding import Excluding
from app.monitor.exclusions import Given, reasons
from app.results.shown import hashes_of
from models import (
    Arm,
    Item,
    ItemKind,
    Membership,
    Preference,
    Presentation,
    PresentationState,
    Revision,
    RevisionKind,
    Side,
    Study,
)

JUDGED = (PresentationState.SUBMITTED, PresentationState.SKIPPED)


@dataclass(frozen=True, slots=True)
class Names:
    """What ids are called in an export of one study."""

    arms: Mapping[str, str]
    pids: Mapping[str, str]
    hashes: Mapping[str, str]


class Judged(NamedTuple):
    """One judgment: the item, what was shown, the revision that counts, and the first answer submitted.

    `ratings` and `acceptability` are empty unless they were asked for.
    """

    item_id: str
    prompt: str
    expected: str
    stratum: str
    presentation_id: str
    annotator_id: str
    left_arm_id: str
    right_arm_id: str
    left_response_id: str
    right_response_id: str
    side_order_key: str
    handed_at: datetime
    first_preference: Preference
    revision_id: str
    number: int
    preference: Preference
    strength: int | None
    submitted_at: datetime
    active_ms: int
    wall_ms: int
    flagged: bool
    skip_reason: str
    comment: str
    recognised_model: bool
    recognised_guess: str
    guideline_version: int
    app_version: str
    ratings: Mapping[str, Mapping[str, int]]
    acceptability: Mapping[str, bool]

    @property
    def handed_out(self) -> datetime | None:
        """When the item was handed to the annotator, None where an imported judgment does not say."""
        return None if known_ms(self.active_ms) is None else self.handed_at

    def arm_id(self, side: Side) -> str:
        """Name the arm that stood on a side."""
        return self.left_arm_id if side == Side.LEFT else self.right_arm_id

    def response_id(self, side: Side) -> str:
        """Name the response that stood on a side."""
        return self.left_response_id if side == Side.LEFT else self.right_response_id


def _submitted(pick: Callable[..., Any]) -> Any:
    one = aliased(Revision)
    return (
        select(pick(one.number))
        .where(one.presentation_id == Presentation.id, one.kind == RevisionKind.SUBMITTED)
        .correlate(Presentation)
        .scalar_subquery()
    )


# Made once: a query of new aliases would be compiled anew for every item.
_FINAL, _FIRST = aliased(Revision), aliased(Revision)
_LAST_SUBMITTED, _FIRST_SUBMITTED = _submitted(func.max), _submitted(func.min)
_COLUMNS = (
    Presentation.id, Presentation.annotator_id, Presentation.left_arm_id, Presentation.right_arm_id,
    Presentation.left_response_id, Presentation.right_response_id, Presentation.side_order_key,
    Presentation.created_at, _FIRST.preference, _FINAL.id, _FINAL.number, _FINAL.preference, _FINAL.strength,
    _FINAL.created_at, _FINAL.active_ms, _FINAL.wall_ms, _FINAL.flagged, _FINAL.skip_reason, _FINAL.comment,
    _FINAL.recognised_model, _FINAL.recognised_guess, _FINAL.guideline_version, _FINAL.app_version,
)  # fmt: skip
_BATCH = 1_000
_NOTHING: Mapping[str, Any] = {}


def names_of(session: Session, study: Study) -> Names:
    """Load what an export of a study calls its arms, annotators and responses."""
    arms = session.exec(select(Arm.id, Arm.name).where(Arm.study_id == study.id))
    pids = session.exec(select(Membership.user_id, Membership.pid).where(Membership.study_id == study.id))
    return Names(dict(arms.all()), dict(pids.all()), hashes_of(session, study.id))


def judgments(
    session: Session, study: Study, kind: ItemKind = ItemKind.REGULAR, *, answers: bool = False
) -> Iterator[Judged]:
    """Yield the judgments of a study's items of one kind, by item and presentation.

    With `answers` the ratings and acceptability are read too. A few judgments are in memory at a time.
    """
    items = session.exec(
        select(Item.id, Item.prompt, Item.expected, Item.stratum)
        .where(Item.study_id == study.id, Item.kind == kind)
        .order_by(col(Item.position), col(Item.id))
        .execution_options(yield_per=_BATCH)
    )
    wanted = (*_COLUMNS, _FINAL.ratings, _FINAL.acceptability) if answers else _COLUMNS
    query = _of_items(wanted)
    rest = () if answers else (_NOTHING, _NOTHING)
    for item in items:
        rows = session.execute(query, {"item_id": item[0]})
        for row in rows:
            yield Judged(*item, *row, *rest)


def _of_items(columns: Any) -> Any:
    """Select the judgments of the item that is given as `item_id`."""
    return (
        select(*columns)
        .select_from(Presentation)
        .join(_FINAL, and_(col(_FINAL.presentation_id) == Presentation.id, col(_FINAL.number) == _LAST_SUBMITTED))
        .join(_FIRST, and_(col(_FIRST.presentation_id) == Presentation.id, col(_FIRST.number) == _FIRST_SUBMITTED))
        .where(Presentation.item_id == bindparam("item_id"), col(Presentation.state).in_(JUDGED))
        .order_by(col(Presentation.id))
        .execution_options(yield_per=_BATCH)
    )


def excluded_by(rules: Excluding, judged: Judged) -> list[str]:
    """Name the exclusion rules that take a judgment out, oldest first; empty for none."""
    if not rules.rules:
        return []
    given = Given(judged.annotator_id, judged.active_ms, judged.recognised_model, judged.guideline_version)
    return reasons(rules.rules, given, rules.people)
