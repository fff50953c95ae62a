"""What people and programs try on a judging page, each with what must come of it."""

import itertools
import json
import re
import threading
import time
from datetime import timedelta

import numpy as np
import pytest
from bs4 import BeautifulSoup
from sqlalchemy import event
from sqlmodel import func, select

from app.accounts.access import ACCESS
from app.db import reading, writing
from app.judging.claims import claim
from app.settings import ROOT
from app.studies.questions import EvidenceQuestion, Questions, write_questions
from models import (
    Arm,
    Evidence,
    Item,
    Presentation,
    Response,
    Revision,
    Side,
    Span,
    Study,
    StudyEvent,
    StudyState,
    User,
)
from models.base import now
from tests.factories import add, fill_study, make_member, make_study, make_tuning_set, make_user
from tests.web.judging_help import a_form, an_answer, give_special, page_data, post, take

_HOUR = timedelta(hours=1)


@pytest.fixture
def filled(database, study):
    with writing(database) as session:
        fill_study(session, session.get_one(Study, study.id))
    return study


@pytest.fixture
def token(annotator, filled):
    return take(annotator, filled)


@pytest.fixture
def dora(database, filled):
    with writing(database) as session:
        user = make_user(session, email="dora@example.org", name="Dora")
        make_member(session, study=filled, user=user, pid="a00000000002")
        return user


def revisions(database):
    with reading(database) as session:
        return session.exec(select(Revision).order_by(Revision.created_at, Revision.number)).all()


def swap_sides(database, token):
    """Turn a presentation round, as if the draw had fallen the other way."""
    with writing(database) as session:
        row = session.get_one(Presentation, token)
        row.left_arm_id, row.right_arm_id = row.right_arm_id, row.left_arm_id
        row.left_response_id, row.right_response_id = row.right_response_id, row.left_response_id


# What a page could give away beside its words


def test_a_page_is_the_same_byte_for_byte_whichever_model_stands_where_when_the_texts_are_alike(
    annotator, database, study
):
    with writing(database) as session:
        fill_study(session, session.get_one(Study, study.id), text="The very same text.")
    token = take(annotator, study)

    def page():
        # Uncompressed: the attempt's key is drawn anew for every page, and presses differently. The lease runs on.
        answer = annotator.get(f"/judge/{token}", headers={"Accept-Encoding": "identity"})
        body = re.sub(r'name="idempotency_key" value="\w+"', "", answer.text)
        headers = {name: value for name, value in answer.headers.items() if name not in {"date", "x-request-id"}}
        return re.sub(r'"lease_s": \d+', "", body), headers

    before = page()
    swap_sides(database, token)
    assert page() == before


def test_swapping_the_sides_swaps_the_texts_and_changes_nothing_else(annotator, database, token):
    first = page_data(annotator, token)
    swap_sides(database, token)
    second = page_data(annotator, token)
    assert list(first) == list(second)
    for name in ("texts", "styles"):
        assert (first[name]["left"], first[name]["right"]) == (second[name]["right"], second[name]["left"])
        assert list(first[name]) == list(second[name]) == ["left", "right"]
    rest = [name for name in first if name not in {"texts", "styles", "lease_s"}]
    assert {name: first[name] for name in rest} == {name: second[name] for name in rest}


def test_no_bit_of_a_token_tells_which_model_stands_left(database, alice):
    with writing(database) as session:
        study = make_study(session, owner=alice, slug="many", overlap=100)
        fill_study(session, study, prompts=tuple(f"Prompt {at}?" for at in range(15)))
        for number in range(20):
            user = make_user(session, email=f"{number}@example.org")
            make_member(session, study=study, user=user, pid=f"p{number:03}")
            for _ in range(15):
                shown = claim(session, study, user, now(), lease=_HOUR)
                session.get_one(Presentation, shown).state = "submitted"
                session.get_one(Presentation, shown).submitted_at = now()
                session.flush()
        rows = session.exec(select(Presentation.id, Arm.name).join(Arm, Presentation.left_arm_id == Arm.id)).all()
    assert len(rows) == 300
    left = np.array([name == "lft" for _, name in rows])
    bits = np.array([[int(bit) for bit in f"{int(token, 16):064b}"] for token, _ in rows])
    # 64 looks at a fair coin: beyond 6.5 standard errors once in two hundred million runs of this test. A bit that
    # tells the side is 17 of them away.
    deviation = (bits[left].mean(axis=0) - bits[~left].mean(axis=0)) / np.sqrt(0.25 / left.sum() + 0.25 / (~left).sum())
    assert np.abs(deviation).max() < 6.5
    assert 100 < left.sum() < 200


