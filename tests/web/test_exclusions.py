"""Exclusion rules through their page: previewed by their counts, added, revoked, and never deleted."""

import re

import pytest
from bs4 import BeautifulSoup
from sqlmodel import select

from app.db import reading, writing
from models import (
    Exclusion,
    Membership,
    MemberState,
    Preference,
    Presentation,
    Revision,
    Study,
    StudyEvent,
    WithdrawalPolicy,
)
from tests.factories import fill_study, make_study
from tests.web.monitor_help import gold, items_of, judge, person

L, R = Preference.LEFT, Preference.RIGHT


def words(tag):
    return re.sub(r"\s+", " ", tag.get_text(" ")).strip()


def page_of(client, study, headers=None, status=200, **query):
    answer = client.get(f"/studies/{study.id}/exclusions", params=query, headers=headers or {})
    assert answer.status_code == status, answer.text
    return BeautifulSoup(answer.text, "html.parser")


def rows_of(table):
    return [[words(cell) for cell in row.find_all(["th", "td"])] for row in table.select("tbody tr")]


def rules(database):
    with reading(database) as session:
        return session.exec(select(Exclusion).order_by(Exclusion.created_at)).all()


@pytest.fixture
def judged(database, study, bob):
    """Three items: Bob judges all, the last in 2 s; somebody else judges the first, and a gold item in 1 s."""
    with writing(database) as session:
        one = session.get(Study, study.id)
        fill_study(session, one)
        items = items_of(session, one)
        other = person(session, one, 2)
        judge(session, one, bob, items[0], L)
        judge(session, one, bob, items[1], L, recognised_model=True)
        judge(session, one, bob, items[2], R, active_ms=2_000)
        judge(session, one, other, items[0], R)
        judge(session, one, other, gold(session, one), L, left="worse", active_ms=1_000)
        return other


def test_a_preview_counts_before_and_after_and_stores_nothing(researcher, database, study, judged, htmx):
    page = page_of(researcher, study, htmx, rule="min_active", seconds="5", reason="too fast")
    assert (page.find("html") is None) == bool(htmx)
    # Four regular judgments of two people; one of them took 2 s. The gold one is no result.
    assert rows_of(page.select_one("#preview table")) == [
        ["Judgments", "4", "3", "1"],
        ["Annotators with any", "2", "2", "0"],
        ["lft against sft", "4", "3", "1"],
    ]
    assert rules(database) == []
    form = page.select_one("#preview form")
    sent = {one["name"]: one["value"] for one in form.select("input")}
    assert researcher.post(form["action"], data=sent).status_code == 303
    (rule,) = rules(database)
    assert (rule.rule, rule.settings, rule.reason, rule.revoked_at) == (
        "min_active",
        {"seconds": 5.0},
        "too fast",
        None,
    )


def test_a_preview_starts_from_the_rules_that_hold(researcher, study, judged):
    researcher.post(f"/studies/{study.id}/exclusions", data={"rule": "min_active", "seconds": "5"})
    page = page_of(researcher, study, rule="recognised")
    assert rows_of(page.select_one("#preview table"))[0] == ["Judgments", "3", "2", "1"]


def test_a_revoked_rule_stays_with_who_and_when(researcher, database, study, judged):
    researcher.post(f"/studies/{study.id}/exclusions", data={"rule": "recognised"})
    assert "3 of 4 judgments count now" in words(page_of(researcher, study).main)
    (rule,) = rules(database)
    assert researcher.post(f"/studies/{study.id}/exclusions/{rule.id}/revoke").status_code == 303
    page = page_of(researcher, study)
    assert "4 of 4 judgments count now" in words(page.main)
    (row,) = rows_of(page.select_one("#main table"))
    assert row[:3] == ["Judgments where a model was recognised", "1", "1"]
    assert "revoked by Alice" in row[4]
    again = researcher.post(f"/studies/{study.id}/exclusions/{rule.id}/revoke")
    assert (again.status_code, "revoked already" in again.text) == (409, True)
    # Adding it anew is a new rule beside the old one.
    researcher.post(f"/studies/{study.id}/exclusions", data={"rule": "recognised"})
    assert [one.revoked_at is None for one in rules(database)] == [False, True]
    with reading(database) as session:
        log = session.exec(select(StudyEvent.action).order_by(StudyEvent.created_at)).all()
    assert log == ["exclude", "include", "exclude"]


