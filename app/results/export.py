"""The tables of a study's export: columns with their meaning, written as CSV or JSON Lines.

Pure. The column tuples drive the files, `docs/export.md` and the tests.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from app.cells import as_text, csv_line


class Column(NamedTuple):
    """One column and what it promises."""

    name: str
    meaning: str


PREFERENCES = (
    Column("study_id", "Opaque id of the study."),
    Column("study_version", "Version of the study when exported; 1 at first."),
    Column("item_id", "Opaque id of the prompt within the study."),
    Column("presentation_id", "Opaque id of this item and pair as shown to this annotator; joins the tables."),
    Column("annotator_pid", "Pseudonym of the annotator, one per study."),
    Column("prompt", "The prompt, as the models received it from the researcher."),
    Column("model_left", "Name of the arm shown left, as A."),
    Column("model_right", "Name of the arm shown right, as B."),
    Column("response_left_sha256", "SHA-256 of the left response's text in UTF-8, hexadecimal."),
    Column("response_right_sha256", "SHA-256 of the right response's text in UTF-8, hexadecimal."),
    Column(
        "side_order_key",
        "HMAC-SHA256, keyed by the study seed, of the JSON list "
        '["side", item_id, first arm, second arm, annotator_pid] with the arms in alphabetical order; '
        "where balance leaves both sides open, a last hexadecimal digit that is even puts the first arm left.",
    ),
    Column("preference_raw", "What was answered: left, right, tie_good, tie_bad or cannot_judge."),
    Column("preference_model", "The preferred arm's name, `tie` for both kinds of tie, empty for cannot_judge."),
    Column("strength", "Strength of the preference; empty, because the page does not ask for it."),
    Column("revision", "Number of the revision that counts: the last one submitted. Drafts are numbered too."),
    Column("first_preference", "preference_raw of the first submitted revision, to tell what was changed later."),
    Column("created_at", "When the item was handed to the annotator, UTC, ISO 8601."),
    Column("submitted_at", "When the revision that counts was submitted, UTC, ISO 8601."),
    Column("active_ms", "Milliseconds with the page visible, focused, and used within the last 30 seconds."),
    Column("wall_ms", "Milliseconds the page was open, over all visits."),
    Column("skipped", "true where preference_raw is cannot_judge."),
    Column("skip_reason", "Why it could not be judged, in the annotator's words."),
    Column("flagged", "true where the annotator flagged the item for the researcher."),
    Column("comment", "The annotator's comment."),
    Column("recognised_model", "true where the annotator believes to have recognised a model."),
    Column("guideline_version", "Version of the guidelines in view when the revision was submitted."),
    Column("app_version", "Version of Tuneshift that stored the revision."),
    Column("excluded", "true where an exclusion rule removed the judgment from the results; false without rules."),
    Column("exclusion_reason", "The rule that excluded it; empty otherwise."),
)

RATINGS = (
    Column("presentation_id", "Joins preferences.csv."),
    Column("annotator_pid", "Pseudonym of the annotator, one per study."),
    Column("item_id", "Opaque id of the prompt within the study."),
    Column("side", "left (A) or right (B)."),
    Column("model", "Name of the arm on that side."),
    Column("dimension", "helpfulness, clarity, factuality, depth or engagement."),
    Column("value", "1 (worst) to 5 (best)."),
)

HALLUCINATIONS = (
    Column("presentation_id", "Joins preferences.csv."),
    Column("annotator_pid", "Pseudonym of the annotator, one per study."),
    Column("item_id", "Opaque id of the prompt within the study."),
    Column("side", "left (A) or right (B)."),
    Column("model", "Name of the arm on that side."),
    Column("start", "First Unicode code point of the span in the response's stored text, 0-based."),
    Column("end", "One past the last code point; text[start:end] is the quote."),
    Column("quote", "The marked text, taken from the stored response."),
    Column("prefix", "Up to 32 code points before it."),
    Column("suffix", "Up to 32 code points after it."),
    Column("type", "wrong_fact, invented, contradiction, unsupported or other."),
    Column("severity", "minor or major."),
    Column(
        "causal",
        "true where a retrieved instance was judged borrowed; false where instances were judged, or none of these was "
        "answered, and no retrieved one was judged borrowed; null where nothing was said of the instances.",
    ),
    Column(
        "evidence_instance_id",
        "Id, in its tuning set, of the instance the span was attributed to: of those judged borrowed the first one "
        "shown, retrieved ones before decoys; null where none was.",
    ),
    Column("evidence_is_decoy", "Whether that instance was a decoy; null where none was judged borrowed."),
    Column("note", "The annotator's note."),
    Column(
        "shift",
        "How many tokens that overlap the span are unshifted, marginal, shifted, and n in all, with the reference "
        "they were compared to; null where the response has no trace.",
    ),
)

EVIDENCE = (
    Column("presentation_id", "Joins preferences.csv."),
    Column("annotator_pid", "Pseudonym of the annotator, one per study."),
    Column("item_id", "Opaque id of the prompt within the study."),
    Column("side", "left (A) or right (B)."),
    Column("model", "Name of the arm on that side."),
    Column("start", "First Unicode code point of the span in the response's stored text; joins hallucinations.jsonl."),
    Column("end", "One past the last code point."),
    Column("place", "Where the instance stood among those shown beside the span; 1 is the first."),
    Column("tuning_set_sha256", "SHA-256 of the tuning set's file, hexadecimal."),
    Column("instance_id", "Id of the instance in its tuning set."),
    Column("is_decoy", "true where the instance was drawn as a decoy; false where it was retrieved for the span."),
    Column("origin", "How a retrieved one was found, verbatim or nearest; empty for a decoy."),
    Column("score", "The search's score of a retrieved one; null for a decoy, and where the search gave none."),
    Column("opened", "How often the annotator opened it to read it whole; short ones need no opening."),
    Column("marked", "true where the judgment marks this span; false where the mark was taken back or moved."),
    Column("verdict", "borrowed, similar or unrelated; null where the judgment says nothing of the instance."),
    Column("none_of_these", "true where the annotator answered that the span was borrowed from none of those shown."),
)

TABLES: dict[str, tuple[Column, ...]] = {
    "preferences.csv": PREFERENCES,
    "ratings.csv": RATINGS,
    "hallucinations.jsonl": HALLUCINATIONS,
    "evidence.jsonl": EVIDENCE,
}


def write_table(table: str, rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Turn rows into the lines of a table of `TABLES`, one at a time; a row must have exactly its columns."""
    names = [column.name for column in TABLES[table]]
    if table.endswith(".csv"):
        yield csv_line(names)
        yield from (csv_line(_values(row, names)) for row in rows)
        return
    for row in rows:
        yield json_line(dict(zip(names, _values(row, names), strict=True)))


def _values(row: Mapping[str, Any], names: Sequence[str]) -> list[Any]:
    if row.keys() != set(names):
        raise ValueError(f"a row and its columns disagree about {sorted(row.keys() ^ set(names))}")
    return [row[name] for name in names]


def json_line(row: Mapping[str, Any]) -> str:
    """Write one JSON Lines record, exact: nothing is escaped against spreadsheets here."""
    return json.dumps(row, ensure_ascii=False, separators=(",", ":"), default=as_text) + "\n"
