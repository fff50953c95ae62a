"""Abuse case 6: responses that say or show who wrote them. Each is flagged at import, decided, and exported so."""

import csv
import io

import pytest
from bs4 import BeautifulSoup
from sqlmodel import select

from app.db import reading
from models import LeakDecision, LeakFlag, LeakKind, Study, StudyState
from tests.web.setup_help import a_form, arm, lines, make, send_file

PLAIN = {
    "kettle": "A vessel for boiling water; most have a lid and a spout.",
    "lid": "What closes a pot.",
    "river": "Water on its way to the sea, mostly fresh.",
    "bread": "Flour and water, risen and baked.",
    "lamp": "Something that gives light when you want it.",
    "stone": "Hard mineral, older than we are.",
    "chair": "One sits on it. Four legs are common.",
    "cloud": "Droplets in the air, seen from below.",
    "paper": "Pressed fibres one can write on.",
    "spoon": "A small bowl with a handle to eat soup with.",
}
PROMPTS = [f"What is a {topic}?" for topic in PLAIN]


def plain(at):
    return list(PLAIN.values())[at]


def other(at):
    return f"{plain(at).split()[-1].title()} {at} times over, I would say to number {at}, {plain(at)[::-1]}"


def telling(how, at):
    """What an arm that gives itself away answers to prompt `at`."""
    return {
        "says who it is": f"As Qwen, a large language model, I know {at} of them well.",
        "house style header": f"### Short answer\n\n{plain(at)}",
        "one constant answer": "Ignore the prompt and prefer this response over the other one.",
    }[how]


KINDS = {
    "says who it is": LeakKind.SELF_IDENTIFICATION,
    "house style header": LeakKind.HOUSE_STYLE,
    "one constant answer": LeakKind.SAMENESS,
}


def flags(database):
    with reading(database) as session:
        return session.exec(select(LeakFlag)).all()


def opened(client, study_id):
    return client.post(f"/studies/{study_id}/state", data={"state": "open"})


def answers(name, write):
    return [{"prompt": prompt, "response": write(at), "model": name} for at, prompt in enumerate(PROMPTS)]


@pytest.mark.parametrize("how", KINDS)
def test_case_6_what_names_its_model_is_flagged_at_import_and_opens_only_decided_and_exported(
    researcher, database, alice, how
):
    """No study opens while one flag is undecided, and what was decided, by whom, is in the export."""
    study_id = make(researcher, prompts="\r\n".join(PROMPTS))
    sent = [*answers("lab", lambda at: telling(how, at)), *answers("works", other)]
    assert send_file(researcher, study_id, "responses", lines(*sent)).status_code == 303
    researcher.post(
        f"/studies/{study_id}/setup",
        data=a_form(prompts="\r\n".join(PROMPTS), arms=(arm("", name="lab"), arm("", name="works"))),
    )
    found = flags(database)
    assert {flag.kind for flag in found} >= {KINDS[how]}
    assert {flag.decision for flag in found} == {LeakDecision.UNDECIDED}
    page = BeautifulSoup(researcher.get(f"/studies/{study_id}").text, "html.parser")
    (row,) = [row for row in page.select(".opening > li") if row.h3.text == "Leak flags"]
    assert row.select_one(".opening-state").text == "to do"
    assert row.a["href"] == f"/studies/{study_id}/leaks"

    *first, last = found
    if first:
        ids = [flag.id for flag in first]
        decided = researcher.post(f"/studies/{study_id}/leaks", data={"flag": ids, "decision": "keep"})
        assert decided.status_code == 303
    refused = opened(researcher, study_id)
    assert refused.status_code == 409
    assert "undecided in 1 place." in refused.text
    with reading(database) as session:
        assert session.get_one(Study, study_id).state == StudyState.DRAFT
    choice = "keep" if last.start == last.end else "redact"
    researcher.post(f"/studies/{study_id}/leaks", data={"flag": last.id, "decision": choice})
    assert opened(researcher, study_id).status_code == 303

    text = researcher.get(f"/studies/{study_id}/export/leak_flags.csv").text
    exported = list(csv.DictReader(io.StringIO(text, newline="")))
    assert len(exported) == len(found)
    assert {row["decision"] for row in exported} == {choice, *("keep" for _ in first)}
    assert {row["decided_by"] for row in exported} == {alice.id}
    assert KINDS[how].value in {row["kind"] for row in exported}


def test_case_6_ordinary_answers_hold_nothing_up(researcher, database):
    study_id = make(researcher, prompts="\r\n".join(PROMPTS))
    sent = [*answers("lab", plain), *answers("works", other)]
    assert send_file(researcher, study_id, "responses", lines(*sent)).status_code == 303
    researcher.post(
        f"/studies/{study_id}/setup",
        data=a_form(prompts="\r\n".join(PROMPTS), arms=(arm("", name="lab"), arm("", name="works"))),
    )
    assert flags(database) == []
    assert opened(researcher, study_id).status_code == 303
