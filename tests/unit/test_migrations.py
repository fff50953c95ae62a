"""Migrations keep what is stored: rows written under the first schema are all there under the newest, and back."""

import json
import os
import signal
import subprocess
import sys

import pytest
from alembic import command
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from app import migrate
from app.db import connect
from app.settings import ROOT
from tests.disks import no_room

NOW = "2026-11-21 10:00:00.000000"
RUN = {"base_prompt": "plain", "reference_prompt_ids": [7, 8], "engine": "local", "engine_version": "5.19.0"}
RESPONSE = (
    "INSERT INTO response (id, checkpoint, prompt, prompt_ids, text, text_sha256, token_ids, finish, run, created_at) "
    "VALUES (:id, 'sft', 'Why?', '[1, 2]', 'So.', 'ab', '[3]', 'stop', :run, :now)"
)
TRACE = (
    "INSERT INTO trace (response_id, reference, kl_kind, dtype, border_width, n, unshifted, marginal, shifted, "
    "mean_kl_tuned_base, tokens, created_at) "
    "VALUES (:id, :reference, 'exact', 'float32', 0.001, 1, 0, 0, 1, 0.25, :tokens, :now)"
)


@pytest.fixture
def old(tmp_path) -> Engine:
    """A database of the first schema: two responses, one seen against two references, one judged by nobody."""
    database = connect(f"sqlite:///{tmp_path / 'old.db'}")
    with database.begin() as connection:
        command.upgrade(migrate.config(connection), "0001")
        connection.execute(text(RESPONSE), {"id": "r1", "run": json.dumps(RUN), "now": NOW})
        connection.execute(text(RESPONSE), {"id": "r2", "run": "{}", "now": NOW})
        for response, reference in (("r1", "base"), ("r1", "other"), ("r2", "base")):
            values = {"id": response, "reference": reference, "tokens": b"\x01\xff\x00", "now": NOW}
            connection.execute(text(TRACE), values)
        user = (
            "INSERT INTO user (id, email, name, role, session_version, created_at) "
            "VALUES ('u', 'a@b', 'A', 'owner', 1, :now)"
        )
        connection.execute(text(user), {"now": NOW})
        asked = (
            "INSERT INTO comparison (id, prompt, base_prompt, decoding, state, created_by, created_at) "
            "VALUES ('c', 'Why?', 'plain', '{}', 'done', 'u', :now)"
        )
        connection.execute(text(asked), {"now": NOW})
        names = "comparison_id, position, checkpoint, reference, state, message, response_id"
        values = "'c', 0, 'sft', 'base', 'done', '', 'r1'"
        connection.execute(text(f"INSERT INTO comparisoncolumn ({names}) VALUES ({values})"))
    return database


def rows(database: Engine, query: str) -> list[tuple]:
    with database.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def test_every_trace_becomes_the_view_of_who_wrote_the_response(old):
    migrate.upgrade(old)
    assert migrate.check(old) == []
    facts = "response_id, checkpoint, reference, base_prompt, engine, tokens, mean_kl_tuned_base"
    assert rows(old, f"SELECT {facts} FROM trace ORDER BY 1, 3") == [
        ("r1", "sft", "base", "plain", "local", b"\x01\xff\x00", 0.25),
        ("r1", "sft", "other", "plain", "local", b"\x01\xff\x00", 0.25),
        ("r2", "sft", "base", "same_ids", "", b"\x01\xff\x00", 0.25),
    ]
    ids = [json.loads(value) for (value,) in rows(old, "SELECT prompt_ids FROM trace ORDER BY response_id, reference")]
    assert ids[0] == {"own": [1, 2], "reference": [7, 8]}
    # Where the run record does not say what the reference read, it read what the checkpoint did.
    assert ids[2] == {"own": [1, 2], "reference": [1, 2]}
    assert len({value for (value,) in rows(old, "SELECT id FROM trace")}) == 3
    assert rows(old, "SELECT DISTINCT origin, parent_id FROM response") == [("generated", None)]
    assert rows(old, "SELECT response_id FROM comparisoncolumn") == [("r1",)]
    assert rows(old, "PRAGMA foreign_keys") == [(1,)]


