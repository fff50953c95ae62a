"""Judgments with their texts, item by item, as the formats of other tools take them."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import attrgetter

from sqlmodel import Session, col, select

from app.cells import known_ms
from app.monitor.excluding import Excluding, excluding
from app.results.formats.base import Comparison, Mark, Shown
from app.results.judgments import Judged, Names, excluded_by, judgments, names_of
from app.results.marks import Marked, marks_of
from models import Arm, Pair, Response, Side, Study

_AT_ONCE = 500


def comparisons(session: Session, study: Study) -> Iterator[list[Comparison]]:
    """Yield the judgments of each regular item that has any, excluded ones marked, by presentation."""
    names, rules = names_of(session, study), excluding(session, study)
    for item_id, group in groupby(judgments(session, study), key=attrgetter("item_id")):
        ones = list(group)
        texts = _texts(session, ones)
        marks = marks_of(session, item_id)
        yield [_comparison(one, names, rules, texts, marks.get(one.revision_id, ())) for one in ones]


def pairs_of(session: Session, study: Study) -> list[tuple[str, str]]:
    """List the pairs of a study's own arms, each in alphabetical order."""
    arms = dict(session.exec(select(Arm.id, Arm.name).where(Arm.study_id == study.id)).all())
    pairs = session.exec(select(Pair).where(Pair.study_id == study.id, col(Pair.special).is_(False)))
    return sorted(_ordered(arms[pair.first_arm_id], arms[pair.second_arm_id]) for pair in pairs)


def _ordered(one: str, other: str) -> tuple[str, str]:
    return (one, other) if one <= other else (other, one)


def _comparison(
    one: Judged, names: Names, rules: Excluding, texts: dict[str, tuple[str, int | None]], marks: Sequence[Marked]
) -> Comparison:
    left, right = (
        Shown(names.arms[one.arm_id(side)], *texts[one.response_id(side)]) for side in (Side.LEFT, Side.RIGHT)
    )
    return Comparison(
        item_id=one.item_id,
        presentation_id=one.presentation_id,
        annotator=names.pids[one.annotator_id],
        prompt=one.prompt,
        left=left,
        right=right,
        preference=one.preference.value,
        strength=one.strength,
        handed_at=one.handed_out,
        submitted_at=one.submitted_at,
        active_ms=known_ms(one.active_ms),
        excluded=bool(excluded_by(rules, one)),
        comment=one.comment,
        marks=[_mark(mark) for mark in marks],
    )


def _texts(session: Session, ones: Sequence[Judged]) -> dict[str, tuple[str, int | None]]:
    wanted = sorted({one.response_id(side) for one in ones for side in Side})
    found: dict[str, tuple[str, int | None]] = {}
    for start in range(0, len(wanted), _AT_ONCE):
        query = select(Response.id, Response.text, Response.token_ids).where(
            col(Response.id).in_(wanted[start : start + _AT_ONCE])
        )
        found |= {key: (text, len(ids) or None) for key, text, ids in session.exec(query)}
    return found


def _mark(span: Marked) -> Mark:
    return Mark(span.side.value, span.start, span.end, span.quote, span.type, span.severity.value)
