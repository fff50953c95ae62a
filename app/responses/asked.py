"""What a visitor wants to see of a response: whose reading, what base read, which lines, which tokens picked out."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import QueryParams

from app.responses.queries import Stored
from models import BasePrompt

_KEPT = ("checkpoint", "base_prompt", "against", "pick", "of", "lane", "measure", "unshifted", "marginal", "mode")
_RESET = ("checkpoint", "base_prompt", "against", "pick", "of")
PICKS = ("changed", "choice", "first")


@dataclass(frozen=True, slots=True)
class Asked:
    """A query string, read. `against` is the base prompt to compare with; `of` are the two whose agreement is picked.

    `query` holds every pair that a link on the page keeps.
    """

    checkpoint: str
    base_prompt: BasePrompt
    against: BasePrompt | None
    pick: str
    of: tuple[str, ...]
    lanes: tuple[str, ...]
    query: tuple[tuple[str, str], ...]

    def url(self, path: str, **changes: str | Sequence[str] | None) -> str:
        """Address the same view with some parts changed; None takes a part out."""
        kept = [(name, value) for name, value in self.query if name not in changes]
        for name, value in changes.items():
            values = [value] if isinstance(value, str) else value or []
            kept += [(name, one) for one in values if one]
        return f"{path}?{urlencode(kept)}" if kept else path


def asked_from(params: QueryParams, stored: Stored) -> Asked:
    """Read the query string of a response's page; what it leaves open is its writer's own reading, or the first."""
    read = {(trace.checkpoint, trace.base_prompt) for trace in stored.traces}
    checkpoint = params.get("checkpoint", "") or _first_reader(stored)
    base_prompt = _base_prompt(params.get("base_prompt", ""))
    if base_prompt is None:
        known = [trace.base_prompt for trace in stored.traces if trace.checkpoint == checkpoint]
        base_prompt = BasePrompt.SAME_IDS if BasePrompt.SAME_IDS in known or not known else known[0]
    against = _base_prompt(params.get("against", ""))
    if against is None and base_prompt is not BasePrompt.SAME_IDS:
        against = BasePrompt.SAME_IDS
    if against == base_prompt or (checkpoint, against) not in read or (checkpoint, base_prompt) not in read:
        against = None
    pick = params.get("pick", "changed" if against else "")
    return Asked(
        checkpoint=checkpoint,
        base_prompt=base_prompt,
        against=against,
        pick=pick if pick in PICKS else "",
        of=tuple(params.getlist("of"))[:2],
        lanes=tuple(params.getlist("lane")),
        query=tuple((name, value) for name, value in params.multi_items() if name in _KEPT and value),
    )


def after_reading(response_id: str, view: str, checkpoint: str, base_prompt: str) -> str:
    """Address the page once a reading is there: as it was seen (`view`, a query string), under the new base prompt."""
    kept = [(name, value) for name, value in parse_qsl(view) if name in _KEPT and name not in _RESET]
    seen = dict(parse_qsl(view))
    earlier = seen.get("base_prompt", "")
    said = {
        "checkpoint": seen.get("checkpoint", "") or checkpoint,
        "base_prompt": base_prompt,
        "against": earlier if earlier != base_prompt else "",
    }
    return f"/responses/{response_id}?{urlencode([*kept, *((name, value) for name, value in said.items() if value)])}"


def _base_prompt(said: str) -> BasePrompt | None:
    return BasePrompt(said) if said in set(BasePrompt) else None


def _first_reader(stored: Stored) -> str:
    """Name whose reading to show: the writer's, or the first tuned one's, or any."""
    response = stored.response
    writer = response.checkpoint or str(response.run.get("tokenizer_of") or "")
    names = [trace.checkpoint for trace in stored.traces]
    tuned = [trace.checkpoint for trace in stored.traces if trace.checkpoint != trace.reference]
    if writer in names:
        return writer
    return next(iter(tuned or names), writer)
