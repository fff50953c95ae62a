"""One look at a response's sources: whose reading, which tuning set, and how far that set is from being searchable."""

from dataclasses import dataclass

from fastapi import Request
from sqlmodel import Session

from app.errors import ConflictError
from app.provenance.index import Index
from app.provenance.placed import PlacedTokens
from app.provenance.queries import SetChoice, chosen_set, set_choices, shown_trace
from app.provenance.store import Building, Indexes
from app.provenance.tracing import Search, encoder_of, search, tokens_of
from app.tokens.store import get_response
from models import ImportState, Response, Trace


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the address asks for; empty means the obvious one."""

    set_id: str = ""
    checkpoint: str = ""
    base_prompt: str = "same_ids"


@dataclass(frozen=True, slots=True)
class Look:
    """A response under one reading, and the tuning set it is traced to. `index` is set when `state` is `ready`.

    `state` is `empty` (no text), `no set`, `importing`, `failed`, `building` or `ready`.
    """

    response: Response
    trace: Trace | None
    tokens: PlacedTokens
    choices: tuple[SetChoice, ...]
    chosen: SetChoice | None
    state: str
    index: Index | None = None
    building: Building | None = None

    @property
    def checkpoint(self) -> str:
        """The checkpoint whose reading weighs the search."""
        return self.trace.checkpoint if self.trace else self.response.checkpoint

    @property
    def query(self) -> dict[str, str]:
        """What links within this look carry on."""
        named = {"set": self.chosen.row.id if self.chosen else ""}
        if self.trace:
            named |= {"checkpoint": self.trace.checkpoint, "base_prompt": self.trace.base_prompt.value}
        return {name: value for name, value in named.items() if value}


def look(request: Request, session: Session, response_id: str, wanted: Wanted) -> Look:
    """Load what a page about a response's sources needs. Raises NotFoundError for what is not there."""
    response = get_response(session, response_id)
    trace = shown_trace(session, response, wanted.checkpoint, wanted.base_prompt)
    tokens = tokens_of(response, trace)
    names = dict.fromkeys(name for name in (trace and trace.checkpoint, response.checkpoint) if name)
    choices = set_choices(session, list(names))
    chosen = chosen_set(choices, wanted.set_id)
    state, index, building = _state(request, response, trace, chosen)
    return Look(response, trace, tokens, choices, chosen, state, index, building)


def _state(
    request: Request, response: Response, trace: Trace | None, chosen: SetChoice | None
) -> tuple[str, Index | None, Building | None]:
    if not response.text.strip():
        return "empty", None, None
    if chosen is None:
        return "no set", None, None
    if chosen.row.state != ImportState.READY:
        return ("failed" if chosen.row.state == ImportState.FAILED else "importing"), None, None
    name = trace.checkpoint if trace else response.checkpoint
    found = indexes(request).get(chosen.row, encoder_of(request.app.state.engines, name))
    return ("building", None, found) if isinstance(found, Building) else ("ready", found, None)


def indexes(request: Request) -> Indexes:
    """Return the indexes of this process."""
    found: Indexes = request.app.state.indexes
    return found


def searched(request: Request, found: Look) -> Search:
    """Trace the whole response to the set of a ready look; the result is kept and shared."""
    index = found.index
    if index is None:
        raise ConflictError("This tuning set cannot be searched yet.", remedy="Look again in a moment.")
    key = found.response.id, found.trace and found.trace.id, index.folder.name
    return indexes(request).remembered(key, lambda: search(index, found.response.text, found.tokens))
