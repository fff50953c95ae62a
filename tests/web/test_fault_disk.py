"""35, 36: a disk that is full, read-only or failing; a database held by another: words, nothing lost, no restart."""

import errno
import shutil
import sqlite3
import time
from contextlib import closing

import pytest
from bs4 import BeautifulSoup
from sqlmodel import col, select

from app import db, migrate, storage
from app.db import connect, reading, writing
from app.web import readiness
from models import Revision
from tests.disks import (
    damage_index,
    fail,
    failing_disk,
    fill,
    held_by_another,
    make_room,
    no_changes,
    no_room,
    small_disk,
    sqlite_settings,
)
from tests.factories import fill_study
from tests.web.judging_help import a_form, an_answer, page_data, post, take

pytestmark = pytest.mark.sqlite
# SQLite fills the pages it has first, so what must not fit is larger than a page.
LONG = "word" * 1_800
FULL, READ_ONLY = storage.FULL.message, storage.READ_ONLY.message
HTMX = {"HX-Request": "true"}


@pytest.fixture
def settings(tmp_path):
    return sqlite_settings(tmp_path / "data")


@pytest.fixture
def filled(database, study):
    with writing(database) as session:
        fill_study(session, study, prompts=("One?", "Two?", "Three?"))


@pytest.fixture
def saved(annotator, study, filled):
    """Bob's item with a draft that was acknowledged."""
    token = take(annotator, study)
    assert post(annotator, token, "draft", an_answer(comment="kept")).json()["revision"] == 1
    return token


def revisions(database):
    with reading(database) as session:
        rows = session.exec(select(Revision).order_by(col(Revision.number))).all()
        return [(row.number, row.comment) for row in rows]


def refused(answer, words, *, status=507):
    """A refusal as programs get it: the status, the sentence, and what helps."""
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert (error["status"], error["message"]) == (status, words)
    assert error["remedy"]
    return True


def said(page):
    """The words of a page, as a person reads them."""
    return BeautifulSoup(page.text, "html.parser").get_text(" ", strip=True)


def parts(client):
    answer = client.get("/readyz")
    return answer.status_code, answer.json()["parts"]


@pytest.mark.parametrize(("trouble", "words"), [(no_room, FULL), (no_changes, READ_ONLY)], ids=["full", "read-only"])
def test_case_36_a_save_the_disk_refuses_is_said_to_be_refused_and_comes_through_later(
    app, annotator, saved, database, study, trouble, words
):
    served = app.state.database
    second = an_answer(comment=LONG, base_revision=1)
    form = a_form(comment=LONG, base_revision="1")
    with trouble(served):
        assert refused(post(annotator, saved, "draft", second), words)
        assert refused(post(annotator, saved, "submit", second), words)
        page = annotator.post(f"/judge/{saved}/submit", data=form)
        assert page.status_code == 507
        soup = BeautifulSoup(page.text, "html.parser")
        assert soup.select_one("h1").text == "The server cannot store anything now"
        assert words in soup.text
        toast = annotator.post(f"/judge/{saved}/submit", data=form, headers=HTMX)
        assert words in BeautifulSoup(toast.text, "html.parser").select_one("[role=alert]").text
        # What was acknowledged is still there to read.
        assert page_data(annotator, saved)["answer"]["comment"] == "kept"
        assert annotator.get("/judge?stay").status_code == 200
    assert revisions(database) == [(1, "kept")]
    # The very same attempt, as the page's outbox sends it again.
    assert post(annotator, saved, "draft", second).json()["revision"] == 2
    assert post(annotator, saved, "draft", second).json()["revision"] == 2
    assert revisions(database) == [(1, "kept"), (2, LONG)]
    assert migrate.check(database) == []


def test_case_35_a_database_another_program_holds_is_a_retry_and_no_error(
    app, annotator, saved, settings, monkeypatch, database
):
    monkeypatch.setattr(db, "BUSY_TIMEOUT_MS", 200)
    app.state.database = impatient = connect(settings.resolved_database_url)
    second = an_answer(comment="second", base_revision=1)
    with held_by_another(settings.resolved_database_url):
        assert refused(post(annotator, saved, "draft", second), storage.BUSY.message, status=503)
        assert page_data(annotator, saved)["answer"]["comment"] == "kept"
    assert post(annotator, saved, "draft", second).json()["revision"] == 2
    assert revisions(database) == [(1, "kept"), (2, "second")]
    impatient.dispose()


