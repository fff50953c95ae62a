import pytest
from bs4 import BeautifulSoup
from starlette.requests import Request

from app.settings import Settings
from app.web.csrf import is_same_origin

SETTINGS = Settings(_env_file=None, public_url="https://tuneshift.example")
COOKIE = "tuneshift_session=x"


def allowed(method="POST", *, settings=SETTINGS, **headers) -> bool:
    named = {name.replace("_", "-"): value for name, value in ({"host": "app.local:8000"} | headers).items()}
    raw = [(name.encode(), value.encode()) for name, value in named.items()]
    scope = {"type": "http", "method": method, "path": "/logout", "query_string": b"", "headers": raw}
    return is_same_origin(Request(scope), settings=settings)


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_reading_is_always_allowed(method):
    assert allowed(method, sec_fetch_site="cross-site", origin="https://evil.example", cookie=COOKIE)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "MADE-UP"])
def test_every_other_method_is_checked(method):
    assert not allowed(method, sec_fetch_site="cross-site")


@pytest.mark.parametrize(
    ("site", "verdict"),
    [
        ("same-origin", True),
        ("none", True),
        ("same-site", False),
        ("cross-site", False),
        ("", False),
        ("Same-Origin", False),
    ],
)
def test_sec_fetch_site_decides_alone(site, verdict):
    ours, theirs = "http://app.local:8000", "https://evil.example"
    assert allowed(sec_fetch_site=site, origin=theirs if verdict else ours, cookie=COOKIE) is verdict


@pytest.mark.parametrize(
    ("origin", "verdict"),
    [
        ("http://app.local:8000", True),
        ("https://app.local:8000", True),
        ("https://tuneshift.example", True),
        ("http://tuneshift.example", False),
        ("http://app.local", False),
        ("http://app.local:8001", False),
        ("http://evil.app.local:8000", False),
        ("https://tuneshift.example.evil.example", False),
        ("ftp://app.local:8000", False),
        ("null", False),
        ("", False),
        ("http://[", False),
    ],
)
def test_without_it_the_origin_must_be_ours(origin, verdict):
    assert allowed(origin=origin, cookie=COOKIE) is verdict


def test_over_https_a_plain_origin_is_not_ours():
    settings = Settings(_env_file=None, https_only=True)
    assert not allowed(settings=settings, origin="http://app.local:8000")
    assert allowed(settings=settings, origin="https://app.local:8000")
    assert not allowed(settings=settings, cookie="__Host-tuneshift_session=x")


def test_a_request_without_a_host_is_not_ours():
    assert not allowed(host="", origin="http://")


def test_a_client_that_sends_neither_may_write_only_without_a_session():
    assert allowed()
    assert allowed(cookie="other=1")
    assert not allowed(cookie=COOKIE)


@pytest.mark.parametrize(
    "path", ["/login", "/logout", "/invite/x", "/compare", "/studies", "/judge/x/submit", "/checkpoints/check"]
)
def test_a_forged_write_is_refused_in_words_and_changes_nothing(researcher, path, htmx):
    forged = {"Origin": "https://evil.example", **htmx}
    response = researcher.post(path, headers=forged)
    assert response.status_code == 403
    assert "another website" in BeautifulSoup(response.text, "html.parser").text
    assert ("HX-Retarget" in response.headers) is bool(htmx)
    assert response.headers["content-security-policy"]
    assert researcher.get("/checkpoints").status_code == 200


def test_our_own_form_goes_through(researcher):
    assert researcher.post("/logout", headers={"Sec-Fetch-Site": "same-origin"}).status_code == 303
