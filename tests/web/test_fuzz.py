"""Requests nobody would send end in an answer that says what is wrong, never in a 500.

A few hundred cases here; `tests.bench.bench_fuzz` sends many more, by these very tests.
"""

import json
import os
import time
from urllib.parse import unquote, urlencode, urlsplit

import schemathesis
from hypothesis import given
from hypothesis import strategies as st
from schemathesis import GenerationMode

from app.accounts.limits import Limits
from app.api.routes import schema
from tests.web.api_help import token_for
from tests.web.fuzz_help import Seen, Sender, a_case, cases, form_headers
from tests.web.test_access import place as place  # noqa: PLC0414  a fixture

CASES = int(os.environ.get("FUZZ_CASES", "300"))


def report(name: str, seen: Seen, started: float) -> None:
    figures = {
        "bench": name,
        "cases": seen.sent,
        "failed": len(seen.failed),
        "seconds": round(time.monotonic() - started, 1),
    }
    print(json.dumps(figures | {"statuses": dict(sorted(seen.statuses.items()))}))


@schemathesis.serializer("application/jsonl")
def lines(context, value):  # the name is what schemathesis asks for
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")


def as_bytes(case):
    """What a case sends: path, query, content type and body."""
    told = case.as_transport_kwargs(base_url="http://testserver")
    given = told.get("json", told.get("data", b""))
    body = given if isinstance(given, bytes) else json.dumps(given).encode()
    query = urlencode(told.get("params") or {}, doseq=True, encoding="utf-8", errors="surrogatepass").encode()
    return unquote(urlsplit(told["url"]).path), query, case.media_type or "", body


def test_no_form_and_no_address_ends_in_a_500(app, place, client_for, alice, bob, carol):
    app.state.limits = Limits(times=1_000_000)
    sender = Sender(app, client_for().portal, {"researcher": alice, "annotator": bob, "stranger": carol})
    seen, started = Seen(), time.monotonic()

    @cases(CASES)
    @given(case=a_case(app, place))
    def send(case):
        (method, template), who, path, query, kind, htmx, body = case
        status, _ = sender.send(method, path, query, body=body, headers=form_headers(sender, who, kind, htmx=htmx))
        seen.add(f"{method} {template} {path[:200]} {query[:500]} as {who or 'nobody'}, {kind}: {body[:900]}", status)

    send()
    report("fuzz_forms", seen, started)
    assert seen.failed == []
    assert seen.sent >= CASES
    assert seen.statuses.get(200, 0) > CASES / 20


def test_no_call_of_the_interface_for_programs_ends_in_a_500(app, place, client_for, database, alice):
    token = token_for(database, alice)
    app.state.limits = Limits(times=1_000_000)
    sender = Sender(app, client_for().portal, {})
    known = {name: place(f"{{{name}}}")[0] for name in ("study_id", "comparison_id", "export_id")} | {
        "table": "preferences.csv"
    }
    operations = [found.ok() for found in schemathesis.openapi.from_dict(schema()).get_all_operations()]
    seen, started = Seen(), time.monotonic()
    odd = []

    def send(case, *, real: bool):
        for name, value in known.items() if real else ():
            if name in case.path_parameters:
                case.path_parameters[name] = value
        path, query, kind, body = as_bytes(case)
        headers = [("Authorization", f"Bearer {token}"), ("Content-Type", kind)]
        status, answer = sender.send(case.method, path, query, body=body, headers=headers)
        what = f"{case.method} {case.path} {path} {query!r} {kind} {body[:900]!r}"
        seen.add(what, status)
        if 400 <= status < 500 and not answer.startswith(b'{"error":{"status":'):
            odd.append(f"{status} {what} {answer[:200]!r}")

    for operation in operations:
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):

            @cases(CASES // (2 * len(operations)) + 1)
            @given(case=operation.as_strategy(generation_mode=mode), real=st.booleans())
            def run(case, real):
                send(case, real=real)

            run()
    report("fuzz_api", seen, started)
    assert seen.failed == []
    assert odd == []
    assert seen.sent >= CASES
