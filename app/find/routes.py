"""Find: search, token types, rates per arm, the shifted tokens of a response, the lexicon."""

from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import RedirectResponse, StreamingResponse
from sqlmodel import Session
from starlette.background import BackgroundTask

from app.accounts.access import CurrentUser
from app.cells import csv_line
from app.errors import NotFoundError
from app.find import lexicons
from app.find.arms import CSV_COLUMNS, PARTS, csv_rows, rates
from app.find.asked import ORDERS, Asked, asked_from
from app.find.columns import COLUMNS, words
from app.find.histogram import HEIGHT, WIDTH, histogram
from app.find.search import arms_of, find
from app.find.shifted import shifted_of
from app.find.sources import Source, chosen, sources_of
from app.find.types import LEAST, types_of
from app.find.upkeep import catch_up, upkeep
from app.shift.classes import ShiftClass
from app.shift.lexicon import FORMAT_CLASSES, OPENING_TOKENS, Category, LexiconWords, Problem, shipped
from app.tokens.lexicon import current_lexicon
from app.tokens.view import CLASS_MARKS
from app.web.templates import is_htmx, render
from app.web.transactions import ReadSession, WriteSession
from models import BasePrompt, User

router = APIRouter()

BASE_PROMPTS = {
    BasePrompt.SAME_IDS: "the same as tuned",
    BasePrompt.PLAIN: "the bare prompt",
    BasePrompt.FEW_SHOT: "two answered questions first",
}


@router.get("/traces")
def traces(request: Request, session: ReadSession, user: CurrentUser) -> Response:
    """Search the responses of a source by the shape of their shift."""
    asked, source, common = _looked_for(request, session, user)
    if source is None:
        return _page(request, session, "find/page.html", **common)
    found = find(session, source, user, asked)
    last = found.page[-1] if found.page else None
    return _page(
        request,
        session,
        "find/page.html",
        **common,
        found=found,
        chart=histogram(asked.column, found.values, found.hits),
        chart_size=(WIDTH, HEIGHT),
        next_url=asked.next_url(last.value, last.trace_id) if last and found.more else "",
        columns=COLUMNS,
        orders=ORDERS,
        words=words,
        marks=CLASS_MARKS,
    )


@router.get("/traces/types")
def types(
    request: Request,
    session: ReadSession,
    user: CurrentUser,
    category: Annotated[str, Query(max_length=20)] = "",
    order: Annotated[str, Query(max_length=20)] = "count",
) -> Response:
    """List the token types a source shifts most."""
    asked, source, common = _looked_for(request, session, user)
    if not asked.arm and common["arms"]:
        # Token ids of different checkpoints need not mean the same, so types are always those of one arm.
        asked = common["asked"] = asked.with_(arm=common["arms"][-1])
    kind = next((one for one in Category if one == category), None)
    by_rate = order == "rate"
    found = (
        types_of(session, source, user, asked, category=kind, by_rate=by_rate, least=LEAST if by_rate else 1)
        if source
        else None
    )
    return _page(
        request,
        session,
        "find/types.html",
        **common,
        types=found,
        category=kind,
        categories=tuple(Category),
        by_rate=by_rate,
        least=LEAST,
    )


@router.get("/traces/table")
def table(
    request: Request, session: ReadSession, user: CurrentUser, form: Annotated[str, Query(alias="format")] = ""
) -> Response:
    """Compare the arms of a source, with intervals over prompts: a page, or CSV."""
    asked, source, common = _looked_for(request, session, user)
    roles = {name: one.role for name, one in request.app.state.engines.registry.checkpoints.items()}
    found = rates(session, source, user, asked, roles) if source else None
    if form == "csv" and source and found:
        lines = [csv_line(CSV_COLUMNS), *(csv_line(row) for row in csv_rows(source, asked, found))]
        headers = {"Content-Disposition": 'attachment; filename="shift-by-arm.csv"'}
        return StreamingResponse(iter(lines), media_type="text/csv; charset=utf-8", headers=headers)
    return _page(request, session, "find/table.html", **common, table=found, parts=PARTS, kinds=tuple(ShiftClass))


