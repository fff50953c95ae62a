"""Downloads for researchers: streamed row by row from one snapshot of the database."""

from collections.abc import Iterator

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from sqlalchemy import Engine

from app.accounts.access import CurrentUser
from app.db import ReadSession, reading
from app.errors import NotFoundError
from app.results.export import TABLES
from app.results.queries import iter_table
from app.studies.queries import get_study

router = APIRouter()

_CHUNK_CHARS = 64 * 1024
_TYPES = {"csv": "text/csv; charset=utf-8; header=present", "jsonl": "application/jsonl; charset=utf-8"}


@router.get("/studies/{study_id}/export/{table}")
def export(
    request: Request, session: ReadSession, user: CurrentUser, study_id: str, table: str, *, external_ids: bool = False
) -> StreamingResponse:
    """Download one table of a study; with `external_ids` annotators.csv names people as their platform does."""
    study = get_study(session, study_id, user)
    if table not in TABLES:
        raise NotFoundError(f"There is no table {table[:40]!r}.", remedy=f"There are {', '.join(TABLES)}.")
    return StreamingResponse(
        _chunks(request.app.state.database, study.id, table, external_ids=external_ids),
        media_type=_TYPES[table.rpartition(".")[2]],
        headers={"Content-Disposition": f'attachment; filename="{study.slug}-{table}"'},
    )


def _chunks(database: Engine, study_id: str, table: str, *, external_ids: bool) -> Iterator[str]:
    # The request's session ends before a stream begins, so the stream opens its own.
    with reading(database) as session:
        waiting: list[str] = []
        size = 0
        for line in iter_table(session, get_study(session, study_id), table, external_ids=external_ids):
            waiting.append(line)
            size += len(line)
            if size >= _CHUNK_CHARS:
                yield "".join(waiting)
                waiting, size = [], 0
        yield "".join(waiting)
