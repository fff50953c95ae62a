"""Files brought into a draft: prompts, finished responses, practice and gold items; whole or not at all."""

import asyncio
import json
from contextlib import suppress

import pytest
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st
from sqlmodel import func, select

from app.db import reading
from app.studies.generate import generate_missing
from app.studies.read_files import read_finished, read_known
from app.studies.records import BadFileError, decoded
from models import Arm, Item, ItemKind, ItemResponse, Pair, Response, Study
from tests.web.setup_help import known, lines, make, send_file

BREAD, RIVERS = "Why does bread rise?", "Name two rivers."


def said(client, answer):
    assert answer.status_code == 303, BeautifulSoup(answer.text, "html.parser").main.text
    return (
        BeautifulSoup(client.get(answer.headers["location"]).text, "html.parser")
        .select_one(".banner")
        .text.strip()
        .split(": ", 1)[1]
    )


def refused(answer):
    assert answer.status_code in {409, 422}, answer.status_code
    return BeautifulSoup(answer.text, "html.parser").main.text


def everything(database):
    with reading(database) as session:
        return [
            session.exec(select(func.count()).select_from(table)).one() for table in (Item, Arm, ItemResponse, Response)
        ]


def test_prompts_come_from_a_file_of_each_kind(stranger, database):
    for name, content in (
        ("p.csv", 'prompt,note\n"Why, though?",x\nWhat is a kettle?,y\n'),
        ("p.jsonl", lines({"prompt": "Why, though?"}, {"prompt": "What is a kettle?"})),
        ("p.txt", "\ufeffWhy, though?\r\nWhat is a kettle?\r\n"),
    ):
        study_id = make(stranger, prompts="", name=name)
        assert said(stranger, send_file(stranger, study_id, "prompts", content, name=name)) == "2 prompts imported."
        with reading(database) as session:
            query = select(Item.prompt).where(Item.study_id == study_id).order_by(Item.position)
            assert session.exec(query).all() == ["Why, though?", "What is a kettle?"]
        again = send_file(stranger, study_id, "prompts", content, name=name)
        assert said(stranger, again) == "These 2 prompts were there already; nothing changed."


def test_finished_responses_in_the_shape_of_alpaca_eval_become_an_arm(stranger, database):
    study_id = make(stranger)
    records = [
        {"instruction": BREAD, "output": "Yeast. \U0001f35e", "generator": "other-lab", "dataset": "x"},
        {"instruction": "Never asked?", "output": "No.", "generator": "other-lab"},
    ]
    told = said(stranger, send_file(stranger, study_id, "responses", json.dumps(records), name="outputs.json"))
    assert told == (
        "other-lab: 1 of 2 prompts answered; missing: item 2. 1 row answers no prompt of this study and was left out."
    )
    with reading(database) as session:
        arm = session.exec(select(Arm).where(Arm.name == "other-lab")).one()
        assert arm.checkpoint == ""
        query = select(Response).join(ItemResponse).where(ItemResponse.arm_id == arm.id)
        (response,) = session.exec(query).all()
        assert (response.text, response.run["source"], response.run["file"]) == (
            "Yeast. \U0001f35e",
            "file",
            "outputs.json",
        )
        # Every arm was shown against every other, and so is the new one: three pairs of three arms.
        assert session.exec(select(func.count()).where(Pair.study_id == study_id)).one() == 3
    twice = send_file(stranger, study_id, "responses", json.dumps(records), name="outputs.json")
    assert "This very file was imported already, as the arm 'other-lab'; nothing changed." in refused(twice)


def test_a_file_of_several_models_brings_an_arm_of_each_and_its_prompts(stranger, database):
    study_id = make(stranger, prompts="", arms=({},))
    rows = [{"prompt": p, "response": f"{m}: {p}", "model": m} for m in ("one", "two") for p in (BREAD, RIVERS)]
    told = said(stranger, send_file(stranger, study_id, "responses", lines(*rows)))
    assert told == "one: 2 of 2 prompts answered. two: 2 of 2 prompts answered."
    with reading(database) as session:
        assert set(session.exec(select(Item.prompt).where(Item.study_id == study_id))) == {BREAD, RIVERS}
        assert session.get_one(Study, study_id).state.value == "draft"


