"""The CSV export: one row per token per checkpoint that read it. RFC 4180, and nothing a spreadsheet would run.

Numbers stay numbers: only text is protected. `text_json` holds the exact text whatever a spreadsheet does to `text`.
"""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from app.cells import safe_cell
from app.share.document import Document, Reading
from app.shift.measures import MEASURES, value


class Column(NamedTuple):
    """One column and what it promises."""

    name: str
    meaning: str


_PLACE = (
    Column("response_id", "Opaque id of the response."),
    Column("written_by", "The checkpoint that wrote it; empty where nobody knows."),
    Column("checkpoint", "The checkpoint whose view this row is (tuned)."),
    Column("reference", "The base it is compared with."),
    Column("base_prompt", "What base read before the response: same_ids, plain or few_shot."),
    Column("kl_kind", "exact, or lower_bound where only top lists were known."),
    Column("i", "Position of the token, from 0."),
    Column("id", "Token id."),
    Column("text", "What the token adds to the text, made safe for spreadsheets."),
    Column("text_json", "The same, exact, as a JSON string."),
    Column("bytes_hex", "The token's own bytes, hexadecimal."),
    Column("given", "true for the tokens a branch was given: those it shares with its parent, and the chosen one."),
    Column("class", "unshifted, marginal or shifted, base rank 1, 2 to 3, above."),
    Column("base_logprob", "Log-probability under base, nats; empty where base has no such id."),
    Column("tuned_rank", "Rank under the checkpoint, from 1."),
    Column("tuned_logprob", "Log-probability under the checkpoint, nats."),
    Column("ties", "Other ids that base holds exactly as probable."),
    Column("near_border", "true where rounding alone could change the class."),
)
_MEASURED = tuple(one for one in MEASURES if one.name != "shift_class")
COLUMNS = (
    *_PLACE,
    *(Column(one.name, f"{one.title}: {one.description}{', nats' * (one.unit == 'nats')}.") for one in _MEASURED),
)


def write_csv(document: Document) -> Iterator[str]:
    """Write a document line by line; the same one gives the same bytes."""
    yield _line([column.name for column in COLUMNS])
    for sheet in document.sheets:
        for reading in sheet.readings:
            yield from _lines(reading)


def _lines(reading: Reading) -> Iterator[str]:
    response, trace, answer = reading.response, reading.trace, reading.answer()
    place = [
        response.id,
        response.checkpoint,
        trace.checkpoint,
        trace.reference,
        trace.base_prompt.value,
        trace.kl_kind,
    ]
    for index, shift in enumerate(answer.scored):
        text = answer.texts[index]
        yield _line(
            [
                *place,
                index,
                shift.id,
                text,
                json.dumps(text, ensure_ascii=False),
                (answer.name(shift.id) or b"").hex(),
                index < answer.prefix,
                shift.shift_class.value,
                shift.base_logprob,
                shift.tuned_rank,
                shift.tuned_logprob,
                shift.ties,
                shift.near_border,
                *(value(measure, shift) for measure in _MEASURED),
            ]
        )


def _line(values: Sequence[Any]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow([_cell(value) for value in values])
    return line.getvalue()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        # A negative number is one to every spreadsheet; an apostrophe would make it text.
        return repr(int(value) if float(value).is_integer() and abs(value) < 1e15 else value)  # noqa: PLR2004
    return safe_cell(str(value))
