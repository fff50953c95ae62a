"""What the sides of each annotator and each pair come to, when items lapse and come back, and when people stop."""

from datetime import timedelta

import pytest
from sqlmodel import select

from app.db import reading, writing
from app.judging.claims import claim
from app.studies.slots import step_of
from models import Presentation, PresentationState, Study, User
from models.base import now
from tests.factories import fill_study, make_member, make_study, make_user

LEASE = timedelta(hours=1)


@pytest.fixture
def desk(database, alice):
    """Claims and judgments of a study of one pair at a clock the test sets; `people` join on first use."""
    return Desk(database, alice)


class Desk:
    def __init__(self, database, alice):
        self.database, self.alice, self.clock, self.users, self.study_id = database, alice, now(), {}, ""

    def open(self, *, items, overlap):
        with writing(self.database) as session:
            study = make_study(session, owner=self.alice, slug="sides", overlap=overlap)
            fill_study(session, study, prompts=tuple(f"Item {n}?" for n in range(items)))
            self.study_id = study.id

    def claim(self, who):
        with writing(self.database) as session:
            study = session.get_one(Study, self.study_id)
            if who not in self.users:
                user = make_user(session, email=f"{who}@example.org", name=who)
                make_member(session, study=study, user=user, pid=f"p-{who}")
                self.users[who] = user.id
            return claim(session, study, session.get_one(User, self.users[who]), self.clock, lease=LEASE)

    def judge(self, who, items=1):
        """Take and judge so many items; the last one's token."""
        for _ in range(items):
            token = self.claim(who)
            assert token, f"{who} finds nothing"
            self.finish(token)
        return token

    def finish(self, token):
        with writing(self.database) as session:
            shown = session.get_one(Presentation, token)
            shown.state, shown.submitted_at = PresentationState.SUBMITTED, self.clock
            session.add(shown)

    def item(self, token):
        with reading(self.database) as session:
            return session.get_one(Presentation, token).item_id

    def release(self, token):
        """Skip: the place is free again, and the person does not get the item back."""
        with writing(self.database) as session:
            shown = session.get_one(Presentation, token)
            shown.state = PresentationState.SKIPPED
            session.add(shown)

    def wait(self, hours):
        self.clock += timedelta(hours=hours)

    def steps(self, who=None):
        """The sides of what was judged, oldest first: 1 where the alphabetically first arm stood left, else -1."""
        with reading(self.database) as session:
            query = select(Presentation).where(Presentation.state == PresentationState.SUBMITTED)
            if who is not None:
                query = query.where(Presentation.annotator_id == self.users[who])
            return [step_of(session, one) for one in session.exec(query.order_by(Presentation.created_at))]


def test_lapsed_items_never_put_what_was_judged_out_of_balance(desk):
    desk.open(items=12, overlap=1)
    for turn in range(5):
        # Others may have taken all that was left by now, depending on what they drew first.
        if not desk.claim("ann"):
            break
        desk.wait(2)
        # Somebody else takes what Ann let lapse, so that it is not hers any more, and Ann goes on.
        while True:
            taken = desk.claim(f"other{turn}")
            with reading(desk.database) as session:
                item = desk.item(taken)
                mine = session.exec(
                    select(Presentation.id).where(
                        Presentation.item_id == item, Presentation.annotator_id == desk.users["ann"]
                    )
                ).first()
            desk.finish(taken)
            if mine:
                break
        if not desk.claim("ann"):
            break
        desk.judge("ann")
        assert abs(sum(desk.steps("ann"))) <= 1


def lapsed_and_leaning(desk, *, items):
    """Ann let an item lapse, judged another with the same arm left, and everything else is hers to take."""
    desk.open(items=items, overlap=1)
    lapsed = desk.claim("ann")
    desk.wait(2)
    held = desk.claim("ben")
    while desk.item(held) != desk.item(lapsed):
        desk.release(held)
        held = desk.claim("ben")
    judged = desk.judge("ann")
    with writing(desk.database) as session:
        one, other = session.get_one(Presentation, lapsed), session.get_one(Presentation, judged)
        for side in ("left", "right"):
            setattr(other, f"{side}_arm_id", getattr(one, f"{side}_arm_id"))
        session.add(other)
    desk.wait(2)
    return lapsed


def test_a_lapsed_item_waits_until_its_sides_fit(desk):
    lapsed = lapsed_and_leaning(desk, items=4)
    other = desk.judge("ann")
    assert other != lapsed
    assert sum(desk.steps("ann")) == 0
    assert desk.claim("ann") == lapsed


def test_a_lapsed_item_comes_back_all_the_same_when_nothing_else_is_left(desk):
    lapsed = lapsed_and_leaning(desk, items=2)
    assert desk.claim("ann") == lapsed


def test_what_is_in_hand_comes_before_what_lapsed(desk):
    lapsed = lapsed_and_leaning(desk, items=4)
    in_hand = desk.claim("ann")
    assert in_hand != lapsed
    assert desk.claim("ann") == in_hand


def test_sides_of_one_pair_can_lean_as_far_as_people_stop_after_an_odd_number(desk):
    """Why a bound on the pair cannot be promised beside the one on each annotator: six people, three of whom go on."""
    desk.open(items=3, overlap=3)
    first = {who: desk.judge(who) for who in ("ann", "ben", "cem", "dan", "eve", "fay")}
    with reading(desk.database) as session:
        left = {who: step_of(session, session.get_one(Presentation, token)) for who, token in first.items()}
    assert abs(sum(left.values())) <= 1 or sorted(left.values()) == [-1, -1, -1, 1, 1, 1]
    # Whoever had the first arm left goes on, and must have it right now; the others have had enough.
    for who in sorted(left, key=lambda who: -left[who])[:3]:
        desk.judge(who)
    assert all(abs(sum(desk.steps(who))) <= 1 for who in first)
    assert sum(desk.steps()) == -3
