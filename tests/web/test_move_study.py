"""One study, moved from one kind of database into another that holds other studies, is the same study there.

What is tried against it, each in a test of its own: a table that nobody thought of; moving twice, at once, and after
one of the two went on; an annotator who would come to run studies, by role, address, invitation or session; somebody
else's id, and somebody who was removed; shared rows that were changed there; names, files and readings that are
taken; values that the other kind cannot hold; writers meanwhile; work under way; no study, no database, one database,
an old one.
"""

import shutil
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlmodel import SQLModel, select
from typer.testing import CliRunner

from app import migrate
from app.cli import cli, exit_code
from app.database.study_move import move_study
from app.database.study_parts import PARTS, Part, moved_tables, references
from app.db import connect, snapshot, writing
from app.errors import AppError
from app.results.export import TABLES as EXPORTED
from app.results.queries import iter_table
from app.studies.copies import duplicate
from models import (
    GenerationRun,
    GenerationState,
    Invite,
    Item,
    Membership,
    Role,
    ScoringRun,
    ScoringState,
    ScoringTask,
    Study,
    StudyEvent,
    TaskState,
    User,
)
from models.base import now
from tests.factories import add, fill_study, make_member, make_study, make_tuning_set, make_user
from tests.simulation.desks import Clock, Functions
from tests.web.bundle_help import bundle
from tests.web.judging_help import an_answer
from tests.web.move_help import contents, known_there, lone_study, of_study, rows_in, the_study, whole_study

KINDS = pytest.mark.parametrize(("kind", "other"), [("sqlite", "postgres"), ("postgres", "sqlite")])


def exports(database):
    with snapshot(database) as session:
        study = the_study(session)
        return {table: list(iter_table(session, study, table, external_ids=True)) for table in EXPORTED}


def test_every_table_has_its_place_and_no_row_that_moves_refers_to_one_that_stays():
    tables = SQLModel.metadata.tables
    assert set(PARTS) == set(tables)
    for table in moved_tables():
        for key in table.foreign_keys:
            assert PARTS[key.column.table.name] is not Part.SERVER, f"{table.name}.{key.parent.name}"
    # Rows of one table that wait for each other are put in order for responses alone.
    assert [one.name for one in tables.values() if references(one, one)] == ["response"]


@KINDS
def test_a_study_arrives_whole_beside_others_and_comes_back_the_same(fresh, kind, other, tmp_path):
    old, new, back = fresh(kind), fresh(other), fresh(kind)
    study_id = whole_study(old)
    lone_study(old)
    lone_study(new, slug="pots", email="potter@example.org")
    known_there(new, id=owner_of(old))
    known_there(back, id=owner_of(old))
    before, beside = contents(old), {name: rows_in(new, name) for name in PARTS}
    reported = []
    moved = move_study(old, new, "everything", now=now(), report=lambda table, rows: reported.append((table, rows)))
    assert contents(old) == before
    # There is a row of every table that a study can have rows in, so that none is left out unseen.
    assert {name for name, one in moved.tables.items() if one.new} == set(of_study()) - {"user"}
    assert ("revision", moved.tables["revision"].digest.rows) in reported
    for name, rows in beside.items():
        came = rows_in(new, name) - rows
        assert rows <= rows_in(new, name), name
        assert len(came) == {"auditevent": 1, "user": moved.arrived}.get(
            name, moved.tables[name].new if name in moved.tables else 0
        )
    assert migrate.check(new) == []
    assert exports(new) == exports(old)
    archives = []
    for number, database in enumerate((old, new)):
        path = tmp_path / f"{number}.zip"
        bundle(database, Study(id=study_id), path, external_ids=True).close()
        archives.append(path.read_bytes())
    assert archives[0] == archives[1]
    # What guards the rows is there as well.
    with pytest.raises(Exception, match="append-only"), writing(new) as session:
        session.execute(text("DELETE FROM revision"))
    again = move_study(new, back, study_id, now=now())
    assert exports(back) == exports(old)
    assert {name: one.digest for name, one in again.tables.items()} == {
        name: one.digest for name, one in moved.tables.items()
    }


