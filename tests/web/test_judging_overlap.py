"""The overlap cap under real concurrency: threads on one database file, released by a barrier."""

import threading
from datetime import timedelta

from sqlmodel import func, select

from app.db import reading, writing
from app.judging.claims import claim
from app.studies.slots import places_taken
from models import Presentation, PresentationState, Study, User
from models.base import now
from tests.factories import fill_study, make_member, make_study, make_user

LEASE = timedelta(minutes=60)


def crowd(database, alice, *, people, overlap, prompts):
    with writing(database) as session:
        study = make_study(session, owner=alice, slug="crowd", overlap=overlap)
        fill_study(session, study, prompts=prompts)
        users = [make_user(session, email=f"u{n}@example.org", name=f"U{n}") for n in range(people)]
        for number, user in enumerate(users):
            make_member(session, study=study, user=user, pid=f"p{number}")
        return study.id, [user.id for user in users]


def claim_together(database, study_id, user_ids):
    barrier = threading.Barrier(len(user_ids))
    tokens, failures = [], []

    def run(user_id):
        barrier.wait()
        try:
            with writing(database) as session:
                study, user = session.get_one(Study, study_id), session.get_one(User, user_id)
                tokens.append(claim(session, study, user, now(), lease=LEASE))
        except Exception as error:  # noqa: BLE001  a thread's failure must reach the assertion
            failures.append(error)

    threads = [threading.Thread(target=run, args=(user_id,)) for user_id in user_ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    return tokens


def presentations(database):
    with reading(database) as session:
        return session.exec(select(func.count()).select_from(Presentation)).one()


def test_two_hundred_people_race_for_the_last_place(database, alice):
    study_id, users = crowd(database, alice, people=200, overlap=1, prompts=("Only one?",))
    tokens = claim_together(database, study_id, users)
    assert len([token for token in tokens if token]) == 1
    assert tokens.count(None) == 199
    assert presentations(database) == 1


def test_nobody_goes_without_while_places_are_free(database, alice):
    study_id, users = crowd(database, alice, people=24, overlap=3, prompts=tuple(f"Item {n}?" for n in range(8)))
    tokens = claim_together(database, study_id, users)
    assert len(set(tokens)) == 24
    assert None not in tokens
    with reading(database) as session:
        per_item = session.exec(select(Presentation.item_id, func.count()).group_by(Presentation.item_id)).all()
    assert [count for _, count in per_item] == [3] * 8


def test_one_person_in_many_tabs_holds_one_item(database, alice):
    study_id, users = crowd(database, alice, people=1, overlap=3, prompts=("One?", "Two?"))
    tokens = claim_together(database, study_id, users * 30)
    assert len(set(tokens)) == 1
    assert presentations(database) == 1


def test_a_change_that_is_not_yet_written_counts(database, alice):
    """Places are counted past the session, which holds changes back until somebody asks."""
    study_id, (user_id,) = crowd(database, alice, people=1, overlap=1, prompts=("Only one?",))
    with writing(database) as session:
        study, user = session.get_one(Study, study_id), session.get_one(User, user_id)
        token = claim(session, study, user, now(), lease=LEASE)
        assert sum(places_taken(session, study, now()).values()) == 1
        session.get_one(Presentation, token).state = PresentationState.EXPIRED
        assert sum(places_taken(session, study, now()).values()) == 0
