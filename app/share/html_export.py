"""The page of a response or a comparison as one file: opens from a disk, asks no network, does what the page does.

Panels are drawn here by the template the server uses and travel packed; a policy in the file itself allows only what
stands in it. The same document gives the same bytes.
"""

import base64
import gzip
import json
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from markupsafe import Markup
from sqlmodel import Session

from app.compare import queries
from app.compare.branch_view import ForkView, fork_view, mark_column
from app.share.bundle import bundle, inline_script, inline_style
from app.share.document import Document
from app.shift.branching import DEFAULT_WINDOW
from app.tokens.answer import Answer
from app.tokens.controls import Shown
from app.tokens.links import Links
from app.tokens.measures_json import measures_json
from app.tokens.panel import panel_view
from app.tokens.store import answer_of
from app.tokens.view import ColumnView, column_view, page_context
from app.web.templates import STATIC, environment, fragment
from models import BasePrompt

_STYLES = (
    "app.css",
    "explore.css",
    "explore-tokens.css",
    "branches.css",
    "vendor/uplot-1.6.32/uPlot.min.css",
)
_CHARTS = "vendor/uplot-1.6.32/uPlot.iife.min.js"
_ENTRIES = ["app.js", "explore.js", "share-view.js"]
_SHADOW = {
    "fetch": ("share-offline.js", "fetchOffline"),
    "history": ("share-offline.js", "historyOffline"),
}
_BASE_READ = {
    BasePrompt.SAME_IDS: "base read the same ids",
    BasePrompt.PLAIN: "base read the bare prompt",
    BasePrompt.FEW_SHOT: "base read two examples first",
}


@dataclass(frozen=True, slots=True)
class _Shared:
    """One column of the file: an answer under one reading, and what it is headed with."""

    answer: Answer
    base_prompt: BasePrompt
    view: ColumnView


def write_html(document: Document, session: Session, *, public_url: str) -> str:
    """Write the page; `public_url` is where the server is reached, for its permalink."""
    fork: ForkView | None = None
    if document.comparison is None:
        columns = _of_readings(document)
    else:
        columns, fork = _of_columns(document, session)
    head, body, policy = _parts()
    return fragment(
        "share/document.html",
        prompt=document.prompt,
        permalink=public_url.rstrip("/") + document.path,
        comparison=document.comparison,
        base_read=_BASE_READ[document.comparison.base_prompt] if document.comparison else "",
        fork=fork,
        columns=[column.view for column in columns],
        pins=(),
        head=head,
        body=body,
        policy=policy,
        panels=_data("application/gzip", "data-share-panels", _packed(columns)),
        measures=_data("application/json", "data-share-measures", _measures(columns)),
        **page_context(Shown()),
    )


def _of_readings(document: Document) -> list[_Shared]:
    (sheet,) = document.sheets
    assert sheet.response is not None  # noqa: S101 - a document of a response has one
    if not sheet.readings:
        return [_column(answer_of(sheet.response, None), BasePrompt.SAME_IDS, "")]
    return [
        _column(reading.answer(position), reading.trace.base_prompt, _BASE_READ[reading.trace.base_prompt])
        for position, reading in enumerate(sheet.readings)
    ]


def _of_columns(document: Document, session: Session) -> tuple[list[_Shared], ForkView | None]:
    """Show the columns as the page of the comparison does, what a fork left first."""
    assert document.comparison is not None  # noqa: S101 - the caller has looked
    stored = queries.load(session, document.comparison.id)
    original = queries.load_original(session, stored)
    answers = [original, *stored.answers] if original else list(stored.answers)
    columns = [_column(answer, document.comparison.base_prompt, "") for answer in answers]
    if stored.fork is None or original is None:
        return columns, None
    marked = [
        replace(one, view=mark_column(one.view, one.answer, stored.fork, window=DEFAULT_WINDOW)) for one in columns
    ]
    return marked, fork_view(stored.fork, original, answers, window=DEFAULT_WINDOW)


def _column(answer: Answer, base_prompt: BasePrompt, note: str) -> _Shared:
    at = answer.position
    links = Links(panel=f"panel/{at}/{{i}}", measures=f"measures/{at}" if answer.scored else "")
    view = column_view(answer, links)
    # Nothing runs in a file, so nothing can be tried again.
    view = replace(view, can_retry=False, words=f"{view.words} · {note}" if note else view.words)
    return _Shared(answer, base_prompt, view)


def _panels(answer: Answer) -> list[str]:
    template = environment().get_template("explore/_panel.html")
    shown, links = Shown(), Links()
    return [template.render(panel=panel_view(answer, index, links, shown)) for index in range(len(answer.ids))]


def _packed(columns: list[_Shared]) -> Markup:
    by_column = {str(column.answer.position): _panels(column.answer) for column in columns}
    raw = json.dumps(by_column, ensure_ascii=False, separators=(",", ":")).encode()
    # Without a time in it, so that two exports are equal.
    return Markup(base64.b64encode(gzip.compress(raw, mtime=0)).decode())  # noqa: S704 - base64 has no markup


def _data(kind: str, name: str, data: Markup) -> Markup:
    """Return a script element that is no script: browsers run only the types they know."""
    return Markup('<script type="{}" {}>{}</script>').format(kind, name, data)


def _measures(columns: list[_Shared]) -> Markup:
    found: dict[str, Any] = {
        str(column.answer.position): measures_json(column.answer, base_prompt=column.base_prompt.value)
        for column in columns
    }
    return script_json(found)


def script_json(value: Any) -> Markup:
    """Write JSON that may stand in a script element whatever text it holds: no `<`, `>` or `&`, no odd line ends."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 - what could end the element is spelled out above


@lru_cache(maxsize=1)
def _inlined(_changed: tuple[int, ...]) -> tuple[Markup, Markup, str]:
    style, style_source = inline_style("\n".join(_text(file) for file in _STYLES))
    scripts = [_text("js/theme.js"), _text(_CHARTS), bundle(STATIC / "js", _ENTRIES, shadow=_SHADOW)]
    elements, sources = zip(*map(inline_script, scripts), strict=True)
    policy = (
        f"default-src 'none'; script-src {' '.join(sources)}; style-src {style_source}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    theme, *later = elements
    return Markup("{}{}").format(style, theme), Markup("\n").join(later), policy


def _parts() -> tuple[Markup, Markup, str]:
    """Return what stands in the head, at the end of the body, and the policy that allows both."""
    files = [*(STATIC / file for file in _STYLES), *sorted((STATIC / "js").glob("*.js"))]
    return _inlined(tuple(file.stat().st_mtime_ns for file in files))


def _text(file: str) -> str:
    return (STATIC / file).read_text(encoding="utf-8")