def test_a_page_takes_the_same_steps_whichever_model_stands_where(annotator, database, app, token, record_property):
    asked = []
    event.listen(
        app.state.database, "before_cursor_execute", lambda _c, _cur, statement, *_rest: asked.append(statement)
    )

    def steps():
        asked.clear()
        annotator.get(f"/judge/{token}")
        return list(asked)

    before = steps()
    assert sum("response" in statement for statement in before) >= 2
    swap_sides(database, token)
    assert steps() == before
    # The time it takes is reported beside the steps: how well it tells the two apart, 0.5 being not at all.
    times = {False: [], True: []}
    for turned in itertools.islice(itertools.cycle((True, False)), 60):
        swap_sides(database, token)
        begun = time.perf_counter()
        annotator.get(f"/judge/{token}")
        times[turned].append(time.perf_counter() - begun)
    one, other = np.array(times[False]), np.array(times[True])
    auc = float((one[:, None] < other[None, :]).mean() + 0.5 * (one[:, None] == other[None, :]).mean())
    record_property("auc_of_load_time", auc)
    print(f"AUC of load time, left against right, over 60 loads: {auc:.2f}")
    assert 0.1 < auc < 0.9


def test_showing_an_item_never_asks_a_model(annotator, token, scripted_engines, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise AssertionError

    for name in [name for name in dir(type(scripted_engines)) if not name.startswith("_") and name != "aclose"]:
        monkeypatch.setattr(type(scripted_engines), name, refuse, raising=False)
    assert annotator.get(f"/judge/{token}").status_code == 200
    assert post(annotator, token, "submit", an_answer()).status_code == 200


# Work that is not mine


def test_an_answer_to_somebody_elses_item_is_refused_changes_nothing_and_is_noted(
    client_for, database, token, dora, filled
):
    client = client_for(dora)
    for what in ("draft", "submit"):
        foreign, made_up = post(client, token, what, an_answer()), post(client, "0" * 16, what, an_answer())
        assert (foreign.status_code, foreign.json()) == (made_up.status_code, made_up.json())
        assert foreign.status_code == 404
    assert client.post(f"/judge/{token}/submit", data=a_form()).status_code == 404
    assert revisions(database) == []
    with reading(database) as session:
        noted = session.exec(select(StudyEvent)).all()
    assert [(one.study_id, one.user_id, one.action) for one in noted] == [(filled.id, dora.id, "refused")] * 3


@pytest.mark.parametrize("name", ["annotator_id", "user_id", "presentation_id", "token"])
def test_an_answer_cannot_be_sent_in_another_name(annotator, database, token, dora, name):
    for value in (dora.id, token):
        assert post(annotator, token, "submit", an_answer(**{name: value})).status_code == 422
    assert revisions(database) == []


@pytest.mark.parametrize(
    "over",
    [
        {"is_gold": True},
        {"excluded": False},
        {"saved_at": "2020-01-01"},
        {"kind": "submitted"},
        {"guideline_version": 9},
        {"reading": {"left": 1, "model_left": 1}},
        {"ratings": {"left": {"model_left": 3}}},
        {"ratings": {"model": {"depth": 3}}},
        {"acceptability": {"model": True}},
        {
            "spans": [
                {"side": "left", "start": 0, "end": 1, "quote": "A", "type": "other", "severity": "minor", "causal": 1}
            ]
        },
    ],
)
def test_fields_that_are_the_studys_are_refused_wherever_they_hide(annotator, database, token, over):
    reply = post(annotator, token, "submit", an_answer(**over))
    assert reply.status_code == 422
    assert reply.json()["error"]["message"]
    assert revisions(database) == []


def test_another_persons_judgment_cannot_be_edited_nor_any_deleted_nor_one_after_closing(
    annotator, client_for, database, token, dora, filled
):
    post(annotator, token, "submit", an_answer(comment="mine"))
    assert post(client_for(dora), token, "submit", an_answer(base_revision=1, comment="hers")).status_code == 404
    judging = [path for _, path in ACCESS if path.startswith("/judge/{presentation_id}")]
    for path, method in itertools.product(judging, ("DELETE", "PUT", "PATCH")):
        assert annotator.request(method, path.format(presentation_id=token, evidence_id="0")).status_code in {404, 405}
    overridden = annotator.post(f"/judge/{token}/submit", headers={"X-HTTP-Method-Override": "DELETE"}, data=a_form())
    assert overridden.status_code in {303, 409}
    with writing(database) as session:
        session.get_one(Study, filled.id).state = StudyState.CLOSED
    assert post(annotator, token, "submit", an_answer(base_revision=1, comment="late")).status_code == 409
    assert [one.comment for one in revisions(database)] == ["mine"]


# The same work twice


def in_parallel(attempts):
    """Run functions at the same moment; their results in order."""
    barrier, results = threading.Barrier(len(attempts)), [None] * len(attempts)

    def run(at, attempt):
        barrier.wait()
        results[at] = attempt()

    threads = [threading.Thread(target=run, args=(at, attempt)) for at, attempt in enumerate(attempts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_a_double_click_in_parallel_is_one_judgment(client_for, bob, database, token):
    clients, answer = [client_for(bob) for _ in range(8)], an_answer()
    replies = in_parallel([lambda client=client: post(client, token, "submit", answer) for client in clients])
    assert [reply.status_code for reply in replies] == [200] * 8
    assert {reply.json()["revision"] for reply in replies} == {1}
    assert len(revisions(database)) == 1


def test_two_tabs_at_the_same_moment_end_as_one_answer_and_one_explained_conflict(client_for, bob, database, token):
    tabs = [(client_for(bob), f"tab {number}") for number in range(2)]
    replies = in_parallel(
        [
            lambda client=client, words=words: post(client, token, "draft", an_answer(comment=words))
            for client, words in tabs
        ]
    )
    assert sorted(reply.status_code for reply in replies) == [200, 409]
    (kept,) = revisions(database)
    (refused,) = [reply.json() for reply in replies if reply.status_code == 409]
    assert refused["current"]["answer"]["comment"] == kept.comment
    assert refused["current"]["revision"] == 1


def test_going_back_and_sending_the_old_form_again_is_told_apart_from_an_edit(annotator, database, token):
    form = a_form(preference="left")
    first = annotator.post(f"/judge/{token}/submit", data=form)
    again = annotator.post(f"/judge/{token}/submit", data=form)
    assert (first.status_code, again.status_code) == (303, 303)
    # A page from the browser's cache, filled in anew: another attempt, made from revision 0.
    other = annotator.post(f"/judge/{token}/submit", data=a_form(preference="right"))
    assert other.status_code == 409
    assert [one.preference.value for one in revisions(database)] == ["left"]


# What instances beside a span are


def keys_in(value):
    """Every key of a JSON value, however deep."""
    if isinstance(value, dict):
        return set(value) | set().union(*map(keys_in, value.values()))
    return set().union(*map(keys_in, value)) if isinstance(value, list) else set()


def test_nothing_sent_says_which_instance_is_a_decoy_or_how_it_was_found(annotator, database, study, bob):
    with writing(database) as session:
        row = session.get_one(Study, study.id)
        tuning = make_tuning_set(session, answers=tuple(f"Answer {at}." for at in range(4)), name="axolotl-set")
        row.questions = write_questions(Questions(evidence=EvidenceQuestion(tuning.id, k=2, decoys=2)))
        fill_study(session, row)
    token = take(annotator, study)
    with writing(database) as session:
        shown = [
            add(
                session,
                Evidence(
                    presentation_id=token, side=Side.LEFT, start=0, end=6, place=at, set_id=tuning.id, position=at,
                    is_decoy=at % 2 == 0, origin="wombat-search", score=0.123456789,
                ),
            )
            for at in range(4)
        ]  # fmt: skip
    text = page_data(annotator, token)["texts"]["left"]
    said = [{"id": one.id, "verdict": "similar"} for one in shown]
    span = {
        "side": "left",
        "start": 0,
        "end": 6,
        "quote": text[:6],
        "type": "other",
        "severity": "minor",
        "evidence": said,
    }
    answers = [
        post(annotator, token, what, an_answer(base_revision=at, spans=[span]))
        for at, what in enumerate(("draft", "submit"))
    ]
    answers += [post(annotator, token, "draft", an_answer())]
    answers += [annotator.get(path) for path in (f"/judge/{token}", "/judge/history", "/judge?stay")]
    assert [answer.status_code for answer in answers] == [200, 200, 409, 200, 200, 200]
    for answer in answers:
        for secret in (tuning.id, "axolotl", "wombat", "0.1234", "decoy", "is_decoy", "origin", "set_id"):
            assert secret not in answer.text.casefold()
    data = page_data(annotator, token)
    assert not keys_in(data) & {"is_decoy", "decoys", "k", "score", "origin", "set_id", "position", "rank"}
    assert data["questions"]["evidence"] is True
    # In the order they were shown, whichever they are.
    assert [one["id"] for one in data["answer"]["spans"][0]["evidence"]] == [one.id for one in shown]


# Text that is a program elsewhere

# 7331 * 7919 = 58054189: no clock or count on a page holds these digits by chance.
TEMPLATES = [
    "{{7331*7919}}",
    "{% include 'base.html' %}",
    "${7331*7919}",
    "{{ config }}",
    "#{7331*7919}",
    "<%= 7331*7919 %>",
    "{{ ''.upper() }}",
]


@pytest.mark.parametrize("text", TEMPLATES)
def test_template_code_in_any_text_is_shown_literally(annotator, database, study, bob, text):
    with writing(database) as session:
        row = session.get_one(Study, study.id)
        row.name = row.guidelines = text
        row.questions = write_questions(Questions(recognised="end"))
        practised = give_special(session, row, bob, why=text, text=text)
        session.exec(select(Item)).one().prompt = text
        session.get_one(User, bob.id).name = text
    post(annotator, practised, "submit", an_answer(comment=text, ratings=an_answer()["ratings"]))
    post(annotator, practised, "submit", an_answer(base_revision=1, edit_reason=text))
    annotator.post(
        f"/judge/exit/{study.id}", data={"recognised_model": "yes", "recognised_guess": text, "comment": text}
    )
    paths = (f"/judge/{practised}", f"/judge/{practised}/feedback", "/judge/history", f"/judge/exit/{study.id}")
    for path in (*paths, f"/judge/guidelines/{study.id}"):
        page = annotator.get(path)
        assert page.status_code == 200
        main = BeautifulSoup(page.text, "html.parser").select_one("main")
        shown = main.get_text() + " ".join(field.get("value", "") for field in main.select("input"))
        assert text in shown, path
        assert "58054189" not in main.get_text(), path


def test_no_template_is_built_from_text():
    building = [path.name for path in (ROOT / "app").rglob("*.py") if "from_string" in path.read_text()]
    # A checkpoint's chat template is a program by nature; it is compiled in a sandbox and sees no text of ours.
    assert building == ["chat_template.py"]


# Marks in hard texts

HARD = [
    "🍞 bread 👩‍🍳 bakes 🇩🇪",
    "e\u0301te\u0301 Ame\u0301lie",
    "שלום עולם and مرحبا",
    "one\r\ntwo\rthree\n",
    "**bold** `co🫖de` [x](y)",
    "&amp; &lt;b&gt; <b>",
    "𝔘𝔫𝔦 a\u200bb\u202ec",
]


@pytest.mark.parametrize("text", HARD)
def test_every_mark_that_is_stored_quotes_the_stored_text_and_any_other_is_refused(annotator, database, study, text):
    with writing(database) as session:
        fill_study(session, session.get_one(Study, study.id), prompts=("Hard?",), text=text)
    token = take(annotator, study)
    common = {"type": "other", "severity": "minor"}
    places = [(start, end) for start in range(0, len(text), 3) for end in range(start + 1, len(text) + 1, 4)]
    marks = [
        {"side": side, "start": start, "end": end, "quote": text[start:end]} | common
        for side in ("left", "right")
        for start, end in places
    ]
    assert post(annotator, token, "draft", an_answer(spans=marks)).status_code == 200
    utf16 = [at for at, char in enumerate(text) if ord(char) > 0xFFFF]
    wrong = [{"start": 0, "end": 2, "quote": text[1:3] + "x"}, {"start": len(text), "end": len(text) + 1, "quote": "x"}]
    # A browser counts these characters twice; whoever sends its numbers unchanged is refused.
    wrong += [
        {"start": at + 2, "end": at + 3, "quote": text[at + 1 : at + 2]}
        for at in utf16
        if text[at + 1 : at + 2] != text[at + 2 : at + 3]
    ]
    for mark in wrong:
        reply = post(annotator, token, "draft", an_answer(base_revision=1, spans=[mark | common | {"side": "left"}]))
        assert reply.status_code == 422, mark
    with reading(database) as session:
        rows = session.exec(
            select(Span, Presentation)
            .join(Revision, Span.revision_id == Revision.id)
            .join(Presentation, Revision.presentation_id == Presentation.id)
        ).all()
        assert len(rows) == len(marks)
        for span, shown in rows:
            stored = session.get_one(Response, getattr(shown, f"{span.side.value}_response_id")).text
            assert stored[span.start : span.end] == span.quote


# JSON that is no answer

KEY = '"idempotency_key":"attempt-x","base_revision":0'
BAD_JSON = {
    "very deep": '{"ratings":' * 100_000,
    "very deep lists": "[" * 100_000,
    "deep inside a field": f'{{{KEY},"ratings":' + "[" * 50_000 + "]" * 50_000 + "}",
    "NaN": f'{{{KEY},"active_ms":NaN}}',
    "Infinity": f'{{{KEY},"active_ms":Infinity}}',
    "not a number inside": f'{{{KEY},"reading":{{"left":NaN}}}}',
    "beyond 64 bits": f'{{{KEY},"active_ms":{2**64}}}',
    "a number of a million digits": f'{{{KEY},"active_ms":{"9" * 1_000_000}}}',
    "a revision beyond 64 bits": f'{{"idempotency_key":"attempt-x","base_revision":{2**70}}}',
    "the same field twice": f'{{{KEY},"flagged":true,"flagged":false}}',
    "the same rating twice": f'{{{KEY},"ratings":{{"left":{{"depth":1,"depth":5}}}}}}',
    "half a surrogate pair": f'{{{KEY},"comment":"\\ud800"}}',
    "NUL": f'{{{KEY},"comment":"\\u0000"}}',
    "a rating of 0": f'{{{KEY},"ratings":{{"left":{{"depth":0}}}}}}',
    "a rating of 6": f'{{{KEY},"ratings":{{"left":{{"depth":6}}}}}}',
    "a rating of 3.5": f'{{{KEY},"ratings":{{"left":{{"depth":3.5}}}}}}',
    "a rating of 5.0": f'{{{KEY},"ratings":{{"left":{{"depth":5.0}}}}}}',
    "a rating in quotes": f'{{{KEY},"ratings":{{"left":{{"depth":"5"}}}}}}',
    "a rating of true": f'{{{KEY},"ratings":{{"left":{{"depth":true}}}}}}',
    "a list of ratings": f'{{{KEY},"ratings":[]}}',
    "strength in quotes": f'{{{KEY},"strength":"1"}}',
    "ten thousand fields": "{" + KEY + "".join(f',"x{at}":1' for at in range(10_000)) + "}",
    "ten thousand ratings": f'{{{KEY},"ratings":{{"left":{json.dumps({f"x{at}": 3 for at in range(10_000)})}}}}}',
    "ten thousand marks": f'{{{KEY},"spans":[{",".join(["{}"] * 10_000)}]}}',
    "two values": f"{{{KEY}}}{{}}",
    "a byte order mark": f"\ufeff{{{KEY},}}",
}
NAMED = {"NaN": "active_ms", "beyond 64 bits": "active_ms", "a rating of 0": "ratings.left.depth"}
NAMED |= {
    "a rating of 5.0": "ratings.left.depth",
    "a rating of true": "ratings.left.depth",
    "strength in quotes": "strength",
}
NAMED |= {"the same field twice": "flagged", "the same rating twice": "depth", "not a number inside": "reading.left"}
NAMED |= {"a rating in quotes": "ratings.left.depth", "a rating of 3.5": "ratings.left.depth", "NUL": "comment"}
NAMED |= {"a rating of 6": "ratings.left.depth", "half a surrogate pair": "comment", "ten thousand marks": "spans"}


@pytest.mark.parametrize("what", ["draft", "submit"])
@pytest.mark.parametrize("name", BAD_JSON)
def test_json_that_is_no_answer_is_refused_in_words_and_never_coerced(annotator, database, token, name, what):
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    reply = annotator.post(f"/judge/{token}/{what}", content=BAD_JSON[name].encode(), headers=headers)
    assert 400 <= reply.status_code < 500, reply.text[:300]
    said = reply.json()["error"]["message"]
    assert len(said) < 400
    assert NAMED.get(name, "") in said
    assert revisions(database) == []


def test_a_rejected_answer_leaves_the_item_and_its_lease_as_they_were(annotator, database, token):
    with reading(database) as session:
        before = session.get_one(Presentation, token).model_dump()
    post(annotator, token, "submit", an_answer(preference=None))
    post(annotator, token, "draft", an_answer(ratings={"left": {"charm": 1}}))
    with reading(database) as session:
        assert session.get_one(Presentation, token).model_dump() == before
        assert session.exec(select(func.count()).select_from(Revision)).one() == 0
