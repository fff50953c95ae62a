"""Stored responses: show, paste, read with more checkpoints. The only place of this feature that knows HTTP."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session
from starlette.concurrency import run_in_threadpool

from app.accounts.access import CurrentUser
from app.db import reading, writing
from app.engines.open import Engines
from app.errors import AppError, InvalidInputError, NotFoundError
from app.responses import queries
from app.responses.asked import after_reading
from app.responses.forms import Pasted, PasteForm, PasteInput, Preview, check, preview
from app.responses.page import page_of, token_page
from app.responses.read import Written, names_of, plan_reading, read, written
from app.tokens.measures_json import measures_json
from app.tokens.store import NamesIds, Reading, answer_of, get_response
from app.web.templates import is_htmx, render
from app.web.transactions import ReadSession
from models import BasePrompt, User

router = APIRouter()


@dataclass(frozen=True, slots=True)
class Failure:
    """A checkpoint that could not read the response, and why."""

    checkpoint: str
    message: str
    status: int


@router.get("/responses/new")
def paste(request: Request) -> Response:
    """Show the form for pasting a response."""
    known = list(_engines(request).registry.checkpoints.values())
    writer = next((one.name for one in known if one.role != "base"), known[0].name if known else "")
    return _paste_page(request, PasteForm(tokenizer=writer, checkpoints=tuple(one.name for one in known[:3])))


@router.post("/responses")
async def add(request: Request, user: CurrentUser, sent: Annotated[PasteInput, Form()]) -> Response:
    """Show the tokens a text becomes, or keep them as a response and have it read."""
    engines = _engines(request)
    limit = request.app.state.settings.max_prompt_chars
    asked = await run_in_threadpool(check, sent, engines, max_prompt_chars=limit)
    if sent.action == "preview":
        return _preview_page(request, asked)
    if isinstance(asked, PasteForm):
        return _paste_page(request, asked, status_code=422)
    response = await run_in_threadpool(_keep, request, asked, user)
    failures = await _read_all(request, response, asked.checkpoints, BasePrompt.SAME_IDS)
    return await _answer(request, user, response.id, failures, f"/responses/{response.id}")


@router.get("/responses/{response_id}")
def show(request: Request, session: ReadSession, user: CurrentUser, response_id: str) -> Response:
    """Show a stored response as its readings see it; never asks a model."""
    return _page(request, session, user, response_id)


@router.post("/responses/{response_id}/readings")
async def add_readings(
    request: Request,
    user: CurrentUser,
    response_id: str,
    checkpoint: Annotated[list[str] | None, Form()] = None,
    base_prompt: Annotated[str, Form()] = BasePrompt.SAME_IDS.value,
    view: Annotated[str, Form(max_length=2_000)] = "",
) -> Response:
    """Have checkpoints read the response where they have not yet; what one of them fails at, the others keep."""
    if base_prompt not in set(BasePrompt):
        raise InvalidInputError(
            f"base_prompt cannot be {base_prompt[:40]!r}.", remedy=f"Choose {', '.join(BasePrompt)}."
        )
    if not checkpoint:
        raise InvalidInputError("No checkpoint was chosen.", remedy="Tick at least one to read the response with.")
    response = await run_in_threadpool(_load_written, request, response_id)
    failures = await _read_all(request, response, dict.fromkeys(checkpoint), BasePrompt(base_prompt))
    url = after_reading(response_id, view, checkpoint[0], base_prompt)
    return await _answer(request, user, response_id, failures, url)


@router.get("/responses/{response_id}/measures")
def measures(
    session: ReadSession, response_id: str, checkpoint: str = "", base_prompt: BasePrompt = BasePrompt.SAME_IDS
) -> JSONResponse:
    """Send every measure of every token of one reading."""
    response = get_response(session, response_id)
    trace = queries.find_trace(session, response_id, checkpoint or response.checkpoint, base_prompt)
    if trace is None:
        raise NotFoundError(
            f"{checkpoint or response.checkpoint} has not read this response with that base prompt.",
            remedy="Have it read on the response's page.",
        )
    return JSONResponse(measures_json(answer_of(response, trace), base_prompt=base_prompt.value))


@router.get("/responses/{response_id}/tokens/{index}")
def token(request: Request, session: ReadSession, user: CurrentUser, response_id: str, index: int) -> Response:
    """Show one token under both models of a reading: a fragment for the panel, a page for everybody else."""
    stored = queries.load(session, response_id, user)
    context = token_page(stored, request.query_params, _engines(request), index)
    return render(request, "responses/_panel.html" if is_htmx(request) else "responses/token.html", **context)


def _engines(request: Request) -> Engines:
    engines: Engines = request.app.state.engines
    return engines


def _load_written(request: Request, response_id: str) -> Written:
    with reading(request.app.state.database) as session:
        return written(get_response(session, response_id))


def _keep(request: Request, pasted: Pasted, user: User) -> Written:
    tokenizer = _engines(request).tokenizer_for(pasted.tokenizer)
    run = {"tokenizer_of": pasted.tokenizer, "tokenizer": tokenizer.fingerprint}
    if pasted.text != pasted.read_back:
        run["pasted_text"] = pasted.text
    with writing(request.app.state.database) as session:
        return written(
            queries.add_pasted(
                session,
                prompt=pasted.prompt,
                prompt_ids=pasted.prompt_ids,
                ids=pasted.ids,
                texts=[piece.text for piece in pasted.pieces],
                run=run,
                user=user,
            )
        )


async def _read_all(
    request: Request, response: Written, names: Sequence[str] | dict[str, None], base_prompt: BasePrompt
) -> list[Failure]:
    """Ask the checkpoints side by side; each reading is kept as soon as it is there."""
    found = await asyncio.gather(*(_read_one(request, response, name, base_prompt) for name in names))
    return [failure for failure in found if failure is not None]


async def _read_one(request: Request, response: Written, name: str, base_prompt: BasePrompt) -> Failure | None:
    engines = _engines(request)
    try:
        if await run_in_threadpool(_is_read, request, response.id, name, base_prompt):
            return None
        plan = await run_in_threadpool(plan_reading, engines, response, name, base_prompt)
        found = await read(engines, plan)
    except AppError as error:
        return Failure(name[:80], str(error), error.status)
    await run_in_threadpool(_store, request, response.id, found, names_of(engines, name))
    return None


def _is_read(request: Request, response_id: str, name: str, base_prompt: BasePrompt) -> bool:
    with reading(request.app.state.database) as session:
        return queries.find_trace(session, response_id, name, base_prompt) is not None


def _store(request: Request, response_id: str, found: Reading, name: NamesIds) -> None:
    try:
        with writing(request.app.state.database) as session:
            queries.add_reading(session, response_id, found, name)
    except IntegrityError:
        # Another request stored the same reading in between; it holds the same numbers.
        with reading(request.app.state.database) as session:
            if queries.find_trace(session, response_id, found.checkpoint, found.base_prompt) is None:
                raise


async def _answer(request: Request, user: User, response_id: str, failures: Sequence[Failure], url: str) -> Response:
    """Lead to the response; with failures show it at once, each in words, beside what did succeed."""
    if not failures:
        if is_htmx(request):
            return Response(status_code=204, headers={"HX-Redirect": url})
        return RedirectResponse(url, status_code=303)
    if is_htmx(request):
        fragment = render(request, "responses/_failures.html", failures=failures, status_code=422)
        fragment.headers.update({"HX-Retarget": "#failures", "HX-Reswap": "innerHTML"})
        return fragment
    return await run_in_threadpool(_failed_page, request, user, response_id, failures)


def _failed_page(request: Request, user: User, response_id: str, failures: Sequence[Failure]) -> Response:
    with reading(request.app.state.database) as session:
        return _page(request, session, user, response_id, failures=failures)


def _page(
    request: Request, session: Session, user: User, response_id: str, failures: Sequence[Failure] = ()
) -> Response:
    stored = queries.load(session, response_id, user)
    context = page_of(stored, request.query_params, _engines(request))
    status = failures[0].status if failures else 200
    return render(request, "responses/page.html", status_code=status, failures=failures, **context)


def _paste_page(
    request: Request, form: PasteForm, *, status_code: int = 200, tokens: Preview | None = None
) -> Response:
    return render(
        request,
        "responses/new.html",
        status_code=status_code,
        form=form,
        checkpoints=tuple(_engines(request).registry.checkpoints.values()),
        registry_problem=request.app.state.registry_problem,
        preview=tokens,
    )


def _preview_page(request: Request, asked: Pasted | PasteForm) -> Response:
    """Show the tokens before anything is kept: beside the form while somebody types, or in the page without scripts."""
    tokens = preview(asked) if isinstance(asked, Pasted) else None
    if is_htmx(request):
        errors = tuple(asked.errors.values()) if isinstance(asked, PasteForm) else ()
        return render(request, "responses/_preview.html", preview=tokens, errors=errors)
    if isinstance(asked, PasteForm):
        return _paste_page(request, asked, status_code=422)
    form = PasteForm(asked.prompt, asked.text, asked.tokenizer, asked.checkpoints)
    return _paste_page(request, form, tokens=tokens)
