"""The annotator's own pages: history, practice feedback, guidelines, the question at the end, their keys."""

import pytest
from bs4 import BeautifulSoup
from sqlmodel import select

from app.db import reading, writing
from app.judging.history import PAGE
from app.studies.questions import Questions, write_questions
from models import ExitAnswer, ItemKind, Membership, Presentation, PresentationState, Study, StudyState, User
from models.base import now
from tests.factories import fill_study, make_member, make_study, make_user
from tests.web.judging_help import a_form, an_answer, give_special, page_data, post, take


@pytest.fixture
def filled(database, study):
    with writing(database) as session:
        fill_study(session, session.get_one(Study, study.id))
    return study


@pytest.fixture
def practice(database, study, bob):
    """Make a practice item for Bob, as a test wants it; its token."""

    def making(**over):
        with writing(database) as session:
            return give_special(session, study, bob, **over)

    return making


def soup(client, path, **headers):
    page = client.get(path, headers=headers)
    assert page.status_code == 200, page.text
    return BeautifulSoup(page.text, "html.parser")


def words(element):
    return " ".join(element.get_text(" ").split())


def set_row(database, kind, key, **values):
    with writing(database) as session:
        row = session.get_one(kind, key)
        for name, value in values.items():
            setattr(row, name, value)


# history


def test_history_lists_ones_own_judgments_newest_first_with_every_version(annotator, database, filled, htmx):
    assert "You have not judged anything yet." in annotator.get("/judge/history", headers=htmx).text
    tokens = []
    for preference in ("left", "tie_good"):
        tokens.append(take(annotator, filled))
        post(annotator, tokens[-1], "submit", an_answer(preference=preference))
    post(annotator, tokens[0], "submit", an_answer(preference="right", base_revision=1, edit_reason="mixed up <b>"))
    open_one = take(annotator, filled)
    post(annotator, open_one, "draft", an_answer())
    assert soup(annotator, "/judge?stay").select_one('a[href="/judge/history"]')
    rows = soup(annotator, "/judge/history", **htmx).select("ol > li")
    assert [row.select_one("a")["href"] for row in rows] == [f"/judge/{token}" for token in tokens]
    assert [words(row.select_one("p")) for row in rows] == ["You said: B is better", "You said: both are good"]
    assert [words(row.select_one("h2")) for row in rows] == ["Change item 1", "Change item 2"]
    versions = [words(one) for one in rows[0].select("ul > li")]
    assert "rev 2" in versions[0]
    assert "B is better mixed up <b>" in versions[0]
    assert "rev 1" in versions[1]
    assert "A is better" in versions[1]
    assert not rows[1].select("ul")


def test_history_says_when_changes_are_not_submitted_and_what_can_still_change(annotator, database, filled):
    token = take(annotator, filled)
    post(annotator, token, "submit", an_answer())
    post(annotator, token, "draft", an_answer(preference="right", base_revision=1))
    (row,) = soup(annotator, "/judge/history").select("ol > li")
    assert "changed, not submitted yet (rev 2)" in words(row)
    assert words(row.select_one("p")) == "You said: A is better"
    set_row(database, Study, filled.id, state=StudyState.CLOSED)
    (row,) = soup(annotator, "/judge/history").select("ol > li")
    assert words(row.select_one("h2")) == "Look at item 1"


def test_history_shows_nothing_of_anybody_elses(client_for, annotator, database, filled):
    post(annotator, take(annotator, filled), "submit", an_answer())
    with writing(database) as session:
        dora = make_user(session, email="dora@example.org")
        make_member(session, study=filled, user=dora, pid="a2")
    assert "You have not judged anything yet." in client_for(dora).get("/judge/history").text


def test_history_comes_in_pages(annotator, database, study, bob):
    with writing(database) as session:
        many = session.get_one(Study, study.id)
        fill_study(session, many, prompts=tuple(f"Prompt {at}?" for at in range(PAGE + 2)))
    for _ in range(PAGE + 2):
        post(annotator, take(annotator, study), "submit", an_answer())
    first, second = (soup(annotator, f"/judge/history?page={page}") for page in (1, 2))
    assert (len(first.select("ol > li")), len(second.select("ol > li"))) == (PAGE, 2)
    assert [a["href"] for a in first.select("nav[aria-label=Pages] a")] == ["/judge/history?page=2"]
    assert [a["href"] for a in second.select("nav[aria-label=Pages] a")] == ["/judge/history?page=1"]
    assert "There is nothing on this page" in annotator.get("/judge/history?page=3").text
    for wrong in ("0", "-1", "x", "99999999999999999999"):
        assert annotator.get(f"/judge/history?page={wrong}").status_code == 422


# practice


