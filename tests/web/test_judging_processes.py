"""What one process decides, all processes keep to: claims and saves that come at one moment from four of them."""

import json
import os
import subprocess
import sys

import pytest
from sqlmodel import func, select

from app.db import reading, writing
from app.settings import ROOT
from models import Presentation, Revision
from tests.factories import fill_study, make_member, make_study, make_user

KINDS = pytest.mark.parametrize("kind", ["sqlite", "postgres"])


def crowd(database, *, people, overlap, prompts):
    with writing(database) as session:
        owner = make_user(session, email="owner@example.org")
        study = make_study(session, owner=owner, slug="crowd", overlap=overlap)
        fill_study(session, study, prompts=prompts)
        users = [make_user(session, email=f"u{n}@example.org") for n in range(people)]
        for number, user in enumerate(users):
            make_member(session, study=study, user=user, pid=f"p{number}")
        return study.id, [user.id for user in users]


def race(database, study_id, users, **over):
    wanted = {
        "url": database.url.render_as_string(hide_password=False),
        "study": study_id,
        "users": users,
        "processes": 4,
    }
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.racers"]
    done = subprocess.run(
        command, input=json.dumps(wanted | over), env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


@KINDS
def test_two_hundred_people_over_four_processes_get_exactly_the_places_there_are(fresh, kind):
    database = fresh(kind)
    study_id, users = crowd(database, people=200, overlap=3, prompts=("One?", "Two?"))
    tokens = race(database, study_id, users)
    assert len(tokens) == 200
    given = [token for token in tokens if token]
    assert len(set(given)) == len(given) == 2 * 3
    with reading(database) as session:
        held = session.exec(select(Presentation.item_id, func.count()).group_by(Presentation.item_id)).all()
        assert set(session.exec(select(Presentation.id)).all()) == set(given)
    assert [number for _, number in held] == [3, 3]


@KINDS
def test_of_saves_from_one_state_of_the_page_one_is_taken(fresh, kind):
    database = fresh(kind)
    study_id, users = crowd(database, people=1, overlap=1, prompts=("One?",))
    tabs = users * 24
    (token,) = set(race(database, study_id, tabs))
    numbers = race(database, study_id, tabs, token=token)
    assert sorted(map(str, numbers)) == ["1"] + ["None"] * 23
    with reading(database) as session:
        assert session.exec(select(Revision.number)).all() == [1]
