"""The drill: a backup taken while people judge, put back, holds every judgment acknowledged before it began."""

import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlmodel import select
from typer.testing import CliRunner

from app import migrate
from app.cli import cli
from app.database import tools
from app.database.restore import restore
from app.db import connect, reading, writing
from app.errors import ConfigurationError
from models import Revision, Role
from tests.factories import fill_study, make_member, make_study, make_user
from tests.simulation.desks import Clock, Functions
from tests.web.judging_help import an_answer

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
PEOPLE = 3
KINDS = pytest.mark.parametrize("kind", ["sqlite", "postgres"])


def address(database: Engine) -> str:
    return database.url.render_as_string(hide_password=False)


def open_study(database):
    with writing(database) as session:
        owner = make_user(session, email="owner@example.org", role=Role.OWNER)
        study = make_study(session, owner=owner, overlap=PEOPLE)
        fill_study(session, study, prompts=tuple(f"Item {n}?" for n in range(200)))
        users = [make_user(session, email=f"p{n}@example.org") for n in range(PEOPLE)]
        for number, user in enumerate(users):
            make_member(session, study=study, user=user, pid=f"p{number}")
        return study.id, [user.id for user in users]


class Judges:
    """People who judge one item after the other, each in a thread, until the block ends."""

    def __init__(self, database, study_id, users):
        self.desk, self.study_id, self.users = Functions(address(database), Clock(NOW)), study_id, users
        self.acknowledged, self.over, self.failures = [], threading.Event(), []
        self.threads = [threading.Thread(target=self.judge, args=(user,)) for user in users]

    def judge(self, user):
        try:
            while not self.over.is_set() and (token := self.desk.claim(self.study_id, user)):
                answer = an_answer(base_revision=0)
                assert self.desk.save(user, token, "submit", answer)[0] == 200
                self.acknowledged.append((token, answer["idempotency_key"]))
        except Exception as error:  # noqa: BLE001  a thread's failure must reach the assertion
            self.failures.append(error)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def wait_for(self, number):
        """Wait until so many more judgments are acknowledged than there were."""
        wanted = len(self.acknowledged) + number
        while len(self.acknowledged) < wanted:
            assert any(map(threading.Thread.is_alive, self.threads)), self.failures
            self.over.wait(0.01)

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()
        self.desk.close()
        assert self.failures == []


def judgments(database):
    with reading(database) as session:
        return set(session.exec(select(Revision.presentation_id, Revision.idempotency_key)).all())


@KINDS
def test_a_backup_taken_while_people_judge_is_one_moment_of_it_and_comes_back(fresh, tmp_path, kind):
    database = fresh(kind)
    with Judges(database, *open_study(database)) as judges:
        judges.wait_for(5)
        before = set(judges.acknowledged)
        migrate.backup(address(database), target=tmp_path / "copy")
        judges.wait_for(5)
        restored = fresh(kind, migrated=False)
        assert restore(address(restored), source=tmp_path / "copy", now=NOW) == ""
        judges.wait_for(1)
    assert migrate.check(restored) == []
    kept = judgments(restored)
    assert before <= kept <= judgments(database)
    assert len(kept) < len(judges.acknowledged)
    assert judgments(database) == set(judges.acknowledged)
    # Work goes on where the backup stood: the guards and the cap are those of any other database.
    with pytest.raises(Exception, match="append-only"), writing(restored) as session:
        session.execute(text("UPDATE revision SET comment = 'x'"))
    assert list(tmp_path.glob("*.partial")) == []


@KINDS
def test_what_a_restore_replaces_is_set_aside_and_only_where_asked(fresh, tmp_path, kind):
    database = fresh(kind)
    with Judges(database, *open_study(database)) as judges:
        judges.wait_for(3)
    migrate.backup(address(database), target=tmp_path / "copy")
    then = judgments(database)
    with writing(database) as session:
        make_user(session, email="after@example.org")
    with pytest.raises(ConfigurationError, match="already"):
        restore(address(database), source=tmp_path / "copy", now=NOW)
    # Somebody who has it open would go on with what is set aside.
    with reading(database) as session:
        session.execute(text("SELECT 1 FROM revision"))
        with pytest.raises(ConfigurationError, match=r"open|in use"):
            restore(address(database), source=tmp_path / "copy", now=NOW, overwrite=True)
    database.dispose()
    before = restore(address(database), source=tmp_path / "copy", now=NOW, overwrite=True)
    assert before.endswith("replaced_20260302_090000")
    assert judgments(database) == then
    assert migrate.check(database) == []
    people = "SELECT count(*) FROM {} WHERE email = 'after@example.org'"
    with database.connect() as connection:
        assert connection.execute(text(people.format('"user"'))).scalar_one() == 0
    if kind == "postgres":
        with database.connect() as connection:
            assert connection.execute(text(people.format("replaced_20260302_090000.user"))).scalar_one() == 1
        # What is set aside is no part of the next backup.
        migrate.backup(address(database), target=tmp_path / "next")
        assert b"replaced_" not in (tmp_path / "next").read_bytes()
        return
    aside = connect(f"sqlite:///{before}")
    with aside.connect() as connection:
        assert connection.execute(text(people.format("user"))).scalar_one() == 1
    aside.dispose()