def test_an_answer_of_a_model_that_cannot_be_stored_says_so_and_the_page_goes_on(app, researcher):
    with no_room(app.state.database):
        answer = researcher.post("/compare", data={"prompt": LONG, "checkpoints": ["base"], "max_tokens": "64"})
        assert answer.status_code == 507
        assert FULL in said(answer)
        assert researcher.get("/explore").status_code == 200
    asked = {"prompt": "Why a lid?", "checkpoints": ["base"], "max_tokens": "64"}
    assert researcher.post("/compare", data=asked).status_code == 303


def test_what_only_a_mistake_of_ours_can_cause_stays_unforeseen():
    assert storage.explained(FileNotFoundError(errno.ENOENT, "gone")) is None
    assert storage.explained(TimeoutError()) is None
    assert storage.explained(ZeroDivisionError()) is None
    assert storage.in_words(ZeroDivisionError(), "Hm.") == "Hm."


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, FULL), (errno.EDQUOT, FULL), (errno.EROFS, READ_ONLY), (errno.EIO, storage.FAILING.message)],
)
def test_what_files_meet_is_told_like_what_the_database_meets(number, words):
    assert storage.explained(OSError(number, "…")).message == words


@pytest.mark.parametrize(
    ("state", "known"),
    [("53100", storage.FULL), ("25006", storage.READ_ONLY), ("58030", storage.FAILING), ("XX001", storage.DAMAGED),
     ("57P01", storage.SILENT), ("08006", storage.SILENT), ("40P01", storage.BUSY), ("53300", storage.SILENT),
     ("23505", None)],
)  # fmt: skip
def test_postgresqls_own_codes_mean_the_same(state, known):
    class RefusalError(Exception):
        sqlstate = state

    error = storage.DBAPIError("INSERT", {}, RefusalError("no"))
    assert storage.explained(error) is known


class TestMounted:
    """The same on file systems of their own that fill up and fail for real."""

    @pytest.fixture
    def disk(self, tmp_path):
        with small_disk(tmp_path / "disk", mebibytes=12) as place:
            yield place

    @pytest.fixture
    def settings(self, disk, monkeypatch):
        # A disk this small never has the room that an export asks for.
        monkeypatch.setattr(readiness, "MIN_FREE_BYTES", 2**20)
        return sqlite_settings(disk / "data")

    def test_case_36_a_full_disk_loses_nothing_and_needs_no_restart(
        self, app, annotator, researcher, saved, database, study, disk
    ):
        assert parts(annotator)[0] == 200
        fill(disk)
        status, told = parts(annotator)
        assert (status, told["disk"]) == (503, {"ok": False, "detail": "full"})
        assert told["database"]["ok"]
        second, taken = an_answer(comment=LONG, base_revision=1), 1
        for _ in range(50):
            answer = post(annotator, saved, "draft", an_answer(comment="short", base_revision=taken))
            # What its log still had room for counts as much as anything else that was acknowledged.
            if answer.status_code == 507:
                break
            taken = answer.json()["revision"]
        assert refused(answer, FULL)
        for address in ("/judge?stay", f"/judge/{saved}"):
            assert annotator.get(address).status_code == 200, address
        for address in ("/studies", f"/studies/{study.id}", "/explore", "/checkpoints", "/tuning-sets"):
            assert researcher.get(address).status_code == 200, address
        sent = researcher.post("/tuning-sets", files={"file": ("a.jsonl", b"{}\n" * 400_000)}, data={"name": "A"})
        assert sent.status_code == 507
        assert FULL in said(sent)
        researcher.post(f"/studies/{study.id}/export")
        acknowledged = revisions(database)
        assert len(acknowledged) == taken

        make_room(disk)
        assert parts(annotator)[0] == 200
        assert post(annotator, saved, "draft", second | {"base_revision": taken}).json()["revision"] == taken + 1
        assert revisions(database) == [*acknowledged, (taken + 1, LONG)]
        assert migrate.check(database) == []
        assert not list(disk.rglob("upload-*"))

    def test_an_export_beyond_the_disk_says_so_and_is_built_once_there_is_room(
        self, app, researcher, study, saved, disk
    ):
        page = f"/studies/{study.id}/export"
        folder = app.state.exports.folder
        folder.mkdir(parents=True)
        fill(disk)
        # Its row still finds room in the database; its files do not.
        with (disk / "filling").open("r+b") as file:
            file.truncate((disk / "filling").stat().st_size - 64 * 1024)
        assert researcher.post(page).status_code == 303
        assert ended(researcher, page).select_one("[role=alert]") is not None
        make_room(disk)
        assert researcher.post(page).status_code == 303
        assert ended(researcher, page).select("a[href*='/exports/']")
        assert not [left for left in folder.rglob("*") if left.is_dir() and left.name != study.id]


