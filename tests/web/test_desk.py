"""The desk and what leads on from it: the check, breaks, leaving, heartbeats, practice and gold."""

from datetime import timedelta

import pytest
from sqlmodel import select

from app.db import reading, writing
from app.judging.claims import claim
from models import (
    Item,
    ItemKind,
    ItemResponse,
    Membership,
    MemberState,
    Pair,
    Presentation,
    PresentationState,
    Study,
    StudyEvent,
    User,
    WithdrawalPolicy,
)
from models.base import now
from tests.factories import add, fill_study, make_arm, make_item, make_member, make_response, make_user
from tests.web.judging_help import an_answer, change, post, take

LEASE = timedelta(minutes=60)
CHECK = [
    {"question": "What counts?", "choices": ["Length", "What is written"], "right": 1, "why": "Length is no merit."},
    {"question": "May you look things up?", "choices": ["Yes", "No"], "right": 0, "why": ""},
]


@pytest.fixture
def filled(database, study):
    with writing(database) as session:
        fill_study(session, session.get_one(Study, study.id), prompts=tuple(f"Prompt {n}?" for n in range(6)))
    return study


@pytest.fixture
def dora(database, filled):
    with writing(database) as session:
        user = make_user(session, email="dora@example.org", name="Dora")
        make_member(session, study=filled, user=user, pid="a2")
        return user


def add_special(session, study, kind, positions):
    """Practice or gold items answered by the study's two special arms."""
    pair = session.exec(select(Pair).where(Pair.study_id == study.id, Pair.special)).first()
    if pair is None:
        arms = [make_arm(session, study=study, name=name, special=True) for name in ("better", "worse")]
        pair = add(session, Pair(study_id=study.id, first_arm_id=arms[0].id, second_arm_id=arms[1].id, special=True))
    for position in positions:
        item = make_item(session, study=study, position=position, kind=kind, expected="better")
        for arm_id in (pair.first_arm_id, pair.second_arm_id):
            response = make_response(session, text=f"{kind} {position} {arm_id}")
            add(session, ItemResponse(item_id=item.id, arm_id=arm_id, response_id=response.id))


def judge_all(client, study, *, limit=50):
    """Judge until nothing is handed out; the tokens in order."""
    tokens = []
    while (token := take(client, study)) is not None and len(tokens) < limit:
        assert post(client, token, "submit", an_answer()).status_code == 200
        tokens.append(token)
    return tokens


def kinds_of(database, tokens):
    with reading(database) as session:
        rows = [session.get_one(Presentation, token) for token in tokens]
        return [session.get_one(Item, row.item_id).kind for row in rows]


def test_the_check_comes_before_the_first_item_and_is_passed_only_whole(annotator, database, filled):
    change(database, filled, comprehension=CHECK)
    gate = annotator.post("/judge/next", data={"study_id": filled.id})
    assert gate.headers["location"] == f"/judge/check/{filled.id}"
    page = annotator.get(f"/judge/check/{filled.id}").text
    assert "you have 2 attempts" in page
    assert "Length is no merit" not in page
    assert annotator.post(f"/judge/check/{filled.id}", data={"q0": "1"}).status_code == 422
    assert annotator.post(f"/judge/check/{filled.id}", data={"q0": "1", "q1": "2"}).status_code == 422
    annotator.post(f"/judge/check/{filled.id}", data={"q0": "0", "q1": "0"})
    again = annotator.get(f"/judge/check/{filled.id}").text
    assert "1 of 2 were right" in again
    assert "Length is no merit" not in again
    passed = annotator.post(f"/judge/check/{filled.id}", data={"q0": "1", "q1": "0"})
    assert passed.headers["location"] == "/judge?stay"
    assert take(annotator, filled) is not None


def test_who_fails_the_check_twice_is_thanked_and_gets_no_item(annotator, database, filled, bob):
    change(database, filled, comprehension=CHECK)
    for _ in range(3):
        annotator.post(f"/judge/check/{filled.id}", data={"q0": "0", "q1": "0"})
    assert "Length is no merit" in annotator.get(f"/judge/check/{filled.id}").text
    assert "Thank you for your time" in annotator.get("/judge").text
    with writing(database) as session:
        study, user = session.get_one(Study, filled.id), session.get_one(User, bob.id)
        assert claim(session, study, user, now(), lease=LEASE) is None
        assert [event.action for event in session.exec(select(StudyEvent))] == ["check failed"]


def test_a_heartbeat_keeps_an_item_until_it_is_done(annotator, database, filled):
    token = take(annotator, filled)
    with writing(database) as session:
        session.get_one(Presentation, token).leased_until = now() + timedelta(seconds=5)
    beat = annotator.post(f"/judge/{token}/heartbeat", headers={"Accept": "application/json"})
    assert beat.json() == {"lease_s": 3600}
    with reading(database) as session:
        left = session.get_one(Presentation, token).leased_until - now()
    assert left > timedelta(minutes=59)
    post(annotator, token, "submit", an_answer())
    assert annotator.post(f"/judge/{token}/heartbeat").status_code == 409


def test_a_break_gives_back_what_is_in_hand_and_ends_with_a_button(annotator, client_for, database, filled, dora):
    change(database, filled, overlap=1)
    token = take(annotator, filled)
    annotator.post(f"/judge/studies/{filled.id}/pause")
    assert "You are taking a break" in annotator.get("/judge").text
    assert take(annotator, filled) is None
    refused = post(annotator, token, "draft", an_answer())
    assert (refused.status_code, "paused" in refused.json()["error"]["message"]) == (409, True)
    assert len(judge_all(client_for(dora), filled)) == 6
    annotator.post(f"/judge/studies/{filled.id}/resume")
    assert take(annotator, filled) is None


