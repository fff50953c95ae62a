"""The way to an open study: a checklist that tells, and gates that hold in the transaction that opens it."""

import re
from datetime import timedelta

import pytest
from bs4 import BeautifulSoup
from sqlmodel import select

from app.db import reading, writing
from app.demo.seed import add_demo_study, open_demo_study
from app.errors import ConflictError
from app.leaks.scanning import scan_study
from app.studies.opening_facts import checklist
from app.studies.queries import change_state
from app.studies.questions import EvidenceQuestion, Questions, write_questions
from models import (
    Arm,
    GenerationRun,
    Invite,
    Item,
    ItemKind,
    ItemResponse,
    LeakDecision,
    LeakFlag,
    LeakKind,
    Membership,
    MemberState,
    Response,
    Role,
    Study,
    StudyEvent,
    StudyState,
)
from models.base import now
from tests.factories import add, fill_study, make_response, make_tuning_set
from tests.web.monitor_help import gold, person


@pytest.fixture
def draft(database, study):
    """A draft that may open: three prompts, two arms that answered them all, scanned; Bob has joined."""
    with writing(database) as session:
        row = session.get_one(Study, study.id)
        row.state, row.overlap = StudyState.DRAFT, 2
        fill_study(session, row)
    scan_study(database, study.id)
    return study


def seen(client, study):
    """Return the checklist as (state in words, sentence, link) by title."""
    page = BeautifulSoup(client.get(f"/studies/{study.id}").text, "html.parser")
    rows = {}
    for row in page.select(".opening > li"):
        link = row.find("a")
        sentence = re.sub(r"\s+", " ", row.p.get_text(" ")).strip()
        rows[row.h3.text] = (row.select_one(".opening-state").text, sentence, link and link["href"])
    return rows


def opened(client, study):
    return client.post(f"/studies/{study.id}/state", data={"state": "open"})


def state_of(database, study):
    with reading(database) as session:
        return session.get_one(Study, study.id).state


def refused(client, database, study, sentence):
    answer = opened(client, study)
    assert answer.status_code == 409
    text = re.sub(r"\s+", " ", BeautifulSoup(answer.text, "html.parser").get_text(" "))
    assert "This study cannot open yet." in text
    assert sentence in text
    assert state_of(database, study) == StudyState.DRAFT


def test_the_checklist_of_a_whole_draft_is_done_and_it_opens(researcher, database, draft):
    with writing(database) as session:
        person(session, session.get_one(Study, draft.id), 2)
    found = seen(researcher, draft)
    assert {title: state for title, (state, _, _) in found.items()} == dict.fromkeys(
        [
            "Prompts", "Arms and pairs", "Responses", "Leak flags", "Guidelines", "Practice and gold items",
            "Comprehension check", "People", "Enough people",
        ],
        "done",
    )  # fmt: skip
    assert found["Arms and pairs"][1] == "2 arms; lft against sft."
    assert found["Responses"][1] == "All 6 are there."
    assert found["Leak flags"][1] == "Every response is scanned; no flag."
    assert found["People"][1] == "2 people have joined."
    assert opened(researcher, draft).status_code == 303
    # While it is open nothing is to be done.
    assert seen(researcher, draft) == {}


def test_an_empty_draft_says_all_it_needs_and_where(researcher, database, study):
    with writing(database) as session:
        row = session.get_one(Study, study.id)
        row.state, row.guidelines = StudyState.DRAFT, "  \n"
    found = seen(researcher, study)
    assert {title: where for title, (state, _, where) in found.items() if state == "to do"} == {
        "Prompts": f"/studies/{study.id}/setup#s-prompts",
        "Arms and pairs": f"/studies/{study.id}/setup#s-arms",
        "Guidelines": f"/studies/{study.id}/setup#s-guide",
    }
    refused(researcher, database, study, "It has no prompts. It needs two arms to compare.")
    refused(researcher, database, study, "No guidelines are written")


def test_holes_block_unless_accepted_and_lead_to_generation(researcher, database, draft):
    with writing(database) as session:
        item = session.exec(select(Item).where(Item.study_id == draft.id, Item.position == 2)).one()
        session.delete(session.exec(select(ItemResponse).where(ItemResponse.item_id == item.id)).first())
    state, sentence, link = seen(researcher, draft)["Responses"]
    assert state == "to do"
    assert sentence.startswith("1 response is missing: item 2 from ")
    assert link == f"/studies/{draft.id}/generation"
    refused(researcher, database, draft, "1 response is missing: item 2 from ")
    with writing(database) as session:
        session.get_one(Study, draft.id).allow_holes = True
    state, sentence, _ = seen(researcher, draft)["Responses"]
    assert state == "note"
    assert "it may open all the same" in sentence
    assert opened(researcher, draft).status_code == 303