def ended(client, page):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        soup = BeautifulSoup(client.get(page).text, "html.parser")
        if not soup.select("progress"):
            return soup
        time.sleep(0.05)
    pytest.fail("the export did not end")


class TestFailing:
    """A file system that the kernel makes read-only beneath a server."""

    @pytest.fixture
    def disk(self, tmp_path):
        with failing_disk(tmp_path / "disk", mebibytes=24) as place:
            yield place

    @pytest.fixture
    def settings(self, disk):
        return sqlite_settings(disk / "data")

    def test_case_36_a_disk_that_turns_read_only_goes_on_showing_what_it_has(
        self, annotator, researcher, saved, study, disk, tmp_path
    ):
        fail(disk)
        status, told = parts(annotator)
        assert (status, told["disk"]) == (503, {"ok": False, "detail": "takes no changes"})
        answer = post(annotator, saved, "draft", an_answer(comment="second", base_revision=1))
        assert answer.status_code == 507
        assert answer.json()["error"]["message"] in {READ_ONLY, storage.FAILING.message}
        assert page_data(annotator, saved)["answer"]["comment"] == "kept"
        assert researcher.get(f"/studies/{study.id}").status_code == 200
        # What was acknowledged is in the files as they lie there.
        copy = shutil.copytree(disk / "data", tmp_path / "copy")
        rescued = connect(f"sqlite:///{copy / 'tuneshift.db'}")
        assert migrate.check(rescued) == []
        assert revisions(rescued) == [(1, "kept")]
        rescued.dispose()


class TestDamaged:
    """Bytes overwritten in an index of the database."""

    @pytest.fixture
    def damaged(self, app, database, filled, settings):
        database.dispose()
        damage_index(settings.data_dir / "tuneshift.db", "ix_comparison_created_by")
        return settings

    def test_the_check_finds_it_pages_say_it_and_the_rest_goes_on(
        self, damaged, researcher, annotator, study, database, tmp_path
    ):
        problems = migrate.check(database)
        assert problems
        assert all("integrity" in line or "malformed" in line for line in problems)
        page = researcher.post("/compare", data={"prompt": "Why?", "checkpoints": ["base"], "max_tokens": "64"})
        assert page.status_code == 500
        assert storage.DAMAGED.message in said(page)
        assert "tuneshift db check" in said(page)
        token = take(annotator, study)
        assert post(annotator, token, "submit", an_answer()).status_code == 200
        # An index holds nothing of its own: written out and read in again, every row is there.
        with (
            closing(sqlite3.connect(damaged.data_dir / "tuneshift.db")) as old,
            closing(sqlite3.connect(tmp_path / "mended.db")) as new,
        ):
            new.executescript("\n".join(old.iterdump()))
        mended = connect(f"sqlite:///{tmp_path / 'mended.db'}")
        assert migrate.check(mended) == []
        assert revisions(mended) == revisions(database) == [(1, "")]
        mended.dispose()

    def test_a_file_that_is_no_database_any_more_is_said_to_be_none(self, database, settings):
        database.dispose()
        (settings.data_dir / "tuneshift.db").write_bytes(b"\xff" * 8192)
        assert migrate.check(database) == ["it cannot be read: file is not a database; restore a backup"]
