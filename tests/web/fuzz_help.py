"""Requests nobody would send, made from the routes themselves, and a way to send them byte for byte."""

import asyncio
import json
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode

from fastapi.routing import APIRoute, iter_route_contexts
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from app.accounts.access import ACCESS
from app.studies.forms import FIELDS, ROWS
from tests.conftest import ORIGIN, cookie_for
from tests.web.judging_help import a_form, an_answer

# What routes read from a form as a whole, without naming it where FastAPI sees it.
_SETUP = (*FIELDS, "chosen", "do", *(f"{kind}_{name}" for kind, names in ROWS.items() for name in names))
_JUDGED = tuple(a_form())
_UNNAMED = {
    "/studies": _SETUP,
    "/studies/preview": _SETUP,
    "/studies/{study_id}/setup": _SETUP,
    "/studies/{study_id}/exclusions": ("rule", "reason", "seconds", "do", "ids", "answers", "at_most"),
    "/studies/{study_id}/leaks": ("flag", "decision", "kind"),
    "/lexicon": ("words", "name", "content"),
    "/judge/shortcuts": ("left", "right", "skip", "save"),
    "/judge/check/{study_id}": ("answer-0", "answer-1", "answers"),
    "/judge/{presentation_id}/draft": _JUDGED,
    "/judge/{presentation_id}/submit": _JUDGED,
    "/judge/{presentation_id}/evidence": ("side", "start", "end", "quote"),
    "/tuning-sets": ("name", "file"),
    "/traces/files": ("name", "tuned", "base", "file"),
    "/studies/imports": ("study_id", "kind", "arm", "file"),
    "/studies/judgments": ("study_id", "format", "file"),
}
# Signing out ends the sessions that the other cases need; it takes no field.
_LEFT_OUT = {("POST", "/logout")}
_NUMBERS = ("0", "-1", "1", "2", "1e999", "nan", "inf", "9" * 30, "9" * 5_000, "٣", "²", "7.5", "0x10")
_WORDS = (
    "true",
    "null",
    "[]",
    "{}",
    "yes",
    "left",
    "right",
    "keep",
    "base",
    "lft",
    "open",
    "closed",
    "2030-01-31",
    "0001-01-01",
)
_STRANGE = (
    "",
    " ",
    "\x00",
    "a\x00b",
    "\r\n",
    "\u2028",
    "\ufeff",
    "\ud800",
    "e\u0301",
    "👩‍👩‍👧",
    "\u202e",
    "%00",
    "%",
    "9999-12-31",
)
_HOSTILE = ("=1+1", "<script>", "{{ 7*7 }}", "../../etc/passwd", "a" * 300, "a" * 70_000, '{"a":' * 500)
_ODD = (*_NUMBERS, *_WORDS, *_STRANGE, *_HOSTILE)
_TYPES = (
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "multipart/form-data",
    "application/json",
    "text/plain",
    "",
    "é",
)


_SCOPE = {
    "type": "http",
    "asgi": {"version": "3.0", "spec_version": "2.4"},
    "http_version": "1.1",
    "scheme": "http",
    "root_path": "",
    "client": ("testclient", 50000),
    "server": ("testserver", 80),
}


@dataclass
class Seen:
    """What came of the cases that were sent."""

    sent: int = 0
    statuses: dict[int, int] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)

    def add(self, what: str, status: int) -> None:
        self.sent += 1
        self.statuses[status] = self.statuses.get(status, 0) + 1
        if status >= 500:
            self.failed.append(f"{status} {what}"[:2_000])