def refused(old, new, words, study="everything", *, moment=None):
    """Moving raises these words, and neither database is changed."""
    before = contents(old), contents(new)
    with pytest.raises(AppError) as caught:
        move_study(old, new, study, now=moment or now())
    assert (contents(old), contents(new)) == before
    for word in words if isinstance(words, tuple) else (words,):
        assert word in str(caught.value)


@pytest.fixture(scope="module")
def whole(both_databases, tmp_path_factory):
    """The file of a database with a whole study, to be copied."""
    database = connect(both_databases["sqlite"].create(tmp_path_factory.mktemp("whole")))
    whole_study(database)
    with database.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    database.dispose()
    return database.url.database


@pytest.fixture
def pair(fresh, whole):
    """A database with a whole study, and another where its owner is known and another study is."""
    old, new = fresh("sqlite"), fresh("sqlite")
    shutil.copy(whole, old.url.database)
    lone_study(new, slug="pots", email="potter@example.org")
    known_there(new, id=owner_of(old))
    return old, new


def owner_of(database):
    return one(database, "SELECT created_by FROM study WHERE slug = 'everything'")[0]


def change(database, statement, **values):
    with database.begin() as connection:
        assert connection.execute(text(statement), values).rowcount == 1, statement


def one(database, query):
    with database.connect() as connection:
        return connection.execute(text(query)).first()


def test_moving_it_again_does_nothing_and_is_refused_once_one_of_the_two_went_on(pair):
    old, new = pair
    assert not move_study(old, new, "everything", now=now()).was_there
    before = contents(new)
    assert move_study(old, new, "everything", now=now()).was_there
    assert contents(new) == before
    with writing(new) as session:
        study = the_study(session)
        study.name = "Renamed"
        session.add(study)
    refused(old, new, ("already and is not the same", "study", "column name"))


def test_a_study_that_went_on_there_is_not_mixed_with_what_is_here(pair):
    old, new = pair
    move_study(old, new, "everything", now=now())
    with writing(new) as session:
        # Who looks at results is written down, and no reason to say that the study is another.
        add(session, StudyEvent(study_id=the_study(session).id, action="looked"))
    assert move_study(old, new, "everything", now=now()).was_there
    with writing(new) as session:
        add(session, Item(study_id=the_study(session).id, position=7, prompt="New there"))
    refused(old, new, ("item", "rows of this study"))
    with writing(old) as session:
        late = add(session, Item(study_id=the_study(session).id, position=8, prompt="New here"))
    refused(old, new, f"item {late.id} is not in the database to move to")


def test_who_is_known_there_by_address_keeps_name_password_and_role(fresh, whole):
    old, new = fresh("sqlite"), fresh("sqlite")
    shutil.copy(whole, old.url.database)
    with writing(old) as session:
        judge = session.exec(select(User).where(User.password_hash == "theirs")).one()
        by = the_study(session).created_by
    known = known_there(new, name="Another name", password_hash="kept", session_version=5)
    # An annotator here runs studies there, and the other way round nobody rises.
    known_there(new, email=judge.email, name="Runs studies there", role=Role.OWNER)
    before = rows_in(new, "user")
    moved = move_study(old, new, "everything", now=now())
    assert before <= rows_in(new, "user")
    assert moved.known == 2
    with writing(new) as session:
        study = the_study(session)
        assert session.get_one(User, study.created_by).password_hash == "kept"
        owner = session.exec(select(User).where(User.email == judge.email)).one()
        assert owner.id != judge.id
        member = session.get_one(Membership, (study.id, owner.id))
        assert (member.role, member.external_id) == (Role.ANNOTATOR, "prolific-1")
        # The sign-in link made for an annotator must not sign in as an owner.
        (invite,) = session.exec(select(Invite).where(Invite.user_id == owner.id)).all()
        assert invite.revoked_at is not None
    # Researchers are called as the other database calls them, and nothing else in an export differs.
    names = {"exclusions.csv", "leak_flags.csv"}
    here, there = exports(old), exports(new)
    assert {table for table in here if here[table] != there[table]} == names
    for table in names:
        said = [line.replace("Another name", "Öwner").replace(known, by) for line in there[table]]
        assert said == here[table]


