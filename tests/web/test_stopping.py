"""A server that is stopped, of one process and of several: what people are in the middle of ends well."""

import signal
import threading

import pytest
from sqlmodel import select

from app.accounts.queries import add_user
from app.db import reading, writing
from models import Comparison, Role, RunState
from tests.factories import PASSWORD
from tests.kill9 import examine, make_writers
from tests.several import PATIENCE_S, asking, events, eventually, several, start


@pytest.fixture
def owner(database):
    with writing(database) as session:
        return add_user(session, email="olga@example.org", name="Olga", role=Role.OWNER, password=PASSWORD)


@pytest.mark.parametrize(("workers", "sig"), [(1, signal.SIGINT), (2, signal.SIGTERM)], ids=["one", "several"])
def test_a_server_that_is_stopped_finishes_saves_and_ends_streams(database, settings, owner, workers, sig):
    with several(settings.data_dir, workers=workers, slow=True) as server, asking(server, settings, owner) as client:
        writers = make_writers(database, settings, int(server.url.rpartition(":")[2]), people=3)
        over = threading.Event()
        threads = [threading.Thread(target=writer.run, args=(over,)) for writer in writers]
        for thread in threads:
            thread.start()
        comparison = start(client)
        with client.stream("GET", f"/compare/{comparison}/stream") as answer:
            following = events(answer.iter_lines())
            next(following)
            eventually(lambda: all(len(writer.acknowledged) > 2 for writer in writers), server.log.read_text())
            server.process.send_signal(sig)
            rest = list(following)
        assert server.process.wait(PATIENCE_S) == 0, server.log.read_text()
        for thread in threads:
            thread.join(PATIENCE_S)
        assert rest[-1][1] == "done"
        assert "The server stopped before this answer ended." in "".join(data for _, _, data in rest)
    outcome = examine(database, writers, cycles=1, seconds=0.0)
    assert (outcome.lost, outcome.duplicated, outcome.gaps, outcome.refused) == (0, 0, 0, [])
    with reading(database) as session:
        assert session.exec(select(Comparison.state)).all() == [RunState.INTERRUPTED]
    assert "Traceback" not in server.log.read_text()


def test_processes_without_their_parent_end_too(database, settings):
    with several(settings.data_dir, workers=2) as server:
        left = server.pids()
        assert set(left) == {"models", "pages-1", "pages-2"}
        server.process.kill()
        server.process.wait(PATIENCE_S)
        eventually(lambda: server.pids() == {}, f"{left} stayed behind")


def test_a_server_whose_app_cannot_start_ends_and_says_why(database, settings):
    with database.begin() as connection:
        connection.exec_driver_sql("DROP TABLE comparisoncolumn")
    with pytest.raises(AssertionError), several(settings.data_dir, workers=2):
        pytest.fail("it started")
    (log,) = settings.data_dir.glob("several-*.log")
    assert "a process of the server cannot start, so the server ends" in log.read_text()
    assert "comparisoncolumn" in log.read_text()