def test_the_same_rule_is_not_added_twice(researcher, database, study, judged):
    for expected in (303, 409):
        answer = researcher.post(f"/studies/{study.id}/exclusions", data={"rule": "min_active", "seconds": "5"})
        assert answer.status_code == expected
    assert len(rules(database)) == 1


def test_a_named_annotator_needs_a_reason(researcher, database, study, judged, htmx):
    typed = {"rule": "annotator", "annotator": "a00000000002", "reason": " "}
    page = page_of(researcher, study, htmx, 422, **typed)
    assert "Reason: say why" in words(page.select_one("#preview"))
    answer = researcher.post(f"/studies/{study.id}/exclusions", data=typed, headers=htmx)
    assert answer.status_code == 422
    assert rules(database) == []
    assert researcher.post(f"/studies/{study.id}/exclusions", data=typed | {"reason": "a bot"}).status_code == 303
    page = page_of(researcher, study)
    assert "a bot" in words(page.main)
    assert "3 of 4 judgments count now, from 1 of 2 annotators" in words(page.main)


@pytest.mark.parametrize(
    ("typed", "problem"),
    [
        ({"rule": "<b>x</b>"}, "There is no rule '<b>x</b>'"),
        ({"rule": "min_active", "seconds": "fast"}, "Least active time"),
        ({"rule": "annotator", "annotator": "someone else", "reason": "x"}, "choose one of this study's annotators"),
        ({}, "There is no rule ''"),
    ],
)
def test_a_wrong_rule_is_refused_in_words(researcher, database, study, judged, typed, problem):
    answer = researcher.post(f"/studies/{study.id}/exclusions", data=typed)
    assert answer.status_code == 422
    assert problem in words(BeautifulSoup(answer.text, "html.parser").select_one("#preview"))
    assert rules(database) == []


def test_gold_and_straight_lining_take_out_everything_of_a_person(researcher, study, judged):
    gold_rule = page_of(researcher, study, rule="gold_failed", share="50", min_n="1")
    assert rows_of(gold_rule.select_one("#preview table"))[:2] == [
        ["Judgments", "4", "3", "1"],
        ["Annotators with any", "2", "1", "1"],
    ]
    # Bob chose left in two of three.
    straight = page_of(researcher, study, rule="straight_lining", share="66", min_n="3")
    assert rows_of(straight.select_one("#preview table"))[0] == ["Judgments", "4", "1", "3"]


def test_the_policy_for_those_who_withdraw_counts_without_a_rule(researcher, database, study, judged, bob):
    with writing(database) as session:
        session.get_one(Membership, (study.id, bob.id)).state = MemberState.WITHDRAWN
    assert "4 of 4 judgments count" in words(page_of(researcher, study).main)
    with writing(database) as session:
        session.get_one(Study, study.id).withdrawal = WithdrawalPolicy.EXCLUDE
    text = words(page_of(researcher, study).main)
    assert "1 of 4 judgments count" in text
    assert "1 person so far" in text


def test_the_monitor_and_the_judgment_say_what_is_excluded(researcher, database, study, judged, bob):
    researcher.post(f"/studies/{study.id}/exclusions", data={"rule": "recognised"})
    page = BeautifulSoup(researcher.get(f"/studies/{study.id}/monitor").text, "html.parser")
    assert "Excluded 1 judgment" in words(page.find(id="pace-title").find_parent("section"))
    with reading(database) as session:
        query = select(Presentation.id).join(Revision).where(Revision.recognised_model)
        token = session.exec(query).one()
    text = words(BeautifulSoup(researcher.get(f"/studies/{study.id}/judgments/{token}").text, "html.parser").main)
    assert "Not counted in the results, because of: Recognised a model." in text


def test_a_rule_of_another_study_cannot_be_revoked_from_here(researcher, database, study, judged, alice):
    with writing(database) as session:
        other = make_study(session, owner=alice, slug="other")
    researcher.post(f"/studies/{study.id}/exclusions", data={"rule": "recognised"})
    (rule,) = rules(database)
    assert researcher.post(f"/studies/{other.id}/exclusions/{rule.id}/revoke").status_code == 404
    assert rules(database)[0].revoked_at is None
