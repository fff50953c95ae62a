import json

import pytest
import structlog
from bs4 import BeautifulSoup
from fastapi import Form
from fastapi.testclient import TestClient

from app.accounts.access import ACCESS, Access
from app.db import connect
from app.errors import EngineTimeoutError, InvalidInputError
from app.main import create_app
from app.web.logs import configure_logs


@pytest.fixture
def failing(settings, database, scripted_engines, monkeypatch):
    """A client of an app with two more routes: one that fails as told, one with a form."""
    app = create_app(settings, engines=scripted_engines)
    for method, path in (("GET", "/fail/{how}"), ("POST", "/form")):
        monkeypatch.setitem(ACCESS, (method, path), Access.PUBLIC)

    @app.get("/fail/{how}")
    def fail(how: str):
        if how == "explained":
            raise InvalidInputError("Line 3 has <no> prompt.", remedy="Add one.")
        if how == "slow":
            raise EngineTimeoutError("The model did not answer in 60 s.")
        raise ZeroDivisionError("secret detail")

    @app.post("/form")
    def form(count: int = Form(), text: str = Form("")):
        return {"text": text}

    with TestClient(app, headers={"Origin": "http://testserver"}, follow_redirects=False) as client:
        yield client


def test_an_explained_failure_is_a_page(failing):
    response = failing.get("/fail/explained")
    page = BeautifulSoup(response.text, "html.parser")
    assert response.status_code == 422
    assert page.select_one("h1").text == "Something is missing or wrong"
    assert page.select_one(".lead").text == "Line 3 has <no> prompt."
    assert "Add one." in page.text


def test_inside_a_page_it_is_a_toast_in_its_own_place(failing):
    response = failing.get("/fail/slow", headers={"HX-Request": "true"})
    toast = BeautifulSoup(response.text, "html.parser").select_one("[data-toast][role=alert]")
    assert response.status_code == 504
    assert "The model did not answer in 60 s." in toast.text
    assert "<html" not in response.text
    assert (response.headers["HX-Retarget"], response.headers["HX-Reswap"]) == ("#toasts", "beforeend")
    assert "HX-Request" in response.headers["vary"]


def test_programs_get_json(failing):
    response = failing.get("/fail/explained", headers={"Accept": "application/json"})
    error = {"status": 422, "message": "Line 3 has <no> prompt.", "where": "", "remedy": "Add one."}
    assert (response.status_code, response.json()) == (422, {"error": error})


def test_an_event_stream_gets_plain_words(failing):
    response = failing.get("/fail/slow", headers={"Accept": "text/event-stream"})
    assert (response.status_code, response.text) == (504, "The model did not answer in 60 s.")
    assert response.headers["content-type"].startswith("text/plain")


def test_the_unforeseen_says_a_code_and_nothing_else(failing, htmx, capsys):
    response = failing.get("/fail/unforeseen", headers=htmx)
    code = response.headers["x-request-id"]
    assert response.status_code == 500
    assert code in response.text
    assert response.headers["content-security-policy"]
    assert ("HX-Retarget" in response.headers) is bool(htmx)
    for secret in ("secret detail", "ZeroDivisionError", "Traceback", "test_errors"):
        assert secret not in response.text
    logged = capsys.readouterr().err
    assert code in logged
    assert "secret detail" in logged
    assert "locals" not in logged


@pytest.mark.parametrize("data", [{}, {"count": "many"}, {"count": ""}])
def test_a_field_that_cannot_be_used_is_named(failing, data):
    response = failing.post("/form", data=data)
    assert response.status_code == 422
    assert BeautifulSoup(response.text, "html.parser").select_one(".lead").text.startswith("count: ")
    assert "many" not in response.text


@pytest.mark.parametrize("text", ["a\x00b", "\x00"])
def test_text_no_database_can_keep_is_refused(failing, text):
    urlencoded = failing.post("/form", data={"count": "1", "text": text})
    multipart = failing.post("/form", data={"count": "1", "text": text}, files={"f": ("x", b"y")})
    for response in (urlencoded, multipart):
        assert response.status_code == 422
        assert "text" in BeautifulSoup(response.text, "html.parser").select_one(".lead").text


@pytest.mark.parametrize("text", ["a\x00b", "\ud800", "\x00"])
def test_nor_inside_json(failing, text):
    bodies = [{"text": text}, {"list": [1, {"deep": [text]}]}, {text: 1}, [text], text]
    for body in bodies:
        response = failing.post("/form", content=json.dumps(body), headers={"Content-Type": "application/json"})
        assert response.status_code == 422
        assert "cannot be stored" in response.text, body


def test_json_nested_without_end_is_no_fault_of_the_server(failing):
    for body in ("[" * 100_000, '{"a":' * 50_000):
        assert failing.post("/form", content=body, headers={"Content-Type": "application/json"}).status_code == 422


@pytest.mark.parametrize("text", ["", "שלום", "👩‍👩‍👧", "<script>alert(1)</script>", "%00", "é" * 100_000])
def test_all_other_text_passes_unchanged(failing, text):
    assert failing.post("/form", data={"count": "1", "text": text}).json() == {"text": text}


