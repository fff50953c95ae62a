"""Downloads of single tables for researchers: streamed row by row from one snapshot of the database."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from sqlalchemy import Engine

from app.accounts.access import CurrentUser
from app.accounts.write_down import write_down
from app.db import snapshot
from app.errors import NotFoundError
from app.results.export import FILES, FORMATS, TABLES
from app.results.files import write_parquet
from app.results.queries import iter_table
from app.studies.queries import get_study
from app.web.transactions import ReadSession

router = APIRouter()

_CHUNK_CHARS = 64 * 1024
_TYPES = {
    "csv": "text/csv; charset=utf-8; header=present",
    "jsonl": "application/jsonl; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
}


@router.get("/studies/{study_id}/export/{table}")
def export(
    request: Request, session: ReadSession, user: CurrentUser, study_id: str, table: str, *, external_ids: bool = False
) -> StreamingResponse:
    """Download one table of a study; with `external_ids` annotators.csv names people as their platform does."""
    study = get_study(session, study_id, user)
    if table not in FILES:
        offered = ", ".join(name.partition(".")[0] for name in TABLES)
        raise NotFoundError(
            f"There is no table {table[:40]!r}.", remedy=f"There are {offered}, each as .{', .'.join(FORMATS)}."
        )
    ids = " with the ids of recruiting platforms" if external_ids else ""
    write_down(request, user, "table downloaded", about=study.id, detail=f"{table}{ids}")
    form = table.rpartition(".")[2]
    read = _parquet if form == "parquet" else _chunks
    return StreamingResponse(
        read(request.app.state.database, study.id, table, external_ids=external_ids),
        media_type=_TYPES[form],
        headers={"Content-Disposition": f'attachment; filename="{study.slug}-{table}"'},
    )


def _chunks(database: Engine, study_id: str, file: str, *, external_ids: bool) -> Iterator[str | bytes]:
    # The request's session ends before a stream begins, so the stream opens its own.
    with snapshot(database) as session:
        waiting: list[str] = []
        size = 0
        for line in iter_table(session, get_study(session, study_id), file, external_ids=external_ids):
            waiting.append(line)
            size += len(line)
            if size >= _CHUNK_CHARS:
                yield "".join(waiting)
                waiting, size = [], 0
        yield "".join(waiting)


def _parquet(database: Engine, study_id: str, file: str, *, external_ids: bool) -> Iterator[str | bytes]:
    """Write the file to disk and send it from there: a Parquet file begins to make sense at its end."""
    with tempfile.TemporaryDirectory(prefix="tuneshift-") as folder:
        path = Path(folder) / file
        with snapshot(database) as session:
            write_parquet(session, get_study(session, study_id), FILES[file], path, external_ids=external_ids)
        with path.open("rb") as raw:
            while block := raw.read(_CHUNK_CHARS):
                yield block
