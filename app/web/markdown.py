"""Markdown that people wrote for people: guidelines, explanations, notices. Never model text, which stays text."""

from functools import cache
from typing import Any

from markdown_it import MarkdownIt
from markupsafe import Markup


def markdown(text: str) -> Markup:
    """Render CommonMark with tables; HTML in it stays text, images are left as written, links open elsewhere."""
    return Markup(_renderer().render(text))  # noqa: S704  the renderer escapes everything it did not write itself


@cache
def _renderer() -> MarkdownIt:
    renderer = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    renderer.add_render_rule("link_open", _link_open)
    return renderer


def _link_open(renderer: Any, tokens: Any, index: int, options: Any, env: Any) -> str:
    # A referrer would tell another server which study somebody works in.
    tokens[index].attrSet("rel", "noopener noreferrer")
    tokens[index].attrSet("target", "_blank")
    return str(renderer.renderToken(tokens, index, options, env))