def cases(number: int) -> settings:
    """Settings for a run that counts: as many cases as asked for, the same ones each time, nothing made smaller."""
    return settings(
        max_examples=number,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


def names_of(app) -> dict[tuple[str, str], tuple[list[str], list[str]]]:
    """List, for each page's route, the names it reads from the address's query and from a form."""
    found = {}
    for route in iter_route_contexts(list(app.routes)):
        original = getattr(route, "original_route", route)
        if not isinstance(original, APIRoute):
            continue
        flat = list(_flat(original.dependant))
        for method in original.methods - {"HEAD"}:
            row = (method, original.path)
            if row in ACCESS and row not in _LEFT_OUT and not original.path.startswith("/api/"):
                queried, sent = (
                    [one for part in flat for one in getattr(part, kind)] for kind in ("query_params", "body_params")
                )
                found[row] = (_names(queried), [*_names(sent), *_UNNAMED.get(original.path, ())])
    return found


def _flat(dependant):
    yield dependant
    for one in dependant.dependencies:
        yield from _flat(one)


def _names(fields) -> list[str]:
    names = []
    for one in fields:
        kind = one.field_info.annotation
        inner = kind.model_fields if isinstance(kind, type) and issubclass(kind, BaseModel) else None
        names += list(inner) if inner else [one.alias]
    return names


def a_case(app, place):
    """A strategy for (row, who, path, query, headers, body): any route, anybody, fields right, wrong and strange."""
    rows = names_of(app)
    known = [str(value) for value in _known(place)]
    value = st.one_of(st.sampled_from(_ODD), st.sampled_from(known), st.text(max_size=40), st.integers().map(str))
    fields = {row: _fields(names[1], value) for row, names in rows.items()}
    queries = {row: _fields(names[0], value) for row, names in rows.items()}

    @st.composite
    def build(draw):
        row = draw(st.sampled_from(sorted(rows)))
        path, form = place(row[1])
        if draw(st.integers(0, 3)) == 0:
            path = "/".join(_step(one, draw(value)) if "{" in one else one for one in row[1].split("/"))
        pairs = [
            pair for name, one in form.items() for pair in ((name, v) for v in ([one] if isinstance(one, str) else one))
        ]
        pairs = pairs * draw(st.booleans()) + draw(fields[row])
        kind = draw(st.sampled_from(_TYPES)) if draw(st.integers(0, 2)) == 0 else _TYPES[draw(st.integers(0, 1))]
        body = b"" if row[0] == "GET" else _body(kind, pairs, draw)
        who = draw(st.sampled_from(("researcher", "researcher", "annotator", "annotator", "stranger", "")))
        htmx = draw(st.booleans())
        return row, who, path, _encoded(draw(queries[row])), kind, htmx, body

    return build()


def _known(place):
    """What the addresses of the test's own things are made of."""
    seen = place("{study_id}/{presentation_id}/{comparison_id}/{response_id}/{set_id}/{token}/{pid}/{evidence_id}")[0]
    return seen.split("/")


def _fields(names, value):
    name = st.sampled_from(names) if names else st.just("x")
    return st.lists(st.tuples(st.one_of(name, name, name, st.text(max_size=10)), value), max_size=12)


def _step(template: str, value: str) -> str:
    before, _, rest = template.partition("{")
    return before + value + rest.partition("}")[2]


def _encoded(pairs) -> bytes:
    return urlencode([(a, b) for a, b in pairs], encoding="utf-8", errors="surrogatepass").encode("ascii")


def _body(kind: str, pairs, draw) -> bytes:
    if kind.startswith("multipart"):
        parts = b""
        for name, value in pairs:
            filename = '; filename="f.jsonl"' if name == "file" else ""
            head = f'--x\r\nContent-Disposition: form-data; name="{name}"{filename}\r\n\r\n{value}\r\n'
            parts += head.encode("utf-8", "surrogatepass")
        return parts + (b"--x--\r\n" if draw(st.integers(0, 9)) else b"")
    if kind == "application/json":
        whole = draw(st.one_of(st.just({}), st.just(an_answer()), st.just([]), st.just(7)))
        if isinstance(whole, dict):
            whole = {
                **whole,
                **{
                    name: draw(st.sampled_from((value, [value], {"a": value}, 7, -1, 1e308, None, True)))
                    for name, value in pairs
                },
            }
        return json.dumps(whole).encode()
    if kind in ("text/plain", "", "é"):
        return draw(st.binary(max_size=200))
    return _encoded(pairs)


class Sender:
    """Sends requests to an app that has started, as bytes, without a client that would put them right first."""

    def __init__(self, app, portal, people) -> None:
        self.app, self.portal = app, portal
        self.cookies = {name: f"tuneshift_session={cookie_for(app, user)}" for name, user in people.items()}

    def send(self, method: str, path: str, query: bytes = b"", *, body: bytes = b"", headers=()) -> tuple[int, bytes]:
        return self.portal.call(self._send, method, path, query, body, list(headers))

    async def _send(self, method, path, query, body, headers):
        told = [(b"host", b"testserver"), (b"content-length", str(len(body)).encode())]
        told += [(name.lower().encode(), value.encode("utf-8", "surrogatepass")) for name, value in headers if value]
        raw = quote(path, safe="/%", encoding="utf-8", errors="surrogatepass").encode()
        scope = _SCOPE | {
            "method": method,
            "path": _decoded(raw),
            "raw_path": raw,
            "query_string": query,
            "headers": told,
        }
        scope["state"] = {}
        waiting = [{"type": "http.request", "body": body, "more_body": False}]
        answer, status = [], 0

        async def receive():
            if waiting:
                return waiting.pop()
            return await asyncio.Event().wait()

        async def send(message):
            nonlocal status
            status = message.get("status", status)
            answer.append(message.get("body", b""))

        try:
            async with asyncio.timeout(60):
                await self.app(scope, receive, send)
        except Exception as error:  # noqa: BLE001  whatever leaves the app would be a 500 or a broken answer
            return 599, repr(error).encode()
        return status, b"".join(answer)


def _decoded(raw: bytes) -> str:
    """Decode a path as uvicorn does: percent-encoded bytes as UTF-8, what is none replaced."""
    from urllib.parse import unquote_to_bytes  # noqa: PLC0415

    return unquote_to_bytes(raw).decode("utf-8", "replace")


def form_headers(sender, who: str, kind: str, *, htmx: bool):
    return [
        ("Cookie", sender.cookies.get(who, "")),
        ("Origin", ORIGIN),
        ("Content-Type", kind),
        ("HX-Request", "true" if htmx else ""),
    ]
