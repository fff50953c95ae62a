"""Where a response's words stand in the tuning data: the section, a selection of words, an instance beside it."""

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from app.errors import InvalidInputError, NotFoundError
from app.provenance import view
from app.provenance.beside import beside_view
from app.provenance.fates import counts
from app.provenance.look import Look, Wanted, look, searched
from app.provenance.neighbours import nearest
from app.provenance.placed import PlacedTokens
from app.provenance.selection import find_selection
from app.provenance.tokens import TokenRange
from app.provenance.tracing import Search
from app.web.templates import is_htmx, render
from app.web.transactions import ReadSession

router = APIRouter()


class SourcesQuery(BaseModel):
    """What the address of a look at sources may say. `start` and `end` are code points of the response's text."""

    set_id: str = Field(default="", alias="set", max_length=40)
    checkpoint: str = Field(default="", max_length=200)
    base_prompt: str = Field(default="same_ids", max_length=40)
    start: int | None = None
    end: int | None = None

    @property
    def wanted(self) -> Wanted:
        """Without the selection."""
        return Wanted(self.set_id, self.checkpoint, self.base_prompt)


Asked = Annotated[SourcesQuery, Query()]


@router.get("/responses/{response_id}/sources")
def sources(request: Request, session: ReadSession, response_id: str, asked: Asked) -> Response:
    """Show the sources of a response, or of the words of it from `start` to `end`: a fragment, or a page."""
    found = look(request, session, response_id, asked.wanted)
    if asked.start is not None or asked.end is not None:
        return _selection(request, found, asked)
    name = "provenance/_sources.html" if is_htmx(request) else "provenance/sources.html"
    result = _result(found, searched(request, found)) if found.state == "ready" else None
    text = view.span_pieces(found.response.text, result["spans"] if result else ())
    return render(request, name, **_shown(found), result=result, text=text)


def _shown(found: Look, **keep: int) -> dict[str, Any]:
    """Return what every template about a look is given; `keep` is asked again when the look is repeated."""
    link = f"/responses/{found.response.id}/sources"
    return {
        "keep": keep,
        "state_link": f"{link}?{urlencode(found.query | keep)}",
        "response": found.response,
        "look": found,
        "query": urlencode(found.query),
        "link": link,
        "self_link": f"{link}?{urlencode(found.query)}",
    }


def _result(found: Look, result: Search) -> dict[str, Any]:
    assert found.index is not None  # noqa: S101 - a ready look has one
    traced = result.traced
    return {
        "spans": view.span_views(traced.spans, found.tokens),
        "neighbours": view.neighbour_views(found.index, traced.neighbours, found.tokens),
        "borrowed": view.borrowed_view(traced.borrowed),
        "fates": view.fates_rows(result.fates),
        "counted": result.fates.n,
    }


def _selection(request: Request, found: Look, asked: SourcesQuery) -> Response:
    """Show where selected words stand."""
    text = found.response.text
    start, end = asked.start or 0, len(text) if asked.end is None else asked.end
    if not 0 <= start < end <= len(text):
        raise InvalidInputError(
            f"There are no characters {start} to {end} in this response.",
            remedy=f"It has {len(text)}: start at 0 or later, and end after the start, at {len(text)} at most.",
        )
    name = "provenance/_selection.html" if is_htmx(request) else "provenance/selection.html"
    context: dict[str, Any] = {"selection": None, "selected": text[start:end]}
    if found.index is not None:
        selection = find_selection(found.index, text, start, end)
        part = selection.exact or selection.longest
        inside = [
            TokenRange(max(token.start - selection.start, 0), token.end - selection.start, token.shift)
            for token in found.tokens.ranges
            if token.start < selection.end and token.end > selection.start
        ]
        near = nearest(found.index, selection.text, inside) if selection.text else ()
        context |= {
            "selection": selection,
            "part": part,
            "part_words": view.found_words(part) if part else "",
            "words": view.words(selection.words),
            "widened": selection.start < start or selection.end > end,
            "places": view.place_views(part.sources) if part else (),
            "around": view.selection_pieces(text, selection),
            "counts": counts(inside),
            "neighbours": view.neighbour_views(found.index, near, PlacedTokens()),
        }
    return render(request, name, **_shown(found, start=start, end=end), **context)


@router.get("/responses/{response_id}/sources/{set_id}/{position}")
def beside(
    request: Request, session: ReadSession, response_id: str, set_id: str, position: int, asked: Asked
) -> Response:
    """Show one instance of a tuning set beside the response, what both share marked in both."""
    wanted = Wanted(set_id, asked.checkpoint, asked.base_prompt)
    found = look(request, session, response_id, wanted)
    shown = None
    if found.index is not None:
        if not 0 <= position < len(found.index):
            raise NotFoundError(
                f"This tuning set has no instance {position}.", remedy=f"Its positions are 0 to {len(found.index) - 1}."
            )
        neighbours = searched(request, found).traced.neighbours
        shown = beside_view(found.index, found.response.text, found.tokens, neighbours, position)
    return render(request, "provenance/beside.html", **_shown(found), beside=shown, position=position)
