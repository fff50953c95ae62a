"""What the people page counts over all that members did: the same as looking at each presentation by itself."""

from datetime import timedelta
from unittest.mock import patch

import pytest
from sqlmodel import select

from app.db import reading, writing
from app.monitor.in_hand import unfinished_of
from app.monitor.kept import judged_columns
from app.monitor.votes import aware
from app.people import heard
from app.people.heard import heard_of
from app.people.seen import seen_of_free
from models import Pair, Preference, Presentation, PresentationState, Revision, RevisionKind, Study
from tests.factories import add, fill_study, make_study
from tests.web.monitor_help import SKIPPED, START, items_of, judge, person, shown

LEASE = timedelta(hours=1)
LATER = START + timedelta(days=9)


def edit(session, one, number, at, kind=RevisionKind.SUBMITTED):
    values = {"idempotency_key": f"attempt-{number}", "app_version": "0", "preference": Preference.LEFT}
    add(session, Revision(presentation_id=one.id, number=number, kind=kind, created_at=at, **values))


@pytest.fixture
def people(database, study, alice):
    """Five members: three judged, one has an item open and one let theirs go; one of them is in another study too."""
    with writing(database) as session:
        kept = session.get_one(Study, study.id)
        fill_study(session, kept, arms=("base", "lft", "sft"), prompts=tuple(f"Question {n}?" for n in range(6)))
        items, pairs = items_of(session, kept), session.exec(select(Pair).order_by(Pair.id)).all()
        made = [person(session, kept, at) for at in range(2, 7)]
        for day, one in enumerate(made[:3]):
            at = START + timedelta(days=day)
            judge(session, kept, one, items[0], Preference.LEFT, at=at, pair=pairs[0])
            first = judge(session, kept, one, items[1], SKIPPED, at=at + timedelta(hours=1), pair=pairs[day])
            # What is changed or begun again after it was submitted is a sign of its author too.
            edit(session, first, 2, at + timedelta(hours=2), RevisionKind(("draft", "submitted")[day % 2]))
        judge(session, kept, made[0], items[0], Preference.RIGHT, at=START, pair=pairs[1])
        begun = shown(session, kept, made[0], items[3], at=START, pair=pairs[0], state=PresentationState.EXPIRED)
        edit(session, begun, 1, START + timedelta(hours=3), RevisionKind.DRAFT)
        shown(session, kept, made[3], items[0], at=LATER - timedelta(minutes=9), until=LATER + timedelta(minutes=55))
        shown(session, kept, made[4], items[4], at=START + timedelta(days=1), state=PresentationState.EXPIRED)
        other = make_study(session, owner=alice, slug="other")
        fill_study(session, other, prompts=("Elsewhere?",))
        judge(session, other, made[1], items_of(session, other)[0], Preference.LEFT, at=LATER)
    return [one.id for one in made]


@pytest.mark.parametrize("newest", [0, 1, 3, 5, 20_000])
def test_everybody_is_last_heard_of_when_they_were(database, study, people, newest):
    """However many of the newest revisions are looked at first, those of other studies among them."""
    with patch.object(heard, "_NEWEST", newest), reading(database) as session:
        found = heard_of(session, session.get_one(Study, study.id), people, LATER, lease=LEASE)
    assert {key: aware(at) for key, at in found.last.items()} == {
        people[0]: START + timedelta(hours=3),
        people[1]: START + timedelta(days=1, hours=2),
        people[2]: START + timedelta(days=2, hours=2),
        people[3]: LATER - timedelta(minutes=5),
        people[4]: START + timedelta(days=1),
    }
    assert found.in_hand == {people[3]: 1}


@pytest.mark.parametrize("repeats", [False, True])
@pytest.mark.parametrize("free", [slice(0), slice(1), slice(2, 9), slice(None, None, 2), slice(None)])
def test_what_somebody_had_of_what_is_free_is_counted_once(database, study, people, repeats, free):
    with reading(database) as session:
        kept = session.get_one(Study, study.id)
        kept.repeat_items = repeats
        pairs = session.exec(select(Pair.id).where(Pair.study_id == kept.id).order_by(Pair.id)).all()
        slots = [(item.id, pair) for item in items_of(session, kept) for pair in pairs][free]
        columns = judged_columns(session, kept, unfinished_of(session, kept.id).finished)
        found = seen_of_free(session, kept, slots, columns)
        had = session.exec(
            select(Presentation.annotator_id, Presentation.item_id, Presentation.pair_id).where(
                Presentation.study_id == kept.id
            )
        ).all()
    key = (lambda item, pair: (item, pair)) if repeats else (lambda item, _pair: item)
    wanted = {key(*slot) for slot in slots}
    counts = {one: len(wanted & {key(*rest) for who, *rest in had if who == one}) for one in people}
    assert found == (len(wanted), {one: number for one, number in counts.items() if number} if wanted else {})
