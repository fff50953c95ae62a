"""Writers of one process take turns: nobody starves beside a busy file, and nothing slow happens under the lock."""

import threading
import time

import pytest
from sqlalchemy.exc import OperationalError
from sqlmodel import func, select

from app import db
from app.accounts.queries import add_user
from app.db import connect, reading, writing
from models import Role, User
from tests.factories import make_user

WRITERS = 40


def write_together(database, *, hold_s):
    barrier = threading.Barrier(WRITERS)
    failures = []

    def run(number):
        barrier.wait()
        try:
            with writing(database) as session:
                make_user(session, email=f"w{number}@example.org")
                time.sleep(hold_s)
        except OperationalError as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures


@pytest.fixture
def impatient(monkeypatch, fresh):
    """A file of SQLite behind a pool whose connections wait for one another for a fifth of a second only."""
    monkeypatch.setattr(db, "BUSY_TIMEOUT_MS", 200)
    return fresh("sqlite")


def test_forty_writers_at_once_wait_for_their_turn_and_none_is_told_that_the_file_is_locked(impatient):
    # All together hold the file for two seconds, ten times as long as SQLite would wait for it.
    assert write_together(impatient, hold_s=0.05) == []
    with reading(impatient) as session:
        assert session.exec(select(func.count()).select_from(User)).one() == WRITERS


def test_without_turns_some_would_be_told_so(impatient):
    impatient.update_execution_options(sqlite_queue=None)
    assert write_together(impatient, hold_s=0.05)


def test_a_writer_that_fails_gives_its_turn_back(database):
    def fail():
        with writing(database) as session:
            make_user(session)
            raise ValueError("no")

    for _ in range(3):
        with pytest.raises(ValueError, match="no"):
            fail()
    with writing(database) as session:
        make_user(session)


def test_another_process_may_hold_the_file_too(settings, database):
    other = connect(settings.resolved_database_url)
    started = threading.Event()

    def elsewhere():
        with writing(other) as session:
            make_user(session, email="other@example.org")
            started.set()
            time.sleep(0.3)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    assert started.wait(10)
    with writing(database) as session:
        make_user(session)
    thread.join()
    other.dispose()


def test_a_password_is_hashed_before_anything_is_locked(database, monkeypatch):
    def hashing(_password):
        assert not session.in_transaction()
        return "a hash"

    monkeypatch.setattr("app.accounts.queries.hash_password", hashing)
    with writing(database) as session:
        user = add_user(session, email="ada@example.org", name="Ada", role=Role.ANNOTATOR, password="long enough it is")
    assert user.password_hash == "a hash"
