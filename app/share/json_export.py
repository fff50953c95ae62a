"""The JSON export: everything that is known, exact, in one object with a version.

Written in pieces, one token at a time, so that a long answer under many checkpoints needs no more memory than a short
one. `docs/sharing.md` lists the fields; the tokens are those of `app.shift.record`.
"""

import json
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

from app.cells import utc_text
from app.share.document import Document, Reading, Sheet
from app.shift.classes import DEFAULT_THRESHOLDS
from app.shift.record import summary_dict, token_record
from app.shift.summary import summarise
from models import Comparison

SCHEMA = "tuneshift.export"
SCHEMA_VERSION = 1


def write_json(document: Document) -> Iterator[str]:
    """Write a document; the same one gives the same bytes."""
    head = {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "app_version": version("tuneshift"),
        "path": document.path,
        "prompt": document.prompt,
        "thresholds": {"unshifted": DEFAULT_THRESHOLDS.unshifted, "marginal": DEFAULT_THRESHOLDS.marginal},
        "comparison": _comparison(document.comparison) if document.comparison else None,
    }
    yield _dump(head)[:-1] + ',"responses":['
    for at, sheet in enumerate(document.sheets):
        yield "," if at else ""
        yield from _write_sheet(sheet)
    yield "]}\n"


def _write_sheet(sheet: Sheet) -> Iterator[str]:
    yield _dump({"column": sheet.column, **_response(sheet)})[:-1] + ',"readings":['
    for at, reading in enumerate(sheet.readings):
        yield "," if at else ""
        yield from _write_reading(reading)
    yield "]}"


def _write_reading(reading: Reading) -> Iterator[str]:
    answer, trace = reading.answer(), reading.trace
    head = {
        "checkpoint": trace.checkpoint,
        "reference": trace.reference,
        "base_prompt": trace.base_prompt.value,
        "prompt_ids": trace.prompt_ids,
        "engine": trace.engine,
        "engine_version": trace.engine_version,
        "dtype": trace.dtype,
        "border_width": trace.border_width,
        "kl_kind": trace.kl_kind,
        "created_at": utc_text(trace.created_at),
        "summary": summary_dict(summarise(answer.scored)),
    }
    yield _dump(head)[:-1] + ',"tokens":['
    for index, shift in enumerate(answer.scored):
        raw = answer.name(shift.id) or b""
        yield ("," if index else "") + _dump(token_record(index, shift, answer.texts[index], raw))
    yield "]}"


def _response(sheet: Sheet) -> dict[str, Any]:
    response = sheet.response
    if response is None:
        return {"response": None}
    return {
        "response": {
            "id": response.id,
            "checkpoint": response.checkpoint,
            "origin": response.origin.value,
            "prompt": response.prompt,
            "prompt_ids": response.prompt_ids,
            "text": response.text,
            "text_sha256": response.text_sha256,
            "token_ids": response.token_ids,
            "finish": response.finish,
            "run": response.run,
            "parent_id": response.parent_id,
            "fork_index": response.fork_index,
            "created_at": utc_text(response.created_at),
        }
    }


def _comparison(comparison: Comparison) -> dict[str, Any]:
    fork = {"of": comparison.fork_of, "index": comparison.fork_index, "token_id": comparison.fork_token_id}
    return {
        "id": comparison.id,
        "base_prompt": comparison.base_prompt.value,
        "decoding": comparison.decoding,
        "state": comparison.state.value,
        "fork": fork if comparison.fork_of else None,
        "created_at": utc_text(comparison.created_at),
        "finished_at": utc_text(comparison.finished_at) if comparison.finished_at else None,
    }


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
