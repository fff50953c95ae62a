"""The tables of a study's export: columns with their meaning and kind, written as CSV or JSON Lines.

Pure. The column tuples drive the files, `docs/export.md` and the tests.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from app.results.answer_columns import PRESENTATIONS, RESPONSES, TRACES
from app.results.column import Column
from app.results.records import csv_record, json_record

PREFERENCES = (
    Column("study_id", "Opaque id of the study."),
    Column("study_version", "Version of the study when exported; 1 at first.", "int"),
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
    Column(
        "strength", "How much better: 1 slightly, 2 clearly, 3 much; empty for ties and where it was not asked.", "int"
    ),
    Column("revision", "Number of the revision that counts: the last one submitted. Drafts are numbered too.", "int"),
    Column("first_preference", "preference_raw of the first submitted revision, to tell what was changed later."),
    Column(
        "created_at",
        "When the item was handed to the annotator, UTC, ISO 8601; empty where an imported judgment does not say.",
        "time",
    ),
    Column("submitted_at", "When the revision that counts was submitted, UTC, ISO 8601.", "time"),
    Column(
        "active_ms",
        "Milliseconds with the page visible, focused, and used within the last 30 seconds; empty where unknown.",
        "int",
    ),
    Column("wall_ms", "Milliseconds the page was open, over all visits; empty where an import does not say.", "int"),
    Column("skipped", "true where preference_raw is cannot_judge.", "bool"),
    Column("skip_reason", "Why it could not be judged, in the annotator's words."),
    Column("flagged", "true where the annotator flagged the item for the researcher.", "bool"),
    Column("comment", "The annotator's comment."),
    Column("recognised_model", "true where the annotator believes to have recognised a model.", "bool"),
    Column("guideline_version", "Version of the guidelines in view when the revision was submitted.", "int"),
    Column("app_version", "Version of Tuneshift that stored the revision."),
    Column(
        "excluded", "true where an exclusion rule takes the judgment out of the results; false without rules.", "bool"
    ),
    Column(
        "exclusion_reason",
        "The rules that exclude it, named as in exclusions.csv, oldest first, separated by semicolons; empty for none.",
    ),
    Column("recognised_guess", "What the annotator believes to have recognised it by, or as; empty otherwise."),
    Column("stratum", "The kind of prompt it is, as it was given with the prompts; empty for none."),
)

RATINGS = (
    Column("presentation_id", "Joins preferences.csv."),
    Column("annotator_pid", "Pseudonym of the annotator, one per study."),
    Column("item_id", "Opaque id of the prompt within the study."),
    Column("side", "left (A) or right (B)."),
    Column("model", "Name of the arm on that side."),
    Column("dimension", "What was rated, by the name the study gives it; helpfulness, clarity and so on by default."),
    Column("value", "1 (worst) to 5 (best).", "int"),
)

HALLUCINATIONS = (
    Column("presentation_id", "Joins preferences.csv."),
    Column("annotator_pid", "Pseudonym of the annotator, one per study."),
    Column("item_id", "Opaque id of the prompt within the study."),
    Column("side", "left (A) or right (B)."),
    Column("model", "Name of the arm on that side."),
    Column("start", "First Unicode code point of the span in the response's stored text, 0-based.", "int"),
    Column("end", "One past the last code point; text[start:end] is the quote.", "int"),
    Column("quote", "The marked text, taken from the stored response."),
    Column("prefix", "Up to 32 code points before it."),
    Column("suffix", "Up to 32 code points after it."),
    Column("type", "wrong_fact, invented, contradiction, unsupported or other."),
    Column("severity", "minor or major."),
    Column(
        "causal",
        "true where a retrieved instance was judged borrowed; false where instances were judged, or none of these was "
        "answered, and no retrieved one was judged borrowed; null where nothing was said of the instances.",
        "bool",
    ),
    Column(
        "evidence_instance_id",
        "Id, in its tuning set, of the instance the span was attributed to: of those judged borrowed the first one "
        "shown, retrieved ones before decoys; null where none was.",
    ),
    Column("evidence_is_decoy", "Whether that instance was a decoy; null where none was judged borrowed.", "bool"),
    Column("note", "The annotator's note."),
    Column(
        "shift",
        "How many tokens that overlap the span are unshifted, marginal, shifted, and n in all, with the reference "
        "they were compared to; null where the response has no trace.",
        "json",
    ),
)

EVIDENCE = (
    Column("presentation_id", "Joins preferences.csv."),
    Column("annotator_pid", "Pseudonym of the annotator, one per study."),
    Column("item_id", "Opaque id of the prompt within the study."),
    Column("side", "left (A) or right (B)."),
    Column("model", "Name of the arm on that side."),
    Column(
        "start",
        "First Unicode code point of the span in the response's stored text; joins hallucinations.jsonl.",
        "int",
    ),
    Column("end", "One past the last code point.", "int"),
    Column("place", "Where the instance stood among those shown beside the span; 1 is the first.", "int"),
    Column("tuning_set_sha256", "SHA-256 of the tuning set's file, hexadecimal."),
    Column("instance_id", "Id of the instance in its tuning set."),
    Column(
        "is_decoy", "true where the instance was drawn as a decoy; false where it was retrieved for the span.", "bool"
    ),
    Column("origin", "How a retrieved one was found, verbatim or nearest; empty for a decoy."),
    Column(
        "score", "The search's score of a retrieved one; null for a decoy, and where the search gave none.", "float"
    ),
    Column("opened", "How often the annotator opened it to read it whole; short ones need no opening.", "int"),
    Column("marked", "true where the judgment marks this span; false where the mark was taken back or moved.", "bool"),
    Column("verdict", "borrowed, similar or unrelated; null where the judgment says nothing of the instance."),
    Column(
        "none_of_these",
        "true where the annotator answered that the span was borrowed from none of those shown.",
        "bool",
    ),
)

ACCEPTABILITY = (
    Column("presentation_id", "Joins preferences.csv."),
    Column("annotator_pid", "Pseudonym of the annotator, one per study."),
    Column("item_id", "Opaque id of the prompt within the study."),
    Column("side", "left (A) or right (B)."),
    Column("model", "Name of the arm on that side."),
    Column("acceptable", "true where the annotator found the response acceptable by itself.", "bool"),
)

GOLD = (
    Column("presentation_id", "Opaque id of this item as shown to this annotator; joins revisions.jsonl."),
    Column("annotator_pid", "Pseudonym of the annotator, one per study."),
    Column("item_id", "Opaque id of the gold item."),
    Column("prompt", "The prompt of the gold item."),
    Column("expected", "The answer expected: the side on which the better response stood, tie_good or tie_bad."),
    Column("preference_raw", "What was answered: left, right, tie_good, tie_bad or cannot_judge."),
    Column("right", "true where both agree; to be unable to judge a gold item counts as wrong.", "bool"),
    Column("revision", "Number of the revision that counts: the last one submitted.", "int"),
    Column("submitted_at", "When the revision that counts was submitted, UTC, ISO 8601.", "time"),
    Column("active_ms", "Milliseconds with the page visible, focused, and used within the last 30 seconds.", "int"),
)

ANNOTATORS = (
    Column("annotator_pid", "Pseudonym of the annotator, one per study; joins the other tables."),
    Column("state", "active, paused or withdrawn."),
    Column("joined_at", "When they joined the study, UTC, ISO 8601.", "time"),
    Column("judgments", "Their rows in preferences.csv.", "int"),
    Column("excluded", "How many of these are excluded.", "int"),
    Column(
        "recognised_model", "Whether they recognised a model, as asked at the end; empty where not answered.", "bool"
    ),
    Column("recognised_guess", "What they believe to have recognised it by, or as, as asked at the end."),
    Column("exit_comment", "Their comment at the end."),
    Column("comprehension_attempts", "Tries at the comprehension check; 0 where there is none.", "int"),
    Column("comprehension_passed", "Whether one of these tries passed; empty without tries.", "bool"),
    Column(
        "external_id",
        "What the recruiting platform calls them; empty unless the download asks for it with external_ids.",
    ),
)

EXCLUSIONS = (
    Column("exclusion_id", "Opaque id of the rule; empty for the study's policy on those who withdraw."),
    Column(
        "rule",
        "min_active, gold_failed, straight_lining, recognised, outdated_guidelines, comprehension, annotator, or "
        "withdrawn for the study's policy.",
    ),
    Column("settings", "The rule's numbers and names, a JSON object."),
    Column("meaning", "The rule in words."),
    Column("reason", "Why it was added, in the researcher's words."),
    Column("created_by", "Name of who added it."),
    Column("created_at", "When it was added, UTC, ISO 8601.", "time"),
    Column("revoked_by", "Name of who took it back; empty while it holds."),
    Column("revoked_at", "When it was taken back, UTC, ISO 8601; empty while it holds.", "time"),
    Column(
        "judgments",
        "The rows of preferences.csv it meets by itself at the time of the export, also when revoked.",
        "int",
    ),
    Column("annotators", "The annotators these judgments come from.", "int"),
)

REVISIONS = (
    Column("presentation_id", "Opaque id of this item and pair as shown to this annotator."),
    Column("annotator_pid", "Pseudonym of the annotator, one per study."),
    Column("item_id", "Opaque id of the prompt within the study."),
    Column("item_kind", "regular, practice or gold; only regular items are results."),
    Column("model_left", "Name of the arm shown left, as A."),
    Column("model_right", "Name of the arm shown right, as B."),
    Column("state", "submitted, skipped, leased or expired: where the presentation stands."),
    Column("revision", "Number of the revision, from 1.", "int"),
    Column("kind", "draft or submitted; the last submitted one is the judgment."),
    Column("saved_at", "When the revision was stored, UTC, ISO 8601.", "time"),
    Column("preference", "left, right, tie_good, tie_bad or cannot_judge; null in a draft without one."),
    Column("strength", "1 slightly, 2 clearly, 3 much; null otherwise.", "int"),
    Column("ratings", "An object of left and right, each an object of dimension and value.", "json"),
    Column("acceptability", "An object of left and right, each true or false; empty where it was not asked.", "json"),
    Column("spans", "The marked spans, each with side, start, end, quote, type, severity and note.", "json"),
    Column("comment", "The annotator's comment."),
    Column("flagged", "true where the annotator flagged the item.", "bool"),
    Column("skip_reason", "Why it could not be judged."),
    Column("recognised_model", "true where the annotator believes to have recognised a model.", "bool"),
    Column("recognised_guess", "What they believe to have recognised it by, or as."),
    Column("reading", "How far each side was read, 0 to 1, and first_view_ms; empty where unknown.", "json"),
    Column("edit_reason", "Why a submitted answer was changed."),
    Column(
        "active_ms",
        "Milliseconds with the page visible, focused, and used within the last 30 seconds; empty where unknown.",
        "int",
    ),
    Column("wall_ms", "Milliseconds the page was open, over all visits; empty where an import does not say.", "int"),
    Column("guideline_version", "Version of the guidelines in view.", "int"),
    Column("app_version", "Version of Tuneshift that stored the revision."),
)

LEAK_FLAGS = (
    Column("flag_id", "Opaque id of the flag."),
    Column("item_id", "Opaque id of the prompt within the study."),
    Column("model", "Name of the arm whose response was flagged."),
    Column("response_sha256", "SHA-256 of the response's text in UTF-8, hexadecimal."),
    Column("kind", "self_identification, house_style, template, truncation or sameness."),
    Column("start", "First Unicode code point of the flag in the stored text, 0-based.", "int"),
    Column("end", "One past the last code point; equal to start for a flag on the whole response.", "int"),
    Column("quote", "The flagged text; empty for a flag on the whole response."),
    Column("detail", "Why it was flagged, in words."),
    Column("decision", "undecided, keep, redact (masked in the page) or exclude (the response is shown to nobody)."),
    Column("decided_by", "Opaque id of the researcher who decided; empty while undecided."),
    Column("decided_at", "When it was decided, UTC, ISO 8601.", "time"),
)

TABLES: dict[str, tuple[Column, ...]] = {
    "preferences.csv": PREFERENCES,
    "ratings.csv": RATINGS,
    "hallucinations.jsonl": HALLUCINATIONS,
    "evidence.jsonl": EVIDENCE,
    "acceptability.csv": ACCEPTABILITY,
    "gold.csv": GOLD,
    "annotators.csv": ANNOTATORS,
    "exclusions.csv": EXCLUSIONS,
    "revisions.jsonl": REVISIONS,
    "leak_flags.csv": LEAK_FLAGS,
    "presentations.csv": PRESENTATIONS,
    "responses.jsonl": RESPONSES,
    "traces.jsonl": TRACES,
}
"""The tables, each under the file name it is known by; every one is also offered in the other `FORMATS`."""

MEANINGS: dict[str, str] = {
    "preferences": "One row per judgment of a regular item: the last revision submitted. Excluded ones are marked.",
    "ratings": "One row per rating of these judgments.",
    "hallucinations": "One row per marked span of these judgments.",
    "evidence": "One row per tuning-set instance shown beside a span of these judgments.",
    "acceptability": "One row per response that was called acceptable or not.",
    "gold": "One row per gold item an annotator answered; gold items are no results.",
    "annotators": "One row per annotator, by pseudonym.",
    "exclusions": "One row per exclusion rule ever added, revoked ones too.",
    "revisions": "One row per saved version of an answer, drafts too; append-only.",
    "leak_flags": "One row per place in a response that may tell who wrote it.",
    "presentations": "One row per item and pair ever handed to somebody, whatever became of it.",
    "responses": "One row per response of the study, shown or not.",
    "traces": "One row per trace of these responses; what is said per token is a list.",
}

FORMATS = ("csv", "jsonl", "parquet")

COLUMNS: dict[str, tuple[Column, ...]] = {name.partition(".")[0]: columns for name, columns in TABLES.items()}
"""The columns of every table by its bare name."""

FILES: dict[str, str] = {f"{table}.{form}": table for table in COLUMNS for form in FORMATS}
"""Every file of tables an export offers, with the table it holds."""


def write_table(file: str, rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Turn rows into the lines of a CSV or JSON Lines file of `FILES`, one at a time.

    A row must have exactly the columns of its table.
    """
    columns = COLUMNS[FILES[file]]
    if file.endswith(".csv"):
        yield csv_header(columns)
    line = line_writer(file)
    for row in rows:
        yield line(values_of(row, columns))


def csv_header(columns: Sequence[Column]) -> str:
    """Write the first line of a CSV file."""
    return csv_record(["text"] * len(columns))([column.name for column in columns])


def line_writer(file: str) -> Callable[[Sequence[Any]], str]:
    """Return what turns the values of a row into a line of a CSV or JSON Lines file of `FILES`."""
    columns = COLUMNS[FILES[file]]
    if file.endswith(".csv"):
        return csv_record([column.kind for column in columns])
    names = [column.name for column in columns]
    return lambda values: json_record(dict(zip(names, values, strict=True)))


def values_of(row: Mapping[str, Any], columns: Sequence[Column]) -> list[Any]:
    """List a row's values in the order of the columns. Raises ValueError when the two disagree."""
    if len(row) != len(columns):
        raise _disagreement(row, columns)
    try:
        return [row[column.name] for column in columns]
    except KeyError as error:
        raise _disagreement(row, columns) from error


def _disagreement(row: Mapping[str, Any], columns: Sequence[Column]) -> ValueError:
    differing = sorted(row.keys() ^ {column.name for column in columns})
    return ValueError(f"a row and its columns disagree about {differing}")
