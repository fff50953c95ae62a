"""Leak flags of a study: scanned before it opens, decided one by one or by group, taken back, exported."""

import csv
import io

import pytest
from bs4 import BeautifulSoup
from sqlmodel import select

from app.db import reading, writing
from models import Item, ItemResponse, LeakDecision, LeakFlag, LeakKind, Response, Study, StudyEvent, StudyState
from tests.factories import fill_study, make_arm, make_response
from tests.web.judging_help import page_data, take

PROMPTS = ("Why is the sky blue?", "Name two rivers.", "What is a kettle?")
TELLING = "As an AI language model, I think it boils."


@pytest.fixture
def draft(database, study):
    """A draft in which one response says what it is."""
    with writing(database) as session:
        row = session.get_one(Study, study.id)
        row.state = StudyState.DRAFT
        fill_study(session, row, prompts=PROMPTS, text="{prompt} {arm}.")
        telling = session.exec(select(Response)).first()
        telling.text = TELLING
    return study


def flags(database):
    with reading(database) as session:
        return session.exec(select(LeakFlag)).all()


def opened(client, study):
    return client.post(f"/studies/{study.id}/state", data={"state": "open"})


def decide(client, study, headers=None, **form):
    return client.post(f"/studies/{study.id}/leaks", data=form, headers=headers)


def state_of(database, study):
    with reading(database) as session:
        return session.get_one(Study, study.id).state


def test_a_study_does_not_open_before_each_flag_is_decided(researcher, database, draft):
    answer = opened(researcher, draft)
    assert answer.status_code == 409
    assert "undecided in 1 place." in answer.text
    assert state_of(database, draft) == StudyState.DRAFT
    (flag,) = flags(database)
    assert (flag.kind, TELLING[flag.start : flag.end]) == (LeakKind.SELF_IDENTIFICATION, flag.quote)
    assert decide(researcher, draft, flag=flag.id, decision="keep").status_code == 303
    assert opened(researcher, draft).status_code == 303
    assert state_of(database, draft) == StudyState.OPEN


def test_what_is_in_no_pair_holds_nothing_up(researcher, database, draft):
    with writing(database) as session:
        study = session.get_one(Study, draft.id)
        telling = session.exec(select(Response).where(Response.text == TELLING)).one()
        given = session.exec(select(ItemResponse).where(ItemResponse.response_id == telling.id)).one()
        spare = make_arm(session, study=study, name="spare")
        session.add(ItemResponse(item_id=given.item_id, arm_id=spare.id, response_id=telling.id))
        for item in session.exec(select(Item).where(Item.id != given.item_id)):
            other = make_response(session, checkpoint="spare", text=f"{item.prompt} So.")
            session.add(ItemResponse(item_id=item.id, arm_id=spare.id, response_id=other.id))
        harmless = make_response(session, checkpoint="lft", text="It boils.")
        given.response_id = harmless.id
    assert opened(researcher, draft).status_code == 303
    assert [flag.decision for flag in flags(database)] == [LeakDecision.UNDECIDED]


def test_ordinary_responses_hold_nothing_up(researcher, database, study):
    with writing(database) as session:
        row = session.get_one(Study, study.id)
        row.state = StudyState.DRAFT
        fill_study(session, row, prompts=PROMPTS, text="{prompt} {arm}.")
    assert opened(researcher, study).status_code == 303
    assert flags(database) == []


def test_what_is_redacted_is_masked_for_annotators_and_whole_for_researchers(researcher, annotator, database, draft):
    opened(researcher, draft)
    (flag,) = flags(database)
    decide(researcher, draft, flag=flag.id, decision="redact")
    opened(researcher, draft)
    seen = []
    while (token := take(annotator, draft)) and len(seen) < 6:
        seen += page_data(annotator, token)["texts"].values()
        annotator.post(f"/judge/{token}/submit", data=skipped())
    masked = [text for text in seen if "\u2588" in text]
    assert [len(text) for text in masked] == [len(TELLING)]
    assert flag.quote not in "".join(seen)
    assert flag.quote in researcher.get(f"/studies/{draft.id}/leaks?show=all").text