def test_practice_and_gold_come_from_csv(stranger, database):
    study_id = make(stranger)
    content = (
        "kind,prompt,better,worse,expected,why\n"
        'practice,Is water wet?,Yes.,No.,better,"It is, mostly."\n'
        "gold,What is 2 + 2?,4,5,better,Sums.\n"
    )
    told = said(stranger, send_file(stranger, study_id, "known", content, name="known.csv"))
    assert told == "2 practice and gold items imported."
    with reading(database) as session:
        query = select(Item.kind, Item.why).where(Item.study_id == study_id, Item.kind != ItemKind.REGULAR)
        assert sorted(session.exec(query)) == [(ItemKind.GOLD, "Sums."), (ItemKind.PRACTICE, "It is, mostly.")]


def test_an_arm_from_a_file_leaves_the_others_to_be_generated_and_its_holes_may_stay(
    researcher, database, scripted_engines
):
    study_id = make(researcher, allow_holes="yes")
    send_file(researcher, study_id, "responses", lines({"prompt": BREAD, "response": "Yeast."}), arm="lab")
    # Two prompts from lft and sft; lab answered one prompt, and no checkpoint could answer the other for it.
    assert asyncio.run(generate_missing(database, scripted_engines, study_id, on_progress=lambda _: None)) == 4
    answer = researcher.post(f"/studies/{study_id}/state", data={"state": "open"})
    assert answer.status_code == 303, answer.text[-600:]


@pytest.mark.parametrize(
    ("kind", "content", "sentence"),
    [
        ("prompts", lines({"prompt": "One?"}, {"text": "Two?"}), "Row 2 has no text under `prompt`."),
        ("prompts", b"One?\nTw\xff?\n", "Row 2 is not UTF-8 text."),
        ("responses", lines({"prompt": BREAD, "response": "x"}, {"prompt": RIVERS}), "Row 2 has no text under"),
        (
            "responses",
            lines({"prompt": BREAD, "response": "x"}, {"prompt": BREAD, "response": "y"}),
            "Row 2 answers the same",
        ),
        (
            "responses",
            lines({"prompt": "Else?", "response": "x", "model": "m"}),
            "No row answers a prompt of this study.",
        ),
        (
            "responses",
            lines({"prompt": BREAD, "response": "x"}),
            "The file names no model, so say what the arm is called.",
        ),
        ("responses", lines({"prompt": BREAD, "response": "x", "model": "better"}), "'better' is the name of an arm"),
        ("responses", "[" * 50_000, "is not JSON"),
        ("known", lines(known() | {"expected": "left"}), "Row 1"),
        ("known", "", "is empty"),
        ("known", "\n \n", "There are no rows in it."),
        ("nonsense", "x", "Choose what the file holds"),
    ],
)
def test_one_wrong_row_and_nothing_is_kept(stranger, database, kind, content, sentence):
    study_id = make(stranger)
    before = everything(database)
    assert sentence in refused(send_file(stranger, study_id, kind, content))
    assert everything(database) == before


def test_nothing_is_imported_into_a_study_that_was_opened_or_is_not_theirs(stranger, researcher, study, database):
    assert "was opened" in refused(send_file(researcher, study.id, "prompts", "One?"))
    assert send_file(stranger, study.id, "prompts", "One?").status_code == 404
    assert send_file(researcher, "", "prompts", "One?").status_code == 422


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_read_or_refused_in_words(raw):
    for read in (
        lambda text: read_finished(text, arm="a", prompts=(), max_chars=100),
        lambda text: read_known(text, prompts=(), max_chars=100),
    ):
        with suppress(BadFileError):
            read(decoded(raw))
