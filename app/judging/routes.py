"""The judging page. What it sends is built from `BlindItem`, which knows no checkpoint."""

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request, Response

from app.accounts.access import CurrentUser
from app.judging.blind import BlindItem
from app.judging.page import blind_item
from app.judging.rules import SPAN_TYPES
from app.judging.trial import trial_item
from app.studies.queries import get_study
from app.web.templates import render
from app.web.transactions import ReadSession
from models.base import new_id, now

router = APIRouter()


@router.get("/judge/{presentation_id}")
def judge(request: Request, session: ReadSession, user: CurrentUser, presentation_id: str) -> Response:
    """Show one item: a prompt, A and B, and the annotator's own answer so far."""
    item = blind_item(session, presentation_id, user, now(), secret=request.app.state.secret)
    return _page(request, item, trial=False)


@router.get("/studies/{study_id}/try")
def try_out(request: Request, session: ReadSession, user: CurrentUser, study_id: str) -> Response:
    """Show a study's first item as its annotators will get it; nothing done in it is stored."""
    item = trial_item(session, get_study(session, study_id, user), user)
    return _page(request, item, trial=True)


def _page(request: Request, item: BlindItem, *, trial: bool) -> Response:
    data = page_data(item) | {"trial": trial}
    return render(
        request, "judging/item.html", item=item, data=data, span_types=SPAN_TYPES, attempt=new_id(), trial=trial
    )


def page_data(item: BlindItem) -> dict[str, Any]:
    """Build what the page's scripts need, offsets and texts exact: HTML alone would turn CRLF into LF."""
    return {
        "token": item.token,
        "outbox": item.outbox,
        "open": item.open,
        "submitted": item.submitted,
        "practice": item.practice,
        "texts": {"left": item.left.text, "right": item.right.text},
        "styles": {"left": item.left.styles, "right": item.right.styles},
        "types": SPAN_TYPES,
        "answer": asdict(item.answer),
        "questions": asdict(item.questions),
        "shortcuts": item.shortcuts,
        "lease_s": item.lease_s,
    }