def test_nobody_gains_a_right_or_a_session_by_moving(pair):
    old, new = pair
    move_study(old, new, "everything", now=now())
    with writing(old) as session:
        here = {user.email: user for user in session.exec(select(User))}
    with writing(new) as session:
        there = {user.email: user for user in session.exec(select(User))}
        assert there["owner@example.org"].role == Role.RESEARCHER
        arrived = {email: there[email] for email in here if email != "owner@example.org"}
        assert {email: user.id for email, user in arrived.items()} == {email: here[email].id for email in arrived}
        for email, user in arrived.items():
            assert user.session_version == here[email].session_version + 1
            assert user.password_hash == here[email].password_hash
            assert user.role == Role.ANNOTATOR or (user.disabled_at and user.role == Role.RESEARCHER)
        open_ones = session.exec(select(Invite).where(Invite.used_at == None, Invite.revoked_at == None)).all()  # noqa: E711
        assert [one.token_sha256 for one in open_ones] == ["open"]
    for table in ("apitoken", "throttlemoment", "export", "lexicon", "comparison", "scoredfile", "studyfindings"):
        assert rows_in(old, table)
        assert not rows_in(new, table)
    ((_, _, action, about, detail, _, _),) = rows_in(new, "auditevent")
    assert (action, about) == ("study moved here", one(old, "SELECT id FROM study")[0])
    assert detail.startswith("everything, ")


def test_who_runs_studies_has_to_be_let_in_there_first(fresh, whole):
    old, new = fresh("sqlite"), fresh("sqlite")
    shutil.copy(whole, old.url.database)
    refused(old, new, ("owner@example.org (owner", "has no account", "tuneshift user add owner@example.org"))
    known_there(new, role=Role.ANNOTATOR)
    refused(old, new, ("owner@example.org", "is an annotator in the database to move to", "invitation"))


def test_a_person_who_is_somebody_else_there_is_refused_and_named(pair):
    old, new = pair
    judge = one(old, "SELECT id, email FROM \"user\" WHERE role = 'annotator'")
    with writing(new) as session:
        make_user(session, id=judge.id, email="x@example.org")
    refused(old, new, f"user {judge.id}: the column email")
    # Whoever was removed in one database does not come back by the other.
    change(new, 'UPDATE "user" SET email = :email WHERE id = :id', id=judge.id, email=f"{judge.id}@removed.invalid")
    refused(old, new, (f"user {judge.id}: the column email", "removed"))


def test_responses_that_two_studies_share_are_there_once(pair):
    old, new = pair
    with writing(old) as session:
        study = the_study(session)
        copy = duplicate(session, study, user_id=study.created_by)
    first = move_study(old, new, "everything", now=now())
    second = move_study(old, new, copy.id, now=now())
    assert second.tables["response"].digest.rows > 0
    # The two texts of a gold item and of a practice item are a study's own.
    assert second.tables["response"].new == 4
    assert second.tables["trace"].new == second.tables["tuninginstance"].new == 0
    assert second.tables["itemresponse"].new > 0
    assert len(rows_in(new, "trace")) == first.tables["trace"].new


SHARED = ("response", "text_sha256"), ("trace", "dtype"), ("tuningset", "filename"), ("tuninginstance", "answer")


@pytest.mark.parametrize(("table", "column"), SHARED)
def test_a_shared_row_that_is_another_there_is_named_by_table_id_and_column(pair, table, column):
    old, new = pair
    with writing(old) as session:
        study = the_study(session)
        copy = duplicate(session, study, user_id=study.created_by)
    move_study(old, new, "everything", now=now())
    key = "set_id" if table == "tuninginstance" else "id"
    (shared,) = one(
        old, "SELECT max(response_id) FROM (SELECT response_id FROM itemresponse GROUP BY 1 HAVING count(*) > 1)"
    )
    by = {"response": "id", "trace": "response_id"}.get(table)
    row = one(new, f"SELECT rowid, {key} FROM {table}" + (f" WHERE {by} = '{shared}'" if by else ""))
    change(new, f"UPDATE {table} SET {column} = 'x' WHERE rowid = :row", row=row[0])
    refused(old, new, (f"{table} {row[1]}", f"column {column}"), copy.id)