def test_somebody_a_researcher_stopped_cannot_start_again_alone(annotator, database, filled, bob):
    with writing(database) as session:
        member = session.get_one(Membership, (filled.id, bob.id))
        member.state, member.told = MemberState.PAUSED, "paused by Alice"
    annotator.post(f"/judge/studies/{filled.id}/pause")
    assert annotator.post(f"/judge/studies/{filled.id}/resume").status_code == 409
    assert "has paused your part" in annotator.get("/judge").text
    assert take(annotator, filled) is None


@pytest.mark.parametrize(
    ("policy", "words", "others"),
    [(WithdrawalPolicy.KEEP, "stays in its results", 5), (WithdrawalPolicy.EXCLUDE, "is left out of its results", 6)],
)
def test_leaving_says_what_becomes_of_the_work_and_does_so(
    annotator, client_for, database, filled, dora, bob, policy, words, others
):
    change(database, filled, overlap=1, withdrawal=policy)
    post(annotator, take(annotator, filled), "submit", an_answer())
    held = take(annotator, filled)
    page = annotator.get(f"/judge/studies/{filled.id}/withdraw").text
    assert words in page
    with reading(database) as session:
        assert session.get_one(Membership, (filled.id, bob.id)).state == MemberState.ACTIVE
    annotator.post(f"/judge/studies/{filled.id}/withdraw", data={"reason": " No time. "})
    with reading(database) as session:
        member = session.get_one(Membership, (filled.id, bob.id))
        assert (member.state, member.told) == (MemberState.WITHDRAWN, "No time.")
        assert session.get_one(Presentation, held).state == PresentationState.EXPIRED
    for answer in (an_answer(), an_answer(preference="cannot_judge", skip_reason="x", ratings={})):
        assert post(annotator, held, "submit", answer).status_code == 409
    assert annotator.post(f"/judge/studies/{filled.id}/resume").status_code == 409
    assert take(annotator, filled) is None
    assert len(judge_all(client_for(dora), filled)) == others


def test_practice_comes_first_in_order_for_everybody_and_gold_in_between(annotator, client_for, database, filled, dora):
    with writing(database) as session:
        add_special(session, filled, ItemKind.PRACTICE, (101, 100))
        add_special(session, filled, ItemKind.GOLD, (200, 201))
    change(database, filled, overlap=2)
    for client in (annotator, client_for(dora)):
        tokens = judge_all(client, filled)
        kinds = kinds_of(database, tokens)
        assert kinds[:2] == [ItemKind.PRACTICE] * 2
        assert kinds.count(ItemKind.GOLD) == 2
        assert kinds.count(ItemKind.REGULAR) == 6
        assert kinds[2] == ItemKind.REGULAR
        with reading(database) as session:
            items = [session.get_one(Item, session.get_one(Presentation, token).item_id) for token in tokens[:2]]
        assert [item.position for item in items] == [100, 101]


def test_an_items_own_overlap_and_the_limit_of_a_person_hold(annotator, client_for, database, filled, dora):
    with writing(database) as session:
        first = session.exec(select(Item).where(Item.position == 1)).one()
        first.overlap = 1
    change(database, filled, overlap=2, per_annotator=4)
    assert len(judge_all(annotator, filled)) == 4
    assert len(judge_all(client_for(dora), filled)) == 4
    with reading(database) as session:
        rows = session.exec(select(Presentation).where(Presentation.item_id == first.id)).all()
    assert len(rows) <= 1


def test_a_withheld_response_is_never_handed_out(annotator, database, filled):
    with writing(database) as session:
        withheld = session.exec(select(ItemResponse)).first()
        withheld.withheld = True
        item_id = withheld.item_id
    tokens = judge_all(annotator, filled)
    assert len(tokens) == 5
    with reading(database) as session:
        assert item_id not in {session.get_one(Presentation, token).item_id for token in tokens}


def test_nobody_judges_one_prompt_in_two_pairs_unless_the_study_allows_it(annotator, database, study):
    with writing(database) as session:
        fill_study(session, session.get_one(Study, study.id), prompts=("A?", "B?"), arms=("x", "y", "z"))
    assert len(judge_all(annotator, study)) == 2
    change(database, study, repeat_items=True)
    assert len(judge_all(annotator, study)) == 4


def test_a_clock_set_forward_and_back_neither_breaks_the_cap_nor_hides_a_place(database, filled, bob, dora):
    change(database, filled, overlap=1)
    start = now()

    def claim_at(user, moment):
        with writing(database) as session:
            study, person = session.get_one(Study, filled.id), session.get_one(User, user.id)
            return claim(session, study, person, moment, lease=LEASE)

    for user, ahead in ((bob, 0), (dora, 5), (bob, 0)):
        claim_at(user, start + timedelta(hours=ahead))
    with reading(database) as session:
        held = session.exec(select(Presentation).where(Presentation.state == PresentationState.LEASED)).all()
        assert len({row.item_id for row in held}) == len(held)
    # A lease given out while the clock was years ahead ends like any other once it is right again.
    claim_at(dora, start + timedelta(days=3650))
    claim_at(bob, start)
    with reading(database) as session:
        ends = session.exec(
            select(Presentation.leased_until).where(Presentation.state == PresentationState.LEASED)
        ).all()
    assert max(ends) <= start + LEASE
