import re

import pytest
from fastapi.testclient import TestClient

from app.accounts.queries import create_invite
from app.db import writing
from app.main import create_app
from app.settings import Settings
from app.web.templates import STATIC, static_url
from models import Role
from tests.factories import make_user

POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "connect-src": "'self'",
    "font-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}


@pytest.mark.parametrize("path", ["/", "/login", "/nothing-here", "/healthz", "/static/app.css", "/static/none.css"])
def test_every_answer_carries_the_policy(anonymous, path):
    headers = anonymous.get(path).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy == POLICY
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert "camera=()" in headers["permissions-policy"]
    assert re.fullmatch(r"[0-9a-f]{12}", headers["x-request-id"])


def test_pages_are_never_stored_and_hashed_files_for_ever(researcher):
    page = researcher.get("/checkpoints")
    assert page.headers["cache-control"] == "no-store"
    assert {part.strip() for part in page.headers["vary"].split(",")} >= {"HX-Request", "Cookie"}
    for address in re.findall(r'(?:href|src)="(/static/[^"]+)"', page.text):
        answer = researcher.get(address)
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "public, max-age=31536000, immutable")
        again = researcher.get(address, headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.headers["cache-control"]) == (304, answer.headers["cache-control"])
    assert researcher.get("/static/app.css").headers["cache-control"] == "no-cache"
    assert researcher.get("/static/none.css?v=1").headers["cache-control"] == "no-cache"


def test_the_address_of_a_file_changes_with_its_content(tmp_path, monkeypatch):
    monkeypatch.setattr("app.web.templates.STATIC", tmp_path)
    (tmp_path / "one.css").write_text("a")
    first = static_url("one.css")
    (tmp_path / "one.css").write_text("bb")
    assert static_url("one.css") != first
    with pytest.raises(FileNotFoundError):
        static_url("none.css")


def test_static_files_stay_inside_their_folder(anonymous):
    for path in (
        "/static/../pyproject.toml",
        "/static/%2e%2e/pyproject.toml",
        "/static/..%2fpyproject.toml",
        "/static/",
    ):
        assert anonymous.get(path).status_code == 404, path


def test_no_stylesheet_or_script_of_ours_reaches_elsewhere():
    for path in [*STATIC.glob("*.css"), *STATIC.glob("js/*.js")]:
        assert not re.search(r"(https?:)?//[a-z0-9.-]+\.[a-z]{2,}/", path.read_text()), path


def test_over_https_the_cookie_is_bound_to_the_host(tmp_path, database):
    settings = Settings(_env_file=None, data_dir=tmp_path / "data", https_only=True)
    with TestClient(create_app(settings), base_url="https://t.example", follow_redirects=False) as client:
        with writing(database) as session:
            user = make_user(session)
            token = create_invite(session, role=Role.ANNOTATOR, days=1, user_id=user.id)
        response = client.post(f"/invite/{token}", headers={"Origin": "https://t.example"})
        cookie = response.headers["set-cookie"]
    assert cookie.startswith("__Host-tuneshift_session=")
    assert "; secure" in cookie
    assert "; path=/;" in cookie
    assert "domain" not in cookie.lower()


def test_nothing_describes_the_routes_to_strangers(anonymous):
    for path in ("/docs", "/redoc", "/openapi.json"):
        assert anonymous.get(path).status_code == 404