def test_a_response_that_was_read_there_by_the_same_checkpoint_is_named(pair):
    old, new = pair
    with writing(old) as session:
        study = the_study(session)
        copy = duplicate(session, study, user_id=study.created_by)
    move_study(old, new, "everything", now=now())
    trace = one(old, "SELECT id FROM trace WHERE id NOT IN (SELECT trace_id FROM traceaggregate)")[0]
    change(new, "UPDATE trace SET id = 'read-there' WHERE id = :id", id=trace)
    there = "trace read-there of the database to move to has the same response_id, checkpoint, reference, base_prompt"
    refused(old, new, f"trace {trace}: {there}", copy.id)


@KINDS
def test_people_go_on_there_with_the_item_they_had_in_hand(fresh, kind, other):
    old, new = fresh(kind), fresh(other)
    with writing(old) as session:
        owner = make_user(session, email="owner@example.org", role=Role.OWNER)
        study, person = make_study(session, owner=owner, overlap=1), make_user(session)
        fill_study(session, study)
        make_member(session, study=study, user=person)
    known_there(new)
    here, there = (Functions(one.url.render_as_string(hide_password=False), Clock(now())) for one in (old, new))
    first = here.claim(study.id, person.id)
    status, saved = here.save(person.id, first, "submit", an_answer())
    assert status == 200
    # The one in hand, begun with a draft, is the one they find there.
    assert here.save(person.id, saved["next"], "draft", an_answer())[0] == 200
    change(old, "UPDATE study SET state = 'paused'")
    move_study(old, new, "kettles", now=now())
    change(new, "UPDATE study SET state = 'open'")
    assert there.claim(study.id, person.id) == saved["next"]
    status, saved = there.save(person.id, saved["next"], "submit", an_answer(base_revision=1))
    assert status == 200
    assert there.save(person.id, saved["next"], "submit", an_answer())[0] == 200
    assert there.claim(study.id, person.id) is None
    assert one(new, "SELECT count(*) FROM presentation WHERE state = 'submitted'")[0] == 3
    assert one(old, "SELECT count(*) FROM presentation WHERE state = 'submitted'")[0] == 1
    here.close()
    there.close()


def test_two_who_move_it_at_once_move_it_once(pair):
    old, new = pair
    with ThreadPoolExecutor(2) as threads:
        both = [threads.submit(move_study, old, new, "everything", now=now()) for _ in range(2)]
        assert sorted(one.result().was_there for one in both) == [False, True]
    assert len(rows_in(new, "auditevent")) == 1


def test_what_the_other_database_measured_itself_stands(pair):
    old, new = pair
    with writing(old) as session:
        study = the_study(session)
        copy = duplicate(session, study, user_id=study.created_by)
    move_study(old, new, "everything", now=now())
    change(new, "UPDATE borrowing SET method = 'of its own'")
    change(new, "UPDATE traceaggregate SET lexicon_sha256 = 'of its own'")
    measured = contents(new)
    move_study(old, new, copy.id, now=now())
    assert (contents(new)["borrowing"], contents(new)["traceaggregate"]) == (
        measured["borrowing"],
        measured["traceaggregate"],
    )


def test_a_name_or_a_file_that_is_taken_there_is_said(pair):
    old, new = pair
    change(new, "UPDATE study SET slug = 'everything'")
    taken = one(new, "SELECT id FROM study")[0]
    refused(old, new, ("study ", f"study {taken} of the database to move to has the same slug"))
    change(new, "UPDATE study SET slug = 'pots'")
    with writing(new) as session:
        other = make_tuning_set(session, answers=("Other.",))
    refused(old, new, f"tuningset {other.id} of the database to move to has the same name, version")
    sha256 = one(old, "SELECT sha256 FROM tuningset")[0]
    change(new, "UPDATE tuningset SET name = 'Other', sha256 = :sha256", sha256=sha256)
    refused(old, new, f"tuningset {other.id} of the database to move to has the same sha256")


def test_a_value_that_has_no_place_there_moves_nothing(fresh, whole):
    old, new = fresh("sqlite"), fresh("postgres")
    shutil.copy(whole, old.url.database)
    known_there(new)
    change(old, "UPDATE exitanswer SET comment = 'a' || char(0) || 'b'")
    refused(old, new, ("A row of exitanswer has no place", "NUL"))


