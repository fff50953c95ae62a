"""Downloads of one response or one comparison: the only place of this feature that knows HTTP."""

from collections.abc import Callable, Iterator

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from sqlalchemy import Engine
from sqlmodel import Session

from app.db import reading
from app.errors import NotFoundError
from app.share.csv_export import write_csv
from app.share.document import Document, of_comparison, of_response
from app.share.html_export import write_html
from app.share.json_export import write_json
from app.web.transactions import ReadSession

router = APIRouter()

Gather = Callable[[Session, str], Document]

_CHUNK_CHARS = 64 * 1024
_TYPES = {
    "json": "application/json",
    "csv": "text/csv; charset=utf-8; header=present",
    "html": "text/html; charset=utf-8",
}


@router.get("/responses/{response_id}/export.{format_}")
def export_response(request: Request, session: ReadSession, response_id: str, format_: str) -> Response:
    """Download a response with every reading of it."""
    return _download(request, session, of_response, response_id, format_)


@router.get("/explore/{comparison_id}/export.{format_}")
def export_comparison(request: Request, session: ReadSession, comparison_id: str, format_: str) -> Response:
    """Download a comparison with every reading of its answers."""
    return _download(request, session, of_comparison, comparison_id, format_)


def _download(request: Request, session: Session, gather: Gather, key: str, format_: str) -> Response:
    if format_ not in _TYPES:
        raise NotFoundError(f"There is no export {format_[:20]!r}.", remedy=f"There are {', '.join(_TYPES)}.")
    # What is not there must be a 404, and cannot be one any more once a stream has begun.
    document = gather(session, key)
    headers = {"Content-Disposition": f'attachment; filename="tuneshift-{document.name}.{format_}"'}
    state = request.app.state
    if format_ == "html":
        page = write_html(document, session, public_url=state.settings.public_url)
        return Response(page, media_type=_TYPES[format_], headers=headers)
    rows = _chunks(state.database, gather, key, write_json if format_ == "json" else write_csv)
    return StreamingResponse(rows, media_type=_TYPES[format_], headers=headers)


def _chunks(database: Engine, gather: Gather, key: str, write: Callable[[Document], Iterator[str]]) -> Iterator[str]:
    # The request's session ends before a stream begins, so the stream opens its own.
    with reading(database) as session:
        waiting: list[str] = []
        size = 0
        for piece in write(gather(session, key)):
            waiting.append(piece)
            size += len(piece)
            if size >= _CHUNK_CHARS:
                yield "".join(waiting)
                waiting, size = [], 0
        yield "".join(waiting)