@router.get("/traces/progress")
def progress(request: Request, session: ReadSession) -> Response:
    """Show how far the aggregates are; a page that waits for them reloads itself when they are done."""
    state = upkeep(session)
    response = render(request, "find/_progress.html", upkeep=state)
    response.background = BackgroundTask(catch_up, request.app.state.database)
    if state.complete and is_htmx(request):
        response.headers["HX-Refresh"] = "true"
    return response


@router.get("/responses/{response_id}/shifted")
def shifted(
    request: Request,
    session: ReadSession,
    response_id: str,
    checkpoint: Annotated[str, Query(max_length=200)] = "",
    base_prompt: Annotated[str, Query(max_length=20)] = "",
) -> Response:
    """Show the tokens of a response that are shifted most, by category: a fragment, or a page of its own."""
    words_now = current_lexicon(session)
    found = shifted_of(session, response_id, words_now, checkpoint=checkpoint, base_prompt=base_prompt)
    name = "find/_shifted.html" if is_htmx(request) else "find/shifted.html"
    return render(request, name, shifted=found, response_id=response_id, version=_version(words_now))


@router.get("/lexicon")
def lexicon(request: Request, session: ReadSession) -> Response:
    """Show the words that tell shifted tokens apart, and their versions."""
    return _lexicon_page(request, session)


@router.post("/lexicon")
def save_lexicon(
    request: Request,
    session: WriteSession,
    user: CurrentUser,
    initiation: Annotated[str, Form()] = "",
    style: Annotated[str, Form()] = "",
    format_: Annotated[str, Form(alias="format")] = "",
    restore: Annotated[str, Form(max_length=64)] = "",
) -> Response:
    """Save a new version, or restore one; what cannot be used comes back with its lines, and nothing is stored."""
    if restore:
        if lexicons.restore(session, user, restore) is None:
            raise NotFoundError("There is no such version of the lexicon.", remedy="Choose one from the list.")
        return RedirectResponse("/lexicon", status_code=303)
    texts = {Category.INITIATION: initiation, Category.STYLE: style, Category.FORMAT: format_}
    saved = lexicons.save(session, user, texts)
    if isinstance(saved, LexiconWords):
        return RedirectResponse("/lexicon", status_code=303)
    written = {category.value: text for category, text in texts.items()}
    return _lexicon_page(request, session, written=written, problems=tuple(saved), status_code=422)


def _lexicon_page(
    request: Request,
    session: Session,
    *,
    written: dict[str, str] | None = None,
    problems: tuple[Problem, ...] = (),
    status_code: int = 200,
) -> Response:
    now = current_lexicon(session)
    return _page(
        request,
        session,
        "find/lexicon.html",
        status_code=status_code,
        written=written or lexicons.written(now),
        problems=problems,
        version=_version(now),
        shipped_sha256=shipped().sha256,
        versions=lexicons.versions(session),
        classes=FORMAT_CLASSES,
        opening=OPENING_TOKENS,
    )


def _looked_for(request: Request, session: Session, user: User) -> tuple[Asked, Source | None, dict[str, Any]]:
    """Read what is looked for and where; `common` is what every page of this feature is given."""
    asked = asked_from(request.query_params)
    source = chosen(session, user, asked.source) if asked.source else None
    arms = arms_of(session, source, user) if source else ()
    if asked.arm and asked.arm not in arms:
        # Another source was chosen in the form, and with it went the arms of the one before.
        asked = asked.with_(arm="")
    common: dict[str, Any] = {
        "asked": asked,
        "source": source,
        "sources": sources_of(session, user),
        "arms": arms,
        "base_prompts": BASE_PROMPTS,
        "version": _version(current_lexicon(session)),
    }
    return asked, source, common


def _page(request: Request, session: Session, name: str, *, status_code: int = 200, **context: Any) -> Response:
    """Render a page that shows aggregates, and go on with those that are still to do."""
    state = upkeep(session)
    response = render(request, name, status_code=status_code, upkeep=state, **context)
    if not state.complete:
        response.background = BackgroundTask(catch_up, request.app.state.database)
    return response


def _version(now: LexiconWords) -> str:
    return "shipped" if now == shipped() else now.sha256[:8]