@pytest.mark.parametrize(
    ("expected", "better", "said", "verdict"),
    [
        ("better", "left", "left", "You said that A is better, and so would the researcher."),
        ("better", "right", "right", "You said that B is better, and so would the researcher."),
        ("better", "right", "left", "You said: A is better. The researcher would say: B is better."),
        ("tie_bad", "left", "tie_bad", "You said that both are bad, and so would the researcher."),
        ("tie_good", "left", "left", "You said: A is better. The researcher would say: both are good."),
    ],
)
def test_practice_leads_to_what_was_right_and_why(annotator, study, practice, expected, better, said, verdict):
    token = practice(expected=expected, better=better, why="Because **kettles** <boil>.")
    assert annotator.get(f"/judge/{token}/feedback").status_code == 404
    assert page_data(annotator, token)["practice"] is True
    reply = post(annotator, token, "submit", an_answer(preference=said))
    assert reply.json()["next"] == f"/judge/{token}/feedback"
    page = soup(annotator, f"/judge/{token}/feedback")
    assert verdict in words(page.select_one("main"))
    assert page.select_one(".prose-text strong").text == "kettles"
    assert "<boil>" in page.select_one(".prose-text").text
    assert page.select_one("main form")["action"] == "/judge/next"
    assert page.select_one("main form input")["value"] == study.id


def test_a_practice_form_without_scripts_leads_there_too(annotator, practice):
    token = practice()
    assert annotator.post(f"/judge/{token}/submit", data=a_form()).headers["location"] == f"/judge/{token}/feedback"


def test_no_other_item_has_feedback(annotator, stranger, database, filled, bob, practice):
    regular = take(annotator, filled)
    post(annotator, regular, "submit", an_answer())
    assert annotator.get(f"/judge/{regular}/feedback").status_code == 404
    practised = practice()
    post(annotator, practised, "submit", an_answer())
    assert stranger.get(f"/judge/{practised}/feedback").status_code == 404


def test_gold_has_no_feedback_and_looks_like_any_other_item(annotator, database, study, bob):
    with writing(database) as session:
        gold = give_special(session, study, bob, kind=ItemKind.GOLD, why="goldfinch reason", text="Same.")
        plain = give_special(session, study, bob, kind=ItemKind.REGULAR, expected="", text="Same.")
    one, other = (annotator.get(f"/judge/{token}").text for token in (gold, plain))
    assert "goldfinch" not in one
    assert "gold" not in one.casefold()
    data, regular = page_data(annotator, gold), page_data(annotator, plain)
    assert data.keys() == regular.keys()
    assert {name for name in data if data[name] != regular[name]} <= {"token", "outbox"}
    assert len(one) == len(other)
    assert post(annotator, gold, "draft", an_answer()).status_code == 200
    with writing(database) as session:
        session.get_one(Presentation, gold).state = PresentationState.SUBMITTED
        session.get_one(Presentation, gold).submitted_at = now()
    assert annotator.get(f"/judge/{gold}/feedback").status_code == 404


# guidelines


def test_guidelines_are_rendered_and_reading_them_is_said_by_a_button(annotator, database, study, bob, htmx):
    set_row(database, Study, study.id, guidelines="# Rules\n\n**Be fair** <script>x</script>", guideline_version=3)
    set_row(database, Membership, (study.id, bob.id), guideline_seen=2)
    page = soup(annotator, f"/judge/guidelines/{study.id}", **htmx)
    assert (page.select_one(".prose-text h1").text, page.select_one(".prose-text strong").text) == ("Rules", "Be fair")
    assert "you knew version 2" in words(page)
    assert not page.select(".prose-text script")
    with reading(database) as session:
        assert session.get_one(Membership, (study.id, bob.id)).guideline_seen == 2
    form = page.select_one("main form")
    fields = {field["name"]: field["value"] for field in form.select("input")}
    assert annotator.post(form["action"], data=fields).headers["location"] == "/judge?stay"
    assert not soup(annotator, f"/judge/guidelines/{study.id}").select("main form")
    with reading(database) as session:
        assert session.get_one(Membership, (study.id, bob.id)).guideline_seen == 3


@pytest.mark.parametrize(
    ("sent", "seen"), [({}, 4), ({"version": "3"}, 3), ({"version": "9"}, 4), ({"version": "1"}, 2)]
)
def test_only_versions_that_exist_are_seen_and_none_is_forgotten(annotator, database, study, bob, sent, seen):
    set_row(database, Study, study.id, guideline_version=4)
    set_row(database, Membership, (study.id, bob.id), guideline_seen=2)
    reply = annotator.post(f"/judge/guidelines/{study.id}/seen", data=sent, headers={"Accept": "application/json"})
    assert reply.json() == {"seen": seen}
    assert annotator.post(f"/judge/guidelines/{study.id}/seen", data={"version": "0"}).status_code == 422


@pytest.mark.parametrize("path", ["/judge/guidelines/{id}", "/judge/exit/{id}"])
def test_who_is_not_in_a_study_finds_none_of_its_pages(stranger, annotator, database, study, path):
    assert stranger.get(path.format(id=study.id)).status_code == 404
    assert annotator.get(path.format(id="0" * 16)).status_code == 404
    set_row(database, Study, study.id, state=StudyState.DRAFT)
    assert annotator.get(path.format(id=study.id)).status_code == 404


