"""The rows of every table of an export, read out of one session in a fixed order.

This is where presentations meet their arms again; only researchers' routes and the command line come here.
"""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import Any

from sqlmodel import Session

from app.cells import known_ms
from app.monitor.excluding import excluding
from app.results.attribution import attribution, beside, judged_beside
from app.results.export import FILES, write_table
from app.results.judgments import Judged, Names, excluded_by, judgments, names_of
from app.results.leaks import leak_flag_rows
from app.results.marks import Shifts, marks_of
from app.results.people import annotator_rows, exclusion_rows
from app.results.revisions import revision_rows
from app.results.shown import presentation_rows, response_rows, trace_rows
from models import ItemKind, Preference, Side, Study

Rows = Iterator[dict[str, Any]]


def table_rows(session: Session, study: Study, table: str, *, external_ids: bool = False) -> Rows:
    """Yield the rows of a table of `COLUMNS`, items in order; the same state, the same rows.

    The session should be one read transaction, which is one snapshot. What recruiting platforms call annotators is
    told only where `external_ids` asks for it.
    """
    rows: dict[str, Callable[[Session, Study], Rows]] = {
        "preferences": _preference_rows,
        "ratings": _rating_rows,
        "hallucinations": _hallucination_rows,
        "evidence": _evidence_rows,
        "acceptability": _acceptability_rows,
        "gold": _gold_rows,
        "annotators": partial(annotator_rows, external_ids=external_ids),
        "exclusions": exclusion_rows,
        "revisions": revision_rows,
        "leak_flags": leak_flag_rows,
        "presentations": presentation_rows,
        "responses": response_rows,
        "traces": trace_rows,
    }
    return rows[table](session, study)


def iter_table(session: Session, study: Study, file: str, *, external_ids: bool = False) -> Iterator[str]:
    """Yield the lines of a CSV or JSON Lines file of `FILES`; the same state, the same bytes."""
    return write_table(file, table_rows(session, study, FILES[file], external_ids=external_ids))


def _preference_rows(session: Session, study: Study) -> Rows:
    names, rules = names_of(session, study), excluding(session, study)
    for judged in judgments(session, study):
        yield _preference_row(study, names, judged, excluded_by(rules, judged))


def _preference_row(study: Study, names: Names, judged: Judged, rules: list[str]) -> dict[str, Any]:
    left, right = names.arms[judged.left_arm_id], names.arms[judged.right_arm_id]
    chosen = {Preference.LEFT: left, Preference.RIGHT: right, Preference.CANNOT_JUDGE: ""}
    return {
        "study_id": study.id,
        "study_version": study.version,
        "item_id": judged.item_id,
        "presentation_id": judged.presentation_id,
        "annotator_pid": names.pids[judged.annotator_id],
        "prompt": judged.prompt,
        "model_left": left,
        "model_right": right,
        "response_left_sha256": names.hashes[judged.left_response_id],
        "response_right_sha256": names.hashes[judged.right_response_id],
        "side_order_key": judged.side_order_key,
        "preference_raw": judged.preference.value,
        "preference_model": chosen.get(judged.preference, "tie"),
        "strength": judged.strength,
        "revision": judged.number,
        "first_preference": judged.first_preference.value,
        "created_at": judged.handed_out,
        "submitted_at": judged.submitted_at,
        "active_ms": known_ms(judged.active_ms),
        "wall_ms": known_ms(judged.wall_ms),
        "skipped": judged.preference == Preference.CANNOT_JUDGE,
        "skip_reason": judged.skip_reason,
        "flagged": judged.flagged,
        "comment": judged.comment,
        "recognised_model": judged.recognised_model,
        "guideline_version": judged.guideline_version,
        "app_version": judged.app_version,
        "excluded": bool(rules),
        "exclusion_reason": "; ".join(rules) or None,
        "recognised_guess": judged.recognised_guess,
        "stratum": judged.stratum,
    }


def _rating_rows(session: Session, study: Study) -> Rows:
    names = names_of(session, study)
    for judged in judgments(session, study, answers=True):
        for side, rated in judged.ratings.items():
            for dimension, value in rated.items():
                yield _where(names, judged, Side(side)) | {"dimension": dimension, "value": value}


def _acceptability_rows(session: Session, study: Study) -> Rows:
    names = names_of(session, study)
    for judged in judgments(session, study, answers=True):
        for side in Side:
            if side.value in judged.acceptability:
                yield _where(names, judged, side) | {"acceptable": judged.acceptability[side.value]}


def _gold_rows(session: Session, study: Study) -> Rows:
    names = names_of(session, study)
    for judged in judgments(session, study, ItemKind.GOLD):
        expected = judged.expected
        if expected == "better":
            expected = "left" if names.arms[judged.left_arm_id] == "better" else "right"
        answered = judged.preference.value
        yield {
            "presentation_id": judged.presentation_id,
            "annotator_pid": names.pids[judged.annotator_id],
            "item_id": judged.item_id,
            "prompt": judged.prompt,
            "expected": expected,
            "preference_raw": answered,
            "right": answered == expected,
            "revision": judged.number,
            "submitted_at": judged.submitted_at,
            "active_ms": known_ms(judged.active_ms),
        }


def _hallucination_rows(session: Session, study: Study) -> Rows:
    names = names_of(session, study)
    for item_id, group in groupby(judgments(session, study), key=attrgetter("item_id")):
        spans = marks_of(session, item_id)
        if not spans:
            continue
        verdicts, shifts = judged_beside(session, item_id), Shifts(session)
        for judged in group:
            for span in spans.get(judged.revision_id, ()):
                yield _where(names, judged, span.side) | {
                    "start": span.start,
                    "end": span.end,
                    "quote": span.quote,
                    "prefix": span.prefix,
                    "suffix": span.suffix,
                    "type": span.type,
                    "severity": span.severity.value,
                    **attribution(verdicts.get(span.id, ()), none_of_these=span.no_evidence),
                    "note": span.note,
                    "shift": shifts.of(judged.response_id(span.side), start=span.start, end=span.end),
                }


def _evidence_rows(session: Session, study: Study) -> Rows:
    names = names_of(session, study)
    for item_id, group in groupby(judgments(session, study), key=attrgetter("item_id")):
        shown = beside(session, item_id)
        if shown is None:
            continue
        for judged in group:
            for side, columns in shown.rows(judged.presentation_id, judged.revision_id):
                yield _where(names, judged, side) | columns


def _where(names: Names, judged: Judged, side: Side) -> dict[str, Any]:
    return {
        "presentation_id": judged.presentation_id,
        "annotator_pid": names.pids[judged.annotator_id],
        "item_id": judged.item_id,
        "side": side.value,
        "model": names.arms[judged.arm_id(side)],
    }
