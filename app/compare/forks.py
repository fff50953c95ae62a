"""Leave a stored response at a token, and walk what came of it: the only place of forks that knows HTTP."""

from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from app.accounts.access import CurrentUser
from app.compare.branch_view import tree_view
from app.compare.fork_plan import ForkInput, plan_fork, read_place
from app.compare.queries import fork_of
from app.compare.routes import start_run
from app.compare.tree import load_tree
from app.engines.open import Engines
from app.errors import ConfigurationError
from app.shift.branching import DEFAULT_WINDOW, MAX_WINDOW
from app.tokens.store import get_response, traces_of
from app.web.templates import is_htmx, render
from app.web.transactions import ReadSession

router = APIRouter()


@router.post("/responses/{response_id}/fork")
def fork(
    request: Request,
    session: ReadSession,
    user: CurrentUser,
    response_id: str,
    sent: Annotated[ForkInput, Form()],
) -> Response:
    """Let every chosen checkpoint go on from another token, streamed like a comparison; leads to its page."""
    engines: Engines | None = request.app.state.engines
    if engines is None:
        raise ConfigurationError("There is no registry of checkpoints.", remedy="See the Checkpoints page.")
    response = get_response(session, response_id)
    index, token_id = read_place(response, sent)
    plan = plan_fork(
        engines,
        fork_of(response, index, token_id),
        response,
        traces_of(session, response_id),
        sent,
        limit=request.app.state.settings.max_new_tokens,
    )
    run = start_run(request, plan, user)
    if is_htmx(request):
        return Response(status_code=204, headers={"HX-Redirect": f"/explore/{run.id}"})
    return RedirectResponse(f"/explore/{run.id}", status_code=303)


@router.get("/responses/{response_id}/branches")
def branches(
    request: Request,
    session: ReadSession,
    response_id: str,
    window: Annotated[int, Query(ge=1, le=MAX_WINDOW)] = DEFAULT_WINDOW,
) -> Response:
    """Show the whole tree a response belongs to: a fragment for its page, a page for everybody else."""
    tree = load_tree(session, response_id)
    name = "branches/_tree.html" if is_htmx(request) else "branches/page.html"
    return render(request, name, tree=tree_view(tree, window=window), response_id=response_id, window=window)