def test_a_study_that_is_being_filled_does_not_open_and_says_so(researcher, database, draft):
    with writing(database) as session:
        run = add(session, GenerationRun(study_id=draft.id, total=6))
    assert seen(researcher, draft)["Responses"][:2] == (
        "to do",
        "Responses are being generated. Generation for Responses",
    )
    assert opened(researcher, draft).status_code == 409
    # Without a sign of life for a day it is no longer one.
    with writing(database) as session:
        session.get_one(GenerationRun, run.id).touched_at = now() - timedelta(days=1)
    assert seen(researcher, draft)["Responses"][0] == "done"
    assert opened(researcher, draft).status_code == 303


def test_holes_that_leave_nothing_to_show_are_never_accepted(researcher, database, draft):
    with writing(database) as session:
        session.get_one(Study, draft.id).allow_holes = True
        lft = session.exec(select(Arm).where(Arm.study_id == draft.id, Arm.name == "lft")).one()
        for answer in session.exec(select(ItemResponse).where(ItemResponse.arm_id == lft.id)):
            answer.withheld = True
    refused(researcher, database, draft, "No item has two responses of a pair that may be shown")


@pytest.mark.parametrize("kind", [ItemKind.GOLD, ItemKind.PRACTICE])
@pytest.mark.parametrize("lack", ["answer", "response"])
def test_a_practice_or_gold_item_that_is_not_whole_blocks(researcher, database, draft, kind, lack):
    with writing(database) as session:
        item = gold(session, session.get_one(Study, draft.id), kind=kind)
    assert seen(researcher, draft)["Practice and gold items"][0] == "done"
    with writing(database) as session:
        if lack == "answer":
            session.get_one(Item, item.id).expected = ""
        else:
            worse = session.exec(select(Arm).where(Arm.study_id == draft.id, Arm.name == "worse")).one()
            session.delete(session.get_one(ItemResponse, (item.id, worse.id)))
    said = "has no expected answer" if lack == "answer" else "has no worse response"
    sentence = f"The {kind.value} item “Gold 100” {said}."
    state, shown, link = seen(researcher, draft)["Practice and gold items"]
    assert (state, link) == ("to do", f"/studies/{draft.id}/setup#s-check")
    assert sentence in shown
    refused(researcher, database, draft, sentence)


def test_a_malformed_comprehension_check_blocks(researcher, database, draft):
    question = {"question": "Which?", "choices": ["a", "b"], "right": 2, "why": ""}
    with writing(database) as session:
        session.get_one(Study, draft.id).comprehension = [question]
    assert seen(researcher, draft)["Comprehension check"][0] == "to do"
    refused(researcher, database, draft, "Question 1 has no right choice.")


def test_evidence_needs_its_tuning_set(researcher, database, draft):
    with writing(database) as session:
        tuning_set = make_tuning_set(session)
        row = session.get_one(Study, draft.id)
        row.questions = write_questions(Questions(evidence=EvidenceQuestion("gone")))
    refused(researcher, database, draft, "The tuning set that evidence is taken from is not here")
    with writing(database) as session:
        row = session.get_one(Study, draft.id)
        row.questions = write_questions(Questions(evidence=EvidenceQuestion(tuning_set.id)))
    assert seen(researcher, draft)["Evidence"][:2] == ("done", "Its tuning set is imported.")
    assert opened(researcher, draft).status_code == 303


def test_what_arrived_after_the_scan_keeps_it_closed(database, draft):
    """The gate is read in the transaction that opens: a response nobody has scanned cannot slip in before it."""
    with writing(database) as session:
        answer = session.exec(select(ItemResponse)).first()
        answer.scanned_with = ""
    with writing(database) as session, pytest.raises(ConflictError, match="1 response is not scanned yet"):
        change_state(session, session.get_one(Study, draft.id), StudyState.OPEN)
    assert state_of(database, draft) == StudyState.DRAFT
    scan_study(database, draft.id)
    with writing(database) as session:
        change_state(session, session.get_one(Study, draft.id), StudyState.OPEN)
    assert state_of(database, draft) == StudyState.OPEN


