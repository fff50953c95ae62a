"""The page of exports: built in the background, seen while it grows, downloaded in pieces, one file per state."""

import hashlib
import io
import threading
import time
import zipfile
from datetime import timedelta

import pytest
from bs4 import BeautifulSoup
from sqlmodel import select

from app.db import reading, writing
from app.results import build_jobs
from app.results.apart import EndedError
from app.results.bundle import STAGING
from app.results.state import fingerprint
from models import (
    Exclusion,
    Export,
    ExportState,
    ItemResponse,
    LeakDecision,
    LeakFlag,
    Membership,
    MemberState,
    Presentation,
    PresentationState,
    Study,
    User,
)
from models.base import now
from tests.factories import make_member, make_user
from tests.web.bundle_help import L, bundle, fill
from tests.web.judging_help import an_answer, post, take
from tests.web.monitor_help import items_of, judge, person


@pytest.fixture
def page(study):
    return f"/studies/{study.id}/export"


@pytest.fixture
def filled(database, study):
    fill(database, study)


def build(client, page, **form):
    """Ask for an export as the page does and wait until its list is no longer waiting."""
    assert client.post(page, data=form).status_code == 303
    for _ in range(600):
        text = client.get(page, headers={"HX-Request": "true"}).text
        if "every 1s" not in text:
            return BeautifulSoup(text, "html.parser")
        time.sleep(0.05)
    raise AssertionError(text)


def links(soup):
    return [link["href"] for link in soup.select("a[download]") if "/exports/" in link["href"]]


def test_an_export_is_built_beside_the_work_and_is_the_one_of_the_command_line(
    researcher, database, study, filled, page, tmp_path
):
    (link,) = links(build(researcher, page))
    answer = researcher.get(link)
    bundle(database, study, tmp_path / "a.zip")
    assert answer.content == (tmp_path / "a.zip").read_bytes()
    assert answer.headers["content-type"] == "application/zip"
    assert "content-encoding" not in answer.headers
    shown = BeautifulSoup(researcher.get(page).text, "html.parser")
    assert hashlib.sha256(answer.content).hexdigest() in shown.get_text()
    name = answer.headers["content-disposition"]
    assert name.startswith('attachment; filename="kettles-20')
    assert name.endswith('.zip"')


def test_a_download_that_broke_off_goes_on_where_it_was(researcher, filled, page):
    (link,) = links(build(researcher, page))
    whole = researcher.get(link)
    first = researcher.get(link, headers={"Range": "bytes=0-999"})
    assert (first.status_code, len(first.content)) == (206, 1000)
    assert first.headers["content-range"] == f"bytes 0-999/{len(whole.content)}"
    rest = researcher.get(link, headers={"Range": "bytes=1000-", "If-Range": first.headers["etag"]})
    assert first.content + rest.content == whole.content
    # Another file under the same address is sent whole: never a piece of one after a piece of the other.
    other = researcher.get(link, headers={"Range": "bytes=1000-", "If-Range": '"another"'})
    assert (other.status_code, other.content) == (200, whole.content)
    beyond = researcher.get(link, headers={"Range": f"bytes={len(whole.content)}-"})
    assert beyond.status_code == 416


def test_one_state_is_built_once_and_another_state_anew(
    researcher, annotator, study, database, filled, page, monkeypatch
):
    built = []
    write = build_jobs.write_bundle
    monkeypatch.setattr(build_jobs, "write_bundle", lambda *a, **k: (built.append(1), write(*a, **k)))
    for _ in range(2):
        soup = build(researcher, page)
    assert (len(built), len(links(soup))) == (1, 1)
    post(annotator, take(annotator, study), "submit", an_answer())
    assert len(links(build(researcher, page))) == 2
    assert len(built) == 2
    build(researcher, page, external_ids="yes")
    assert len(built) == 3


def test_only_the_newest_files_are_kept(researcher, study, database, filled, page, app):
    seen = []
    for number in range(5):
        with writing(database) as session:
            one = session.get(Study, study.id)
            judge(session, one, person(session, one, 20 + number), items_of(session, one)[0], L)
        seen.append(links(build(researcher, page))[0])
    files = list((app.state.exports.folder / study.id).iterdir())
    assert len(files) == 3
    assert [researcher.get(link).status_code for link in seen] == [404, 404, 200, 200, 200]


