"""Writers of one process take turns: nobody starves beside a busy file, and nothing slow happens under the lock."""

import os
import subprocess
import sys
import threading
import time

import pytest
from sqlalchemy.exc import OperationalError
from sqlmodel import func, select

from app import db
from app.accounts.queries import add_user
from app.db import connect, reading, writing
from app.settings import ROOT
from app.write_queue import WriteQueue
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


def write_in_processes(settings, *, hold_s):
    """Let three processes write with four threads each, as fast as they can; what they were told when it failed."""
    program = f"""
import sys, threading, time
from sqlalchemy.exc import OperationalError
from app import db
from app.db import connect, writing
from tests.factories import make_user
db.BUSY_TIMEOUT_MS = 200
engine = connect(sys.argv[1])
sys.stdin.readline()
def run(number):
    for turn in range(5):
        try:
            with writing(engine) as session:
                make_user(session, email=f"{{sys.argv[2]}}-{{number}}-{{turn}}@example.org")
                time.sleep({hold_s})
        except OperationalError as error:
            print(error.orig)
threads = [threading.Thread(target=run, args=(n,)) for n in range(4)]
[t.start() for t in threads]
[t.join() for t in threads]
"""

    def start(number):
        command = [sys.executable, "-c", program, settings.resolved_database_url, str(number)]
        return subprocess.Popen(
            command,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    processes = [start(number) for number in range(3)]
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    return "".join(process.communicate(timeout=120)[0] for process in processes)


def test_writers_of_several_processes_wait_for_their_turn_too(settings, database):
    assert write_in_processes(settings, hold_s=0.03) == ""
    with reading(database) as session:
        assert session.exec(select(func.count()).select_from(User)).one() == 60


def test_a_process_that_dies_in_its_turn_holds_nobody(settings, database):
    program = "import sys, time; from app.db import connect, writing; from tests.factories import make_user\n"
    program += (
        "with writing(connect(sys.argv[1])) as session: make_user(session); print('in', flush=True); time.sleep(60)"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", program, settings.resolved_database_url]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "in\n"
        process.kill()
    with writing(database) as session:
        make_user(session, email="after@example.org")


def test_a_queue_whose_files_cannot_be_made_serves_its_own_process(tmp_path):
    queue = WriteQueue(str(tmp_path / "missing" / "tuneshift.db"))
    assert queue.acquire(timeout=1)
    assert not queue.acquire(timeout=0.01)
    queue.release()
    assert queue.acquire(timeout=1)
    queue.release()


def test_whoever_cannot_have_its_turn_in_time_is_told_and_leaves_nothing_held(tmp_path):
    one, other = (WriteQueue(str(tmp_path / "tuneshift.db")) for _ in range(2))
    assert one.acquire(timeout=1)
    assert not other.acquire(timeout=0.05)
    one.release()
    assert other.acquire(timeout=1)
    other.release()
    for queue in (one, other):
        queue.close()


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