def test_people_and_overlap_are_notes_that_hold_nothing_up(researcher, database, draft, bob):
    at = now()
    with writing(database) as session:
        session.get_one(Study, draft.id).overlap = 4
        values = {"role": Role.ANNOTATOR, "study_id": draft.id}
        add(session, Invite(**values, token_sha256="a", expires_at=at + timedelta(days=1)))
        add(session, Invite(**values, token_sha256="b", expires_at=at - timedelta(days=1)))
        add(session, Invite(**values, token_sha256="c", expires_at=at + timedelta(days=1), used_at=at))
        add(session, Invite(**values, token_sha256="d", expires_at=at + timedelta(days=1), revoked_at=at))
        person(session, session.get_one(Study, draft.id), 2)
        session.get_one(Membership, (draft.id, bob.id)).state = MemberState.WITHDRAWN
    found = seen(researcher, draft)
    assert found["People"][:2] == ("done", "1 person has joined; 1 invite is open.")
    state, sentence, _ = found["Enough people"]
    assert state == "note"
    assert "at least 4 people. 2 are here or invited" in sentence
    with writing(database) as session:
        session.get_one(Study, draft.id).open_link_sha256 = "e"
    found = seen(researcher, draft)
    assert "anybody may join by the open link" in found["People"][1]
    assert found["Enough people"][0] == "done"
    assert opened(researcher, draft).status_code == 303


def test_a_paused_study_shows_what_keeps_it_from_opening_again(researcher, database, draft):
    assert opened(researcher, draft).status_code == 303
    researcher.post(f"/studies/{draft.id}/state", data={"state": "paused"})
    page = BeautifulSoup(researcher.get(f"/studies/{draft.id}").text, "html.parser")
    assert not page.select_one("details:has(#opening-title)").has_attr("open")
    with writing(database) as session:
        session.get_one(Study, draft.id).guidelines = ""
    page = BeautifulSoup(researcher.get(f"/studies/{draft.id}").text, "html.parser")
    assert page.select_one("details:has(#opening-title)").has_attr("open")
    assert opened(researcher, draft).status_code == 409


def test_the_demo_goes_through_the_same_gate(database):
    """Scanned, each flag decided by the demo's rule and in the log; a second start changes nothing."""
    slug = add_demo_study(database, weights="w" * 16)
    with writing(database) as session:
        study = session.exec(select(Study).where(Study.slug == slug)).one()
        for item in session.exec(select(Item).where(Item.study_id == study.id)).all():
            for arm in session.exec(select(Arm).where(Arm.study_id == study.id)).all():
                cut = (item.position, arm.name) == (2, "sft")
                named = "I am SmolLM, a language model. " if (item.position, arm.name) == (1, "lft") else ""
                response = make_response(
                    session, text=f"{named}{item.prompt} {arm.name[0]}.", finish="length" if cut else "stop"
                )
                add(session, ItemResponse(item_id=item.id, arm_id=arm.id, response_id=response.id))
    with writing(database) as session, pytest.raises(ConflictError, match="60 responses are not scanned yet"):
        change_state(session, session.get_one(Study, study.id), StudyState.OPEN)
    open_demo_study(database, slug, now=now())
    with reading(database) as session:
        study = session.get_one(Study, study.id)
        assert study.state == StudyState.OPEN
        decided = {flag.kind: flag for flag in session.exec(select(LeakFlag))}
        assert decided[LeakKind.SELF_IDENTIFICATION].decision == LeakDecision.REDACT
        assert decided[LeakKind.TRUNCATION].decision == LeakDecision.KEEP
        assert {flag.decided_by for flag in decided.values()} == {study.created_by}
        told = session.exec(select(StudyEvent.detail).where(StudyEvent.study_id == study.id)).all()
        assert any(line.startswith("Redacted 1 flag: says who it is") for line in told)
        states = {one.title: one.state for one in checklist(session, study, now())}
        assert states["Leak flags"] == "met"
        texts = session.exec(select(Response.text)).all()
        assert any("SmolLM" in text for text in texts), "masking changes what is shown, never what is stored"
    open_demo_study(database, slug, now=now())
    with reading(database) as session:
        assert len(session.exec(select(StudyEvent).where(StudyEvent.study_id == study.id)).all()) == len(told)
