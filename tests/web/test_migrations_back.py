"""Down to the schema of before and up again, on both kinds of database: every row that has a place there is kept."""

import pytest

from app import migrate
from app.db import writing
from tests.factories import make_user
from tests.simulation.database import simulate_into
from tests.simulation.robot import Truth
from tests.simulation.study import build_study
from tests.there_and_back import columns_of, downgrade, held

PLANTED = Truth(quality={"base": -1.0, "lft": 0.6, "sft": 0.0}, hallucinated={"sft": 0.8})


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_judgments_outlive_the_way_down_and_up_again(fresh, kind):
    database = fresh(kind)
    with writing(database) as session:
        study = build_study(session, owner=make_user(session), items=6, overlap=2)
        simulate_into(session, study, PLANTED, annotators=6)
    everything = held(database, columns_of(database))
    downgrade(database, "0002")
    columns = columns_of(database)
    then = held(database, columns)
    assert then["revision"].rows > 30
    assert then["span"].rows > 5
    migrate.upgrade(database)
    assert migrate.check(database) == []
    assert held(database, columns) == then
    assert {name: digest.rows for name, digest in then.items()} == {name: everything[name].rows for name in columns}
    # A second way down and up changes nothing any more, in any column.
    now = columns_of(database)
    first = held(database, now)
    downgrade(database, "0002")
    assert held(database, columns) == then
    migrate.upgrade(database)
    assert held(database, now) | {"guideline": None} == first | {"guideline": None}