@KINDS
def test_a_damaged_backup_changes_nothing(fresh, tmp_path, kind):
    database = fresh(kind)
    open_study(database)
    migrate.backup(address(database), target=tmp_path / "copy")
    whole = (tmp_path / "copy").read_bytes()
    (tmp_path / "copy").write_bytes(whole[: len(whole) // 2])
    with database.connect() as connection:
        people = connection.execute(text('SELECT count(*) FROM "user"')).scalar_one()
    database.dispose()
    with pytest.raises(ConfigurationError):
        restore(address(database), source=tmp_path / "copy", now=NOW, overwrite=True)
    with database.connect() as connection:
        assert connection.execute(text('SELECT count(*) FROM "user"')).scalar_one() == people


@pytest.mark.parametrize(("kind", "other"), [("sqlite", "postgres"), ("postgres", "sqlite")])
def test_a_backup_goes_back_into_its_own_kind_only(fresh, tmp_path, kind, other):
    migrate.backup(address(fresh(kind)), target=tmp_path / "copy")
    with pytest.raises(ConfigurationError, match="tuneshift db move"):
        restore(address(fresh(other, migrated=False)), source=tmp_path / "copy", now=NOW)


@KINDS
def test_a_backup_never_overwrites(fresh, tmp_path, kind):
    (tmp_path / "copy").write_text("mine")
    with pytest.raises(ConfigurationError, match="exists already"):
        migrate.backup(address(fresh(kind)), target=tmp_path / "copy")
    assert (tmp_path / "copy").read_text() == "mine"


def test_pg_dump_that_is_missing_or_too_old_is_said(fresh, tmp_path, monkeypatch):
    url = address(fresh("postgres"))
    monkeypatch.setattr(tools, "_DEBIAN", Path("/nowhere"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigurationError, match=r"pg_dump was not found.*postgresql-client-\d+"):
        migrate.backup(url, target=tmp_path / "copy")
    old = tmp_path / "pg_dump"
    old.write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 9.6.24'\n")
    old.chmod(0o755)
    with pytest.raises(ConfigurationError, match=r"pg_dump is of version 9, the server of version \d+"):
        migrate.backup(url, target=tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_the_commands_say_what_they_did(fresh, tmp_path, monkeypatch):
    def run(url, *arguments):
        monkeypatch.setenv("TUNESHIFT_DATABASE_URL", url)
        done = CliRunner().invoke(cli, ["db", *arguments])
        assert done.exit_code == 0, done.output
        return done.output

    old = address(fresh("sqlite"))
    new, again = (address(fresh("postgres", migrated=False)) for _ in range(2))
    database = connect(old)
    open_study(database)
    database.dispose()
    assert "integrity checked" in run(old, "backup", str(tmp_path / "file"))
    assert "each table was read back and is the same" in run("", "move", "--from", old, "--to", new)
    assert "sound and current" in run(new, "check")
    run(new, "backup", str(tmp_path / "archive"))
    assert "sound and current" in run(again, "restore", str(tmp_path / "archive"))
    assert run(again, "check") == run(old, "check")


DAMAGES = {
    "an orphan": ("DELETE FROM presentation", "presentation"),
    "a lost revision": ("DELETE FROM revision WHERE number = 1", "lack a revision"),
    "no judgment": ("DELETE FROM revision", "hold no judgment"),
}


@KINDS
@pytest.mark.parametrize("damage", DAMAGES)
def test_check_finds_what_somebody_did_past_the_app(fresh, kind, damage):
    database = fresh(kind)
    study_id, users = open_study(database)
    desk = Functions(address(database), Clock(NOW))
    token = desk.claim(study_id, users[0])
    for base in range(2):
        assert desk.save(users[0], token, "submit", an_answer(base_revision=base, edit_reason="x"))[0] == 200
    desk.close()
    assert migrate.check(database) == []
    statement, said = DAMAGES[damage]
    with database.connect() as connection:
        raw = connection.connection.cursor()
        if kind == "sqlite":
            raw.execute("PRAGMA foreign_keys=OFF")
            raw.execute("DROP TRIGGER revision_no_delete")
        else:
            raw.execute("SET session_replication_role = replica")
            raw.execute("DROP TRIGGER revision_append_only ON revision")
        raw.execute(statement)
        connection.connection.commit()
    found = migrate.check(database)
    assert [line for line in found if said in line], found
    assert [line for line in found if "guard revision_" in line]


MADE = {
    "sqlite": "SELECT name, tbl_name FROM sqlite_master WHERE type = 'trigger'",
    "postgres": "SELECT tgname, tgrelid::regclass::text FROM pg_trigger WHERE NOT tgisinternal",
}


@KINDS
def test_check_looks_for_every_guard_that_migrations_made(fresh, kind):
    """Those of the audit log too; on PostgreSQL one that was only switched off protects nothing either."""
    database = fresh(kind)
    assert migrate.check(database) == []
    with database.connect() as connection:
        made = dict(tuple(row) for row in connection.exec_driver_sql(MADE[kind]))
    assert "auditevent" in made.values()
    for name, table in made.items():
        with database.begin() as connection:
            off = f"ALTER TABLE {table} DISABLE TRIGGER {name}"
            connection.exec_driver_sql(f"DROP TRIGGER {name}" if kind == "sqlite" else off)
    assert sorted(migrate.check(database)) == sorted(
        f"the guard {name} is gone: rows it protects may have been changed" for name in made
    )