def test_it_is_of_one_moment_whoever_writes_meanwhile(pair):
    old, new = pair
    before = exports(old)

    def writes_meanwhile(table, _rows):
        if table == "study":
            change(old, "UPDATE exitanswer SET comment = 'later'")
            change(old, "UPDATE study SET name = 'later' WHERE slug = 'everything'")

    move_study(old, new, "everything", now=now(), report=writes_meanwhile)
    assert exports(new) == before != exports(old)


def _at_work(session, study, moment):
    return {
        "generating": GenerationRun(study_id=study.id, state=GenerationState.RUNNING, touched_at=moment),
        "scoring": ScoringRun(study_id=study.id, state=ScoringState.RUNNING),
    }


@pytest.mark.parametrize(("kind", "words"), [("generating", "are being generated"), ("scoring", "are being scored")])
def test_a_study_at_work_is_refused_until_the_work_has_ended(pair, kind, words):
    old, new = pair
    moment = now()
    with writing(old) as session:
        run = add(session, _at_work(session, the_study(session), moment)[kind])
    refused(old, new, words, moment=moment)
    if kind == "scoring":
        change(old, "UPDATE scoringrun SET state = 'paused' WHERE id = :id", id=run.id)
        with writing(old) as session:
            task = session.exec(select(ScoringTask)).one()
            lease = moment + timedelta(seconds=60)
            add(session, ScoringTask(run_id=run.id, response_id=task.response_id, checkpoint="lft",
                                     state=TaskState.CLAIMED, lease_until=lease))  # fmt: skip
        refused(old, new, words, moment=moment)
    # A run whose server was lost, and a claim whose lease is over, hold nothing up.
    assert not move_study(old, new, "everything", now=moment + timedelta(seconds=61)).was_there


def test_an_open_study_and_a_half_imported_set_are_refused(pair):
    old, new = pair
    change(old, "UPDATE study SET state = 'open'")
    refused(old, new, ("everything is open", "Pause or close it"))
    change(old, "UPDATE study SET state = 'paused'")
    change(old, "UPDATE tuningset SET state = 'indexing'")
    refused(old, new, "Kettle facts is being imported")


def test_databases_that_cannot_be_used_and_studies_that_are_not_there_are_said(pair, tmp_path):
    old, new = pair
    refused(old, new, ("no study 'nothing'", "everything"), "nothing")
    refused(old, old, "is the one to move to")
    absent = tmp_path / "absent" / "tuneshift.db"
    nowhere = connect(f"sqlite:///{absent}")
    for source, target, which in ((nowhere, new, "from"), (old, nowhere, "to")):
        with pytest.raises(AppError, match=f"no database to move {which}"):
            move_study(source, target, "everything", now=now())
    assert not absent.exists()
    for source, target, which in ((old, new, "to"), (new, old, "from")):
        change(new, "UPDATE alembic_version SET version_num = '0002'")
        with pytest.raises(AppError, match=f"to move {which} has not the current schema"):
            move_study(source, target, "everything", now=now())


def test_one_postgres_by_two_addresses_is_one_database(fresh):
    one_address = fresh("postgres")
    other = connect(
        one_address.url.update_query_dict({"application_name": "again"}).render_as_string(hide_password=False)
    )
    with pytest.raises(AppError, match="is the one to move to"):
        move_study(one_address, other, "everything", now=now())
    other.dispose()


def test_the_command_moves_says_what_came_and_what_is_left_to_do(pair):
    old, new = pair
    options = ["db", "move", "--from", str(old.url), "--to", str(new.url), "--study", "everything"]
    done = CliRunner().invoke(cli, options)
    assert done.exit_code == 0, done.output
    for said in (
        "revision",
        "Moved the study everything",
        "people arrived",
        "1 people were known",
        "paused in both",
        "lft, sft",
        "No file",
    ):
        assert said in " ".join(done.output.split()), said
    again = CliRunner().invoke(cli, options)
    assert again.exit_code == 0
    assert "is there already" in again.output
    # A name that a script left empty is no study, and never the whole database.
    for name in ("unknown", ""):
        unknown = CliRunner().invoke(cli, [*options[:-1], name])
        assert isinstance(unknown.exception, AppError)
        assert exit_code(unknown.exception) == 2
