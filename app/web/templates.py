"""Pages and fragments: one strict, always-escaping Jinja environment."""

import hashlib
from functools import cache, lru_cache
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from app.settings import ROOT
from app.web.markdown import markdown
from models import Role, User

STATIC = ROOT / "static"


def render(request: Request, name: str, *, status_code: int = 200, **context: Any) -> HTMLResponse:
    """Render a page, or a fragment whose file starts with `_`, for the person asking.

    Templates also get `request`, `user` (or None), `is_researcher` and `is_htmx`. The answer varies by `HX-Request`,
    so that a cached fragment never comes back as a page.
    """
    user: User | None = getattr(request.state, "user", None)
    html = fragment(
        name,
        request=request,
        user=user,
        is_researcher=user is not None and user.role != Role.ANNOTATOR,
        is_htmx=is_htmx(request),
        **context,
    )
    return HTMLResponse(html, status_code=status_code, headers={"Vary": "HX-Request"})


def fragment(name: str, **context: Any) -> str:
    """Render a template outside a request, for server-sent events."""
    return environment().get_template(name).render(**context)


def is_htmx(request: Request) -> bool:
    """Tell whether only a part of the page is wanted."""
    return request.headers.get("HX-Request") == "true" and request.headers.get("HX-History-Restore-Request") != "true"


def static_url(path: str) -> str:
    """Address a file under `static/` by its content, so that it may be cached for ever.

    Raises FileNotFoundError for a file that is not there.
    """
    file = STATIC / path
    return f"/static/{path}?v={_digest(path, file.stat().st_mtime_ns)}"


def grouped(number: int) -> str:
    """Write a count with its thousands apart."""
    return f"{number:,}"


@lru_cache(maxsize=256)
def _digest(path: str, _changed: int) -> str:
    return hashlib.sha256((STATIC / path).read_bytes()).hexdigest()[:12]


@cache
def environment() -> Environment:
    """Build the Jinja environment, once: strict about missing names, escaping everything."""
    result = Environment(
        loader=FileSystemLoader(ROOT / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    result.globals["static_url"] = static_url
    result.filters["markdown"] = markdown
    result.filters["grouped"] = grouped
    return result