def skipped():
    from tests.web.judging_help import a_form  # noqa: PLC0415

    return a_form(preference="cannot_judge", skip_reason="too short")


def test_an_excluded_response_is_withheld_and_comes_back_when_taken_back(researcher, database, draft):
    opened(researcher, draft)
    (flag,) = flags(database)

    def withheld():
        with reading(database) as session:
            return session.exec(select(ItemResponse.response_id).where(ItemResponse.withheld)).all()

    decide(researcher, draft, flag=flag.id, decision="exclude")
    assert withheld() == [flag.response_id]
    decide(researcher, draft, flag=flag.id, decision="undecided")
    assert withheld() == []
    assert flags(database)[0].decided_by is None
    with reading(database) as session:
        told = session.exec(select(StudyEvent.detail).where(StudyEvent.action == "leaks")).all()
    assert len(told) == 2


def test_a_group_is_decided_at_once_and_a_later_scan_keeps_it(researcher, database, draft, htmx):
    opened(researcher, draft)
    answer = decide(researcher, draft, headers=htmx, kind="self_identification", arm=arm_of(database), decision="keep")
    assert answer.status_code == (200 if htmx else 303)
    if htmx:
        assert (
            BeautifulSoup(answer.text, "html.parser").select_one("[data-leaks-said]").text.startswith("No flag waits")
        )
    researcher.post(f"/studies/{draft.id}/leaks/scan", headers=htmx)
    assert [flag.decision for flag in flags(database)] == [LeakDecision.KEEP]


def arm_of(database):
    from models import Arm  # noqa: PLC0415

    with reading(database) as session:
        query = select(Arm.name).join(ItemResponse).join(LeakFlag, LeakFlag.response_id == ItemResponse.response_id)
        return session.exec(query).one()


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"decision": "burn", "flag": "0" * 16}, 422),
        ({"decision": "keep", "flag": "0" * 16}, 404),
        ({"decision": "keep", "kind": "rumour", "arm": "lft"}, 422),
        ({"decision": "keep", "kind": "template", "arm": "nobody"}, 404),
        ({}, 422),
    ],
)
def test_what_cannot_be_decided_is_refused_in_words(researcher, database, draft, form, status):
    opened(researcher, draft)
    assert decide(researcher, draft, **form).status_code == status
    assert [flag.decision for flag in flags(database)] == [LeakDecision.UNDECIDED]


def test_nothing_is_decided_while_the_study_is_open(researcher, database, draft):
    opened(researcher, draft)
    (flag,) = flags(database)
    decide(researcher, draft, flag=flag.id, decision="keep")
    opened(researcher, draft)
    assert decide(researcher, draft, flag=flag.id, decision="exclude").status_code == 409
    assert flags(database)[0].decision == LeakDecision.KEEP


def test_every_flag_is_exported_with_its_decision(researcher, database, draft, alice):
    opened(researcher, draft)
    (flag,) = flags(database)
    decide(researcher, draft, flag=flag.id, decision="redact")
    table = researcher.get(f"/studies/{draft.id}/export/leak_flags.csv").text
    (row,) = csv.DictReader(io.StringIO(table, newline=""))
    assert (row["quote"], row["decision"], row["decided_by"]) == (flag.quote, "redact", alice.id)
    assert row["decided_at"]


def test_model_text_in_a_flag_is_only_ever_text(researcher, database, draft):
    hostile = "As an AI language model <img src=x onerror=alert(1)> I am <script>alert(1)</script>"
    with writing(database) as session:
        telling = session.exec(select(Response).where(Response.text == TELLING)).one()
        telling.text = hostile
    opened(researcher, draft)
    page = BeautifulSoup(researcher.get(f"/studies/{draft.id}/leaks").text, "html.parser").select_one("#leaks")
    assert not page.select("img, script")
    assert "onerror=alert(1)" in page.text
