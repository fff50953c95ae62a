"""What the templates of a response are given, put together from its readings and the registry."""

from dataclasses import replace
from typing import Any

from starlette.datastructures import QueryParams

from app.engines.open import Engines
from app.errors import NotFoundError
from app.responses.asked import Asked, asked_from
from app.responses.lanes import choices_under, lanes
from app.responses.queries import Stored
from app.responses.view import (
    changes_view,
    marked,
    origin_words,
    page,
    pair_views,
    prompt_choices,
    rank_words,
    readers,
    reading_words,
    sections,
    shown_answer,
)
from app.tokens.answer import Answer
from app.tokens.controls import shown_from
from app.tokens.links import response_links
from app.tokens.panel import panel_view, pinned_views
from app.tokens.view import column_view, page_context


def page_of(stored: Stored, params: QueryParams, engines: Engines) -> dict[str, Any]:
    """Put together the page of a response as somebody asked to see it."""
    asked, shown = asked_from(params, stored), shown_from(params)
    roles = {checkpoint.name: checkpoint.role for checkpoint in engines.registry.checkpoints.values()}
    answer = shown_answer(stored, asked, roles)
    links = response_links(answer, base_prompt=asked.base_prompt.value, checkpoints=tuple(roles))
    views = choices_under(stored, asked.base_prompt, list(roles))
    lines = lanes(views, shown.thresholds, wanted=asked.lanes)
    pairs = pair_views(stored, asked, views)
    changes = changes_view(stored, asked, answer, shown.thresholds)
    picks = [pick for pair in pairs for pick in (pair.choice, pair.both)] + ([changes.pick] if changes else [])
    picked = next((pick for pick in picks if pick.picked), None)
    column = marked(
        # The link to this very page would lead nowhere.
        column_view(answer, replace(links, page=""), shown),
        lines,
        picked.mask if picked else "",
        shown.thresholds,
        finish=answer.finish,
    )
    return {
        "response": stored.response,
        "origin": origin_words(stored),
        "places": stored.places,
        "asked": asked,
        "column": column,
        "readers": readers(stored, asked, roles, views, lines, shown.thresholds),
        "reading": reading_words(stored, asked),
        "is_read": bool(answer.scored),
        "can_read": asked.checkpoint in roles and bool(answer.ids),
        "base_prompts": prompt_choices(stored, asked),
        "lanes": lines,
        "rank_words": rank_words(shown.thresholds),
        "names": [view.name for view in views],
        "pairs": {(pair.first, pair.second): pair for pair in pairs},
        "picked": picked,
        "changes": changes,
        "pins": pinned_views([answer], [links], shown),
        "sections": sections(stored, asked),
        "view": asked.url("", checkpoint=asked.checkpoint, base_prompt=asked.base_prompt.value).lstrip("?"),
        "clear_url": asked.url(page(stored), pick=None, of=None, against=None) + "#tokens",
        **page_context(shown),
    }


def token_page(stored: Stored, params: QueryParams, engines: Engines, index: int) -> dict[str, Any]:
    """Put together the panel of one token, with its rank under everybody who has read it. Raises NotFoundError."""
    asked, shown = asked_from(params, stored), shown_from(params)
    roles = {checkpoint.name: checkpoint.role for checkpoint in engines.registry.checkpoints.values()}
    answer: Answer = shown_answer(stored, asked, roles, index=index)
    if not 0 <= index < len(answer.ids):
        raise NotFoundError(f"This response has no token {index}.", remedy=f"It has {len(answer.ids)}.")
    links = response_links(answer, base_prompt=asked.base_prompt.value, checkpoints=tuple(roles))
    views = choices_under(stored, asked.base_prompt, list(roles))
    return {
        "panel": panel_view(answer, index, links, shown),
        "own_ranks": [(view.name, view.ranks[index]) for view in views if view.ranks[index] is not None],
        "back": _back(stored, asked),
    }


def _back(stored: Stored, asked: Asked) -> str:
    return asked.url(page(stored), checkpoint=asked.checkpoint, base_prompt=asked.base_prompt.value)