def test_progress_is_shown_and_a_partial_file_is_never_there(
    researcher, stranger, study, filled, page, app, monkeypatch
):
    reached, go_on = threading.Event(), threading.Event()
    write = build_jobs.write_bundle

    def slow(session, one, path, *, external_ids, on_progress):
        def report(done, total, what):
            on_progress(done, total, what)
            if what == "revisions" and not reached.is_set():
                reached.set()
                assert go_on.wait(30)

        write(session, one, path, external_ids=external_ids, on_progress=report)

    monkeypatch.setattr(build_jobs, "write_bundle", slow)
    monkeypatch.setattr(build_jobs, "_EVERY_S", 0)
    researcher.post(page)
    assert reached.wait(30)
    soup = BeautifulSoup(researcher.get(page).text, "html.parser")
    bar = soup.select_one("progress")
    assert 0 < int(bar["value"]) < 100
    assert bar["aria-label"] == "Building the export"
    assert not links(soup)
    folder = app.state.exports.folder / study.id
    assert not list(folder.glob("*.zip"))
    with reading(app.state.database) as session:
        (row,) = session.exec(select(Export)).all()
    assert researcher.get(f"/studies/{study.id}/exports/{row.id}").status_code == 404
    # Asked for again, the same build goes on.
    researcher.post(page)
    go_on.set()
    soup = build(researcher, page)
    assert len(links(soup)) == 1
    assert not list(folder.glob(f"{STAGING}*"))
    assert stranger.get(links(soup)[0]).status_code == 404


def test_a_build_that_fails_says_so_and_can_be_tried_again(researcher, study, filled, page, app, monkeypatch):
    def fail(*_args, **_over):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(build_jobs, "write_bundle", fail)
        soup = build(researcher, page)
    assert "The server's disk is full" in soup.select_one("[role=alert]").get_text()
    soup = build(researcher, page)
    assert len(links(soup)) == 1
    assert soup.select_one("[role=alert]") is None


def test_a_large_study_is_built_by_another_process_byte_for_byte_the_same(
    researcher, database, study, filled, page, tmp_path, monkeypatch
):
    monkeypatch.setattr("app.results.standing.AT_ONCE", 0)
    monkeypatch.setattr(build_jobs, "write_bundle", None)
    (link,) = links(build(researcher, page))
    bundle(database, study, tmp_path / "a.zip")
    assert researcher.get(link).content == (tmp_path / "a.zip").read_bytes()


def test_a_process_that_ends_before_its_export_is_there_is_said(researcher, study, filled, page, monkeypatch):
    def die(*_args, **_over):
        raise EndedError("The process that did this ended with -9; the server's log may say why.")

    monkeypatch.setattr("app.results.standing.AT_ONCE", 0)
    monkeypatch.setattr(build_jobs, "do_apart", die)
    assert "ended with -9" in build(researcher, page).select_one("[role=alert]").get_text()


def test_a_build_nobody_works_on_any_more_is_called_so(researcher, database, study, filled, page):
    with writing(database) as session:
        session.add(Export(study_id=study.id, touched_at=now() - timedelta(minutes=5)))
    soup = BeautifulSoup(researcher.get(page).text, "html.parser")
    assert "The server was stopped while it was built." in soup.select_one("[role=alert]").get_text()
    assert len(links(build(researcher, page))) == 1
    with reading(database) as session:
        assert [one.state for one in session.exec(select(Export))] == [ExportState.DONE]


def test_every_table_is_offered_in_every_format(researcher, study, filled, page):
    soup = BeautifulSoup(researcher.get(page).text, "html.parser")
    single = [link["href"] for link in soup.select("a[download]") if "/export/" in link["href"]]
    assert len(single) == 39
    for link in single:
        assert researcher.get(link).status_code == 200
    parquet = researcher.get(f"/studies/{study.id}/export/preferences.parquet")
    assert parquet.content[:4] == parquet.content[-4:] == b"PAR1"


CHANGES = {
    "a response is withheld": lambda s, _: setattr(s.exec(select(ItemResponse)).first(), "withheld", True),
    "a flag is decided": lambda s, _: setattr(s.exec(select(LeakFlag)).first(), "decision", LeakDecision.REDACT),
    "somebody withdraws": lambda s, _: setattr(s.exec(select(Membership)).first(), "state", MemberState.WITHDRAWN),
    "a rule is revoked": lambda s, _: setattr(s.exec(select(Exclusion)).first(), "revoked_at", now()),
    "the study is renamed": lambda s, one: setattr(one, "name", "Other"),
    "a lease ends": lambda s, _: setattr(
        s.exec(select(Presentation).where(Presentation.state == PresentationState.LEASED)).one(),
        "state", PresentationState.EXPIRED,
    ),
    "somebody joins": lambda s, one: make_member(
        s, study=one, user=make_user(s, email="n@example.org"), pid="a000000000ff"
    ),
    "somebody judges": lambda s, one: judge(
        s, one, s.exec(select(User).where(User.email == "person4@example.org")).one(), items_of(s, one)[1], L
    ),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_changes_an_export_is_another_state(database, study, filled, change):
    def state():
        with reading(database) as session:
            return fingerprint(session, session.get_one(Study, study.id), external_ids=False)

    before = state()
    assert state() == before
    with writing(database) as session:
        CHANGES[change](session, session.get_one(Study, study.id))
    assert state() != before


def test_the_zip_from_the_page_opens(researcher, filled, page):
    (link,) = links(build(researcher, page))
    assert zipfile.ZipFile(io.BytesIO(researcher.get(link).content)).testzip() is None