@pytest.mark.parametrize(
    "path", ["/fail/%00", "/%00", "/invite/%00", "/login?next=%00", "/static/%00", "/explore/a%00b"]
)
def test_nul_in_an_address_is_the_senders_mistake(failing, path):
    assert 400 <= failing.get(path).status_code < 500


@pytest.mark.parametrize("body", [b"\xff\xfe=\xff", b"count=1&text=%ed%a0%80", b"count=1&text=%ff", b"&" * 5_000])
def test_bytes_that_are_not_text_are_no_fault_of_the_server(failing, body):
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert failing.post("/form", content=body, headers=headers).status_code in {200, 400, 422}


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "multipart/form-data"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": "application/json"},
        {"Content-Type": "application/x-www-form-urlencoded; charset=made-up"},
    ],
)
def test_a_broken_body_is_answered_in_words(failing, headers):
    response = failing.post("/form", content=b"{\xff", headers=headers)
    assert response.status_code in {400, 422}
    assert BeautifulSoup(response.text, "html.parser").select_one(".lead").text


def test_a_body_beyond_two_mebibytes_is_refused(failing):
    def pieces():
        for _ in range(3):
            yield b"x" * 1024 * 1024

    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    small = failing.post("/form", content=b"count=1&text=" + b"x" * 1024 * 1024, headers=headers)
    assert small.status_code in {200, 400}
    for body in (b"text=" + b"x" * 2 * 1024 * 1024, pieces()):
        response = failing.post("/form", content=body, headers=headers)
        assert response.status_code == 413
        assert "2 MiB" in response.text


def test_nothing_here_is_said_calmly(failing, htmx):
    response = failing.get("/nothing", headers=htmx)
    assert response.status_code == 404
    assert "There is nothing at this address" in response.text
    assert failing.request("DELETE", "/login", headers=htmx).status_code == 405


def test_people_keep_their_way_back_on_any_error_page(researcher, annotator):
    for path in ("/nothing", "/explore/nothing", "/static/nothing"):
        links = {a["href"] for a in BeautifulSoup(researcher.get(path).text, "html.parser").select("nav a")}
        assert links == {"/explore", "/traces", "/tuning-sets", "/studies", "/judge", "/checkpoints"}, path
    page = BeautifulSoup(annotator.get("/nothing").text, "html.parser")
    assert [a["href"] for a in page.select("nav a")] == ["/judge"]


def test_a_database_that_is_gone_still_leaves_words(app, researcher, tmp_path):
    (tmp_path / "folder.db").mkdir()
    app.state.database.dispose()
    app.state.database = connect(f"sqlite:///{tmp_path / 'folder.db'}")
    response = researcher.get("/checkpoints")
    assert response.status_code == 507
    assert "disk failed, so nothing of this was stored." in response.text
    response = researcher.get("/nothing")
    assert response.status_code == 404
    assert "There is nothing at this address" in response.text


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("/checkpoints", "/login?next=/checkpoints"),
        ("/explore/abc?pin=3&x=%2F", "/login?next=/explore/abc%3Fpin%3D3%26x%3D%252F"),
    ],
)
def test_signing_in_leads_back(failing, path, location):
    response = failing.get(path)
    assert response.headers.get("location") == location
    assert response.status_code == 303


@pytest.mark.parametrize(
    ("page", "location"),
    [
        ("http://testserver/explore?x=1", "/login?next=/explore%3Fx%3D1"),
        ("http://testserver//evil.example", "/login"),
        ("http://[", "/login"),
        ("nonsense", "/login"),
        ("", "/login"),
    ],
)
def test_inside_a_page_signing_in_leads_back_to_the_page(failing, page, location):
    headers = {"HX-Request": "true", "HX-Current-URL": page}
    response = failing.post("/compare", headers=headers)
    assert (response.status_code, response.headers["HX-Redirect"]) == (401, location)


def test_a_program_that_is_not_signed_in_is_told_so(failing):
    response = failing.get("/checkpoints", headers={"Accept": "application/json"})
    assert response.status_code == 401
    assert json.loads(response.text)["error"]["message"] == "Please sign in first."
    page = failing.post("/studies")
    assert page.status_code == 401
    assert BeautifulSoup(page.text, "html.parser").select_one("main a[href='/login']").text == "Sign in"


@pytest.mark.parametrize("form", ["console", "json"])
def test_a_log_line_tells_where_it_broke_and_no_values(form, capsys):
    configure_logs(form)
    secret = "hunter2"
    try:
        int(f"about {len(secret)}")
    except ValueError:
        structlog.get_logger("t").exception("broke", route="/form")
    logged = capsys.readouterr().err
    assert all(part in logged for part in ("broke", "/form", "about 7", "test_errors.py"))
    assert "hunter2" not in logged.replace('secret = "hunter2"', "")
    if form == "json":
        assert json.loads(logged)["event"] == "broke"