def test_the_way_back_keeps_the_writers_own_view(old):
    migrate.upgrade(old)
    with old.begin() as connection:
        # Somebody else read the first response too; the first schema has no place for that.
        connection.execute(
            text(
                "INSERT INTO trace SELECT 'x', response_id, 'lft', reference, base_prompt, prompt_ids, engine, "
                "engine_version, kl_kind, dtype, border_width, n, unshifted, marginal, 7, mean_kl_tuned_base, "
                "mean_kl_base_tuned, tokens, created_at FROM trace WHERE response_id = 'r1' AND reference = 'base'"
            )
        )
    with old.connect() as connection:
        connection.connection.cursor().execute("PRAGMA foreign_keys=OFF")
        with connection.begin():
            command.downgrade(migrate.config(connection), "0001")
    assert rows(old, "SELECT response_id, reference, shifted FROM trace ORDER BY 1, 2") == [
        ("r1", "base", 1),
        ("r1", "other", 1),
        ("r2", "base", 1),
    ]
    migrate.upgrade(old)
    assert migrate.check(old) == []


def test_a_migration_that_would_orphan_rows_changes_nothing(old):
    with old.connect() as connection:
        connection.connection.cursor().execute("PRAGMA foreign_keys=OFF")
        with connection.begin():
            connection.execute(text("DELETE FROM user"))
    with pytest.raises(Exception, match="orphan 1 rows"):
        migrate.upgrade(old)
    assert rows(old, "SELECT version_num FROM alembic_version") == [("0001",)]
    assert rows(old, "PRAGMA foreign_keys") == [(1,)]


def test_a_study_from_before_keeps_its_ways_and_gets_its_first_guidelines(old):
    with old.connect() as connection:
        connection.connection.cursor().execute("PRAGMA foreign_keys=OFF")
        with connection.begin():
            command.upgrade(migrate.config(connection), "0002")
        connection.connection.cursor().execute("PRAGMA foreign_keys=ON")
    with old.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO study (id, slug, name, seed, version, state, overlap, guidelines, guideline_version, "
                "created_by, created_at) VALUES ('s', 's', 'S', 'x', 1, 'open', 2, 'Be fair.', 3, 'u', :now)"
            ),
            {"now": NOW},
        )
    migrate.upgrade(old)
    assert migrate.check(old) == []
    assert rows(old, "SELECT study_id, version, text, created_by FROM guideline") == [("s", 3, "Be fair.", "u")]
    # One person could judge several pairs of a prompt, and still can.
    assert rows(old, "SELECT questions, comprehension, repeat_items, withdrawal FROM study") == [
        ("{}", "[]", 1, "keep")
    ]


def everything(database: Engine) -> dict[str, list[tuple]]:
    """Return every row of every table."""
    tables = [name for (name,) in rows(database, "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
    return {table: sorted(rows(database, f"SELECT * FROM {table}"), key=repr) for table in tables}


KILLED = """
import os, signal, sys
from sqlalchemy import event
from app import migrate
from app.db import connect
database, left = connect(sys.argv[1]), int(sys.argv[2])
def count(*_):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
event.listen(database, "before_cursor_execute", count)
migrate.upgrade(database)
"""


@pytest.mark.parametrize("statements", [10, 40, 90])
def test_case_37_a_migration_killed_half_way_has_changed_nothing_and_is_done_at_the_next_start(old, statements):
    before = everything(old)
    old.dispose()
    command_line = [sys.executable, "-c", KILLED, str(old.url), str(statements)]
    done = subprocess.run(command_line, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=False, timeout=120)
    assert done.returncode == -signal.SIGKILL
    assert everything(old) == before
    assert rows(old, "SELECT version_num FROM alembic_version") == [("0001",)]
    migrate.upgrade(old)
    assert migrate.check(old) == []


def test_case_37_a_migration_that_meets_a_full_disk_has_changed_nothing(old):
    before = everything(old)
    with no_room(old), pytest.raises(OperationalError, match="full"):
        migrate.upgrade(old)
    assert everything(old) == before
    migrate.upgrade(old)
    assert migrate.check(old) == []
    assert rows(old, "SELECT count(*) FROM response") == [(2,)]
