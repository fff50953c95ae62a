"""Work in a process of its own: what it says comes back, it ends when asked to, and a death is no success."""

import os
import threading

import pytest

from app.db import connect, reading
from app.results.apart import EndedError, do_apart


def look(database, given, say, _stopping):
    with reading(database) as session:
        answer = session.connection().exec_driver_sql("SELECT 6 * 7").scalar()
    print("something for the log")
    say({"answer": answer, "given": given, "process": os.getpid()})
    say({"last": True})


def wait(_database, _given, say, stopping):
    say({"waiting": True})
    say({"asked": stopping.wait(60)})


def die(_database, _given, _say, _stopping):
    os._exit(3)


@pytest.fixture
def database(tmp_path):
    return connect(f"sqlite:///{tmp_path / 'a.db'}")


def test_what_the_work_says_comes_back_from_another_process(database):
    said = []
    do_apart(look, database, {"study": "äö"}, stopping=threading.Event(), on_said=said.append)
    assert (said[0]["answer"], said[0]["given"], said[1]) == (42, {"study": "äö"}, {"last": True})
    assert said[0]["process"] != os.getpid()


def test_work_ends_when_the_server_does(database):
    stopping, said = threading.Event(), []

    def note(what):
        said.append(what)
        stopping.set()

    do_apart(wait, database, {}, stopping=stopping, on_said=note)
    assert said == [{"waiting": True}, {"asked": True}]


def test_a_process_that_died_is_an_error_and_not_the_end_of_the_work(database):
    with pytest.raises(EndedError, match="ended with 3"):
        do_apart(die, database, {}, stopping=threading.Event(), on_said=print)
