"""Instances beside a marked span: looked up, drawn and stored at the first asking, sent as stored ever after."""

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from sqlmodel import Session

from app.accounts.access import CurrentUser
from app.db import reading, writing
from app.errors import ConflictError
from app.judging.blind import BlindInstance
from app.judging.evidence import (
    WantedSpan,
    log_opening,
    refuse_more_spans,
    shown_instances,
    store_placed,
    wanted_span,
)
from app.judging.evidence_draw import place, retrieve
from app.provenance.index import Encoder, Index
from app.provenance.store import Building, Indexes
from app.tuning_sets.queries import checkpoints_of
from app.tuning_sets.queue import tokenizers_of
from app.web.transactions import WriteSession
from models import ImportState, TuningSet
from models.base import now

router = APIRouter()


async def _json_body(request: Request) -> bytes:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        return b""
    return await request.body()


@router.post("/judge/{presentation_id}/evidence")
def show_evidence(
    request: Request, user: CurrentUser, presentation_id: str, body: Annotated[bytes, Depends(_json_body)]
) -> Response:
    """Send the instances that stand beside a span, or say how far the set is from being searchable (202)."""
    database = request.app.state.database
    with reading(database) as session:
        wanted = wanted_span(session, presentation_id, user, body)
        shown = shown_instances(session, wanted.key)
        if shown:
            return _sent(shown)
        refuse_more_spans(session, wanted)
        tuning_set, encoder = _set_of(request, session, wanted)
    # No transaction is open from here on: an index may have to be built, and the search takes its time.
    found = _index(request, tuning_set, encoder)
    if isinstance(found, Building):
        return _not_ready(found)
    retrieval = retrieve(found, wanted.text, wanted.key.start, wanted.key.end, k=wanted.question.k)
    placed = place(found, retrieval, wanted.key, wanted=wanted.wanted, before=wanted.before)
    with writing(database) as session:
        store_placed(session, wanted, placed, now())
        shown = shown_instances(session, wanted.key)
    return _sent(shown)


@router.post("/judge/{presentation_id}/evidence/{evidence_id}/opened")
def open_evidence(session: WriteSession, user: CurrentUser, presentation_id: str, evidence_id: str) -> Response:
    """Write down that an annotator opened an instance to read it whole."""
    log_opening(session, presentation_id, evidence_id, user, now())
    return Response(status_code=204)


def _set_of(request: Request, session: Session, wanted: WantedSpan) -> tuple[TuningSet, Encoder | None]:
    """Load the study's tuning set, and what cuts the sub-words of its index: the same for every response."""
    tuning_set = session.get(TuningSet, wanted.question.set_id)
    if tuning_set is None or tuning_set.state == ImportState.FAILED:
        raise ConflictError(
            "The instances this study shows beside a passage are not there any more.",
            remedy="Mark the passage without them, and tell the researcher.",
        )
    encoders = tokenizers_of(request.app.state.engines)(checkpoints_of(session, tuning_set.id))
    session.expunge(tuning_set)
    return tuning_set, next(iter(encoders), None)


def _index(request: Request, tuning_set: TuningSet, encoder: Encoder | None) -> Index | Building:
    if tuning_set.state != ImportState.READY:
        return Building(tuning_set.done, tuning_set.total)
    indexes: Indexes = request.app.state.indexes
    found = indexes.get(tuning_set, encoder)
    if isinstance(found, Building) and found.problem:
        # What went wrong names the set; the researcher reads it on the set's own page.
        raise ConflictError(
            "The instances could not be made ready.", remedy="Try again; if it stays, tell the researcher."
        )
    return found


def _sent(shown: tuple[BlindInstance, ...]) -> Response:
    return JSONResponse({"evidence": [asdict(one) for one in shown]})


def _not_ready(building: Building) -> Response:
    message = f"The instances are not ready: {building.done:,} of {building.total:,}."
    return JSONResponse(
        {"message": message, "waiting": {"done": building.done, "total": building.total}}, status_code=202
    )
