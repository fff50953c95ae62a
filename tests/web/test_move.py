"""All rows of one kind of database, moved into the other kind and back, are the same rows."""

import pytest
from sqlalchemy import text
from sqlmodel import SQLModel, select

from app.database.digest import digest_of
from app.database.move import move
from app.db import snapshot, writing
from app.errors import ConfigurationError
from app.results.export import TABLES
from app.results.queries import iter_table
from models import Study, Trace
from tests.factories import add, make_response, make_user
from tests.simulation.database import simulate_into
from tests.simulation.robot import Truth
from tests.simulation.study import build_study

PLANTED = Truth(quality={"base": -1.0, "lft": 0.6, "sft": 0.0}, hallucinated={"sft": 0.8})


def a_study(database):
    """A judged study, responses that continue later ones, and every kind of value that is stored."""
    with writing(database) as session:
        owner = make_user(session, email="wöner@example.org")
        study = build_study(session, owner=owner, items=4, overlap=2)
        simulate_into(session, study, PLANTED, annotators=6)
        child = make_response(session, text="Wasser 💧\r\n\t\"'\\ e\u0301")
        parent = make_response(session, text="Regen")
        child.parent_id, child.fork_index = parent.id, 3
        add(session, child)
        add(
            session,
            Trace(
                response_id=child.id,
                checkpoint="sft",
                reference="base",
                prompt_ids={"own": [1], "reference": []},
                engine="local",
                engine_version="1",
                kl_kind="exact",
                dtype="float32",
                border_width=0.1 + 0.2,
                n=1,
                unshifted=0,
                marginal=0,
                shifted=1,
                mean_kl_tuned_base=1e-300,
                tokens=bytes(range(256)),
            ),
        )


def contents(database):
    with database.connect() as connection:
        return {table.name: digest_of(connection, table) for table in SQLModel.metadata.sorted_tables}


def exports(database):
    with snapshot(database) as session:
        study = session.exec(select(Study)).one()
        return {table: list(iter_table(session, study, table)) for table in TABLES}


@pytest.mark.parametrize(("kind", "other"), [("sqlite", "postgres"), ("postgres", "sqlite")])
def test_every_row_of_every_table_arrives_there_and_back(fresh, kind, other):
    old, new, back = fresh(kind), fresh(other, migrated=False), fresh(kind, migrated=False)
    a_study(old)
    before = contents(old)
    reported = []
    assert move(old, new, report=lambda table, rows: reported.append((table, rows))) == before
    assert contents(new) == contents(old) == before
    assert move(new, back) == contents(back) == before
    assert before["revision"].rows > 20
    assert ("revision", before["revision"].rows) in reported
    # Rows lie elsewhere now in what they were moved to; every line of every export is the same all the same.
    for table in ("item", "response", "arm", "presentation"):
        with writing(new) as session:
            session.execute(text(f"UPDATE {table} SET id = id WHERE id < '8'"))
    assert exports(new) == exports(old)
    # What guards the rows is there as well.
    with pytest.raises(Exception, match="append-only"), writing(new) as session:
        session.execute(text("DELETE FROM revision"))


def test_rows_that_are_there_are_never_mixed_with_others(fresh):
    old, new = fresh("sqlite"), fresh("postgres")
    a_study(old)
    with writing(new) as session:
        make_user(session, email="somebody@example.org")
    before = contents(new)
    with pytest.raises(ConfigurationError, match="holds 1 rows of user"):
        move(old, new)
    assert contents(new) == before


def test_a_value_that_has_no_place_moves_nothing_and_is_named(fresh):
    old, new = fresh("sqlite"), fresh("postgres")
    a_study(old)
    with old.begin() as connection:
        connection.execute(text("UPDATE response SET prompt = 'a' || char(0) || 'b' WHERE text = 'Regen'"))
    with pytest.raises(ConfigurationError, match=r"response has no place.*NUL"):
        move(old, new)
    assert {digest.rows for digest in contents(new).values()} == {0}


def test_an_older_schema_is_not_moved(fresh):
    old, new = fresh("sqlite"), fresh("postgres")
    with old.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0002'"))
    with pytest.raises(ConfigurationError, match="has not the current schema"):
        move(old, new)
