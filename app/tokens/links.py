"""Where the parts of an answer in the page come from: its tokens' panels, its measures, its branches."""

from dataclasses import dataclass
from urllib.parse import urlencode

from app.tokens.answer import Answer


@dataclass(frozen=True, slots=True)
class Links:
    """Addresses of an answer, each empty while it does not exist. `panel` holds a literal `{i}` for the token.

    `choices` are the checkpoints that may go on from a token of it; the first `chosen` are ticked.
    """

    panel: str = ""
    measures: str = ""
    fork: str = ""
    page: str = ""
    choices: tuple[str, ...] = ()
    chosen: int = 0


def comparison_links(comparison_id: str, answer: Answer, checkpoints: tuple[str, ...] = ()) -> Links:
    """Link a column of a comparison; `checkpoints` are those that can answer now."""
    stored = _stored(answer, str(answer.run.get("base_prompt") or ""), checkpoints)
    return Links(f"/explore/{comparison_id}/responses/{answer.position}/tokens/{{i}}", *stored)


def response_links(answer: Answer, *, base_prompt: str, checkpoints: tuple[str, ...] = ()) -> Links:
    """Link a stored response as `answer.checkpoint` reads it; `checkpoints` are those that can answer now."""
    query = urlencode({"checkpoint": answer.checkpoint, "base_prompt": base_prompt})
    return Links(f"/responses/{answer.response_id}/tokens/{{i}}?{query}", *_stored(answer, base_prompt, checkpoints))


def _stored(
    answer: Answer, base_prompt: str, checkpoints: tuple[str, ...]
) -> tuple[str, str, str, tuple[str, ...], int]:
    if answer.response_id is None:
        return "", "", "", (), 0
    query = urlencode({"checkpoint": answer.checkpoint, "base_prompt": base_prompt})
    page = f"/responses/{answer.response_id}"
    # Both models of the panel go on unless somebody chooses otherwise.
    both = tuple(name for name in dict.fromkeys((answer.checkpoint, answer.reference)) if name in checkpoints)
    choices = tuple(dict.fromkeys((*both, *checkpoints)))
    measures = f"{page}/measures?{query}" if answer.scored else ""
    return measures, f"{page}/fork" if choices else "", page, choices, len(both) or len(choices)
