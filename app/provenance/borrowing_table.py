"""The table of a study's borrowing, one row for each measured response; `COLUMNS` is also its data dictionary."""

from collections.abc import Iterator

from sqlmodel import Session

from app.cells import csv_line
from app.provenance.borrowing_rows import answered, lengths, rows_of
from models import TuningSet

COLUMNS = {
    "study_id": "Opaque id of the study.",
    "item_id": "Opaque id of the prompt within the study.",
    "item_position": "The prompt's place in the study, from 1.",
    "arm": "Name of the arm.",
    "checkpoint": "The checkpoint whose shift classes were used.",
    "response_id": "Opaque id of the response.",
    "tuning_set_id": "Opaque id of the tuning set.",
    "tuning_set_sha256": "Hash of the tuning set's file.",
    "method": "Versions of the method and of the index, neighbours, draws.",
    "shifted": "Shifted tokens (base rank above 3) that hold a word.",
    "found": "How many of them stand in an answer of the nearest instances; empty where undefined.",
    "expected": "The share (0 to 1) expected in as many random instances; empty where undefined.",
    "p_value": "Share of random draws in which at least as many are found, one added on both sides.",
    "content_shifted": "Shifted tokens without very common words.",
    "content_found": "As found, for those.",
    "content_expected": "As expected, for those.",
    "unshifted": "Unshifted tokens (base rank 1) that hold a word.",
    "unshifted_found": "As found, for those.",
    "unshifted_expected": "As expected, for those.",
    "unshifted_content": "Unshifted tokens without very common words.",
    "unshifted_content_found": "As found, for those.",
    "unshifted_content_expected": "As expected, for those.",
    "draws": "Random draws of the test.",
    "neighbours": "Nearest instances that were found.",
    "verbatim_spans": "Runs of five words or more that stand in the tuning set.",
    "verbatim_characters": "Code points of the response in such runs.",
    "characters": "Code points of the response.",
    "reason": "Why there is no number.",
}


def csv_lines(session: Session, study_id: str, set_id: str) -> Iterator[str]:
    """Yield the lines of the table: a header, then the measured responses by item and arm."""
    yield csv_line(COLUMNS)
    tuning_set = session.get(TuningSet, set_id)
    if tuning_set is None:
        return
    have, sizes = rows_of(session, study_id, set_id), lengths(session, study_id)
    for one in answered(session, study_id):
        row = have.get((one.response_id, one.checkpoint))
        if row is None:
            continue
        known = {
            "study_id": study_id,
            "item_id": one.item_id,
            "item_position": one.position,
            "arm": one.arm,
            "tuning_set_id": set_id,
            "tuning_set_sha256": tuning_set.sha256,
            "characters": sizes.get(one.response_id, 0),
        }
        yield csv_line(known[name] if name in known else getattr(row, name) for name in COLUMNS)