# the question at the end


@pytest.fixture
def ending(database, filled):
    set_row(database, Study, filled.id, questions=write_questions(Questions(recognised="end")))
    return filled


def test_the_question_at_the_end_is_asked_after_work_and_may_be_changed(annotator, database, ending, bob):
    path = f"/judge/exit/{ending.id}"
    early = annotator.post(path, data={"recognised_model": "no"}, headers={"Accept": "application/json"})
    assert early.status_code == 409
    post(annotator, take(annotator, ending), "submit", an_answer())
    form = soup(annotator, path).select_one("main form")
    assert {field["name"] for field in form.select("[name]")} == {"recognised_model", "recognised_guess", "comment"}
    assert not form.select("[checked]")
    sent = {"recognised_model": "yes", "recognised_guess": "the headings", "comment": "\"'<b>"}
    assert annotator.post(path, data=sent).headers["location"] == "/judge?stay"
    again = soup(annotator, path).select_one("main form")
    assert again.select_one("[checked]")["value"] == "yes"
    assert again.select_one("#recognised_guess")["value"] == "the headings"
    assert again.select_one("textarea").text.strip() == "\"'<b>"
    annotator.post(path, data={"recognised_model": "no", "recognised_guess": "left over"})
    with reading(database) as session:
        (kept,) = session.exec(select(ExitAnswer)).all()
    assert (kept.user_id, kept.recognised_model, kept.recognised_guess) == (bob.id, False, "")
    set_row(database, Study, ending.id, state=StudyState.CLOSED)
    assert annotator.post(path, data=sent).status_code == 409


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"recognised_model": "maybe"},
        {"recognised_model": "no", "comment": "x" * 2_001},
        {"recognised_model": "yes", "recognised_guess": "x" * 201},
        {"recognised_model": "no", "user_id": "x"},
        {"recognised_model": ["yes", "no"]},
    ],
)
def test_an_ill_formed_answer_at_the_end_is_refused(annotator, database, ending, sent):
    post(annotator, take(annotator, ending), "submit", an_answer())
    assert annotator.post(f"/judge/exit/{ending.id}", data=sent).status_code == 422
    with reading(database) as session:
        assert session.exec(select(ExitAnswer)).all() == []


def test_a_study_that_asks_per_item_asks_nothing_at_the_end(annotator, filled):
    post(annotator, take(annotator, filled), "submit", an_answer())
    assert annotator.get(f"/judge/exit/{filled.id}").headers["location"] == "/judge?stay"
    assert annotator.post(f"/judge/exit/{filled.id}", data={"recognised_model": "no"}).status_code == 404


# keys


def test_keys_are_kept_for_the_person_and_sent_with_each_item(annotator, database, filled, bob):
    reply = annotator.post("/judge/shortcuts", json={"flag": "x", "guidelines": "f"})
    assert reply.json() == {"shortcuts": {"flag": "x", "guidelines": "f"}}
    assert page_data(annotator, take(annotator, filled))["shortcuts"] == {"flag": "x", "guidelines": "f"}
    assert annotator.post("/judge/shortcuts", json={}).json() == {"shortcuts": {}}
    with reading(database) as session:
        assert session.get_one(User, bob.id).shortcuts == {}


@pytest.mark.parametrize(
    "body",
    [
        b'{"flag":"g"}', b'{"flag":"xx"}', b'{"flag":"<"', b'{"flag":1}', b'{"flag":null}', b'{"submit":"x"}', b"[]",
        b"", b'{"flag":"x","flag":"y"}', b'{"flag":{"x":"y"}}', b"[" * 50_000, b'{"flag":"\\u0000"}', b"\xff",
        b'{"flag":"\\ud800"}',
    ],
)  # fmt: skip
def test_hostile_keys_are_refused_and_change_nothing(annotator, database, bob, body):
    annotator.post("/judge/shortcuts", json={"flag": "x"})
    reply = annotator.post("/judge/shortcuts", content=body, headers={"Content-Type": "application/json"})
    assert reply.status_code == 422
    form = annotator.post("/judge/shortcuts", data={"flag": "y"})
    assert form.status_code == 422
    with reading(database) as session:
        assert session.get_one(User, bob.id).shortcuts == {"flag": "x"}


def test_markup_as_a_key_is_text_wherever_it_is_sent(annotator, database, filled):
    annotator.post("/judge/shortcuts", json={"flag": "<", "mark": "'", "skip": '"', "help": "&"})
    token = take(annotator, filled)
    assert page_data(annotator, token)["shortcuts"] == {"mark": "'", "skip": '"', "flag": "<", "help": "&"}


def test_a_membership_elsewhere_opens_nothing_here(annotator, database, alice):
    with writing(database) as session:
        other = make_study(session, owner=alice, slug="other", questions=write_questions(Questions(recognised="end")))
    assert annotator.post(f"/judge/exit/{other.id}", data={"recognised_model": "no"}).status_code == 404
    assert annotator.post(f"/judge/guidelines/{other.id}/seen").status_code == 404
