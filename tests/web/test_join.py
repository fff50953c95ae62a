"""The open link: joining without an account, coming back by the same external id, and the code at the end."""

from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
from sqlmodel import func, select

from app.db import reading, writing
from models import Membership, Presentation, Role, Study, StudyState, User
from tests.factories import PASSWORD, fill_study, make_member, make_user
from tests.web.judging_help import an_answer, change, post, take
from tests.web.people_help import join, links_in, member_rows, members, open_link, soup, trail, words


@pytest.fixture
def filled(database, study):
    with writing(database) as session:
        one = session.get_one(Study, study.id)
        fill_study(session, one, prompts=tuple(f"Prompt {n}?" for n in range(3)))
        one.completion_code, one.overlap = "KETTLE-77", 9
    return study


@pytest.fixture
def link(researcher, filled):
    return open_link(researcher, filled)


def judge_all(client, study):
    done = 0
    while (token := take(client, study)) is not None:
        assert post(client, token, "submit", an_answer()).status_code == 200
        done += 1
    return done


def people(database):
    with reading(database) as session:
        return session.exec(select(func.count()).select_from(User)).one()


def test_the_page_says_what_is_asked_and_opening_it_does_nothing(anonymous, database, filled, link, htmx):
    before = people(database)
    page = anonymous.get(f"{link}?PROLIFIC_PID=p-1", headers=htmx)
    assert page.status_code == 200
    text = words(soup(page))
    assert filled.name in text
    assert "Rate each answer from 1 to 5: Helpfulness, Clarity, Factuality, Depth, Engagement." in text
    assert "There are up to 3 items for you." in text
    assert soup(page).select_one("[name=external_id]")["value"] == "p-1"
    assert "set-cookie" not in page.headers
    assert anonymous.head(link).status_code == 405
    assert (people(database), len(members(database, filled))) == (before, 1)


@pytest.mark.parametrize("name", ["PROLIFIC_PID", "external_id"])
def test_from_a_recruiting_site_to_the_completion_code(anonymous, researcher, database, filled, link, name):
    change(
        database,
        filled,
        questions={
            "dimensions": [],
            "strength": False,
            "acceptability": False,
            "spans": False,
            "evidence": None,
            "recognised": "end",
        },
    )
    page = soup(anonymous.get(f"{link}?{name}=5f00aa"))
    form = page.select_one("main form")
    sent = {field["name"]: field["value"] for field in form.select("input")}
    assert anonymous.post(form["action"], data=sent).headers["location"] == "/judge?stay"
    member = members(database, filled)["5f00aa"]
    while (token := take(anonymous, filled)) is not None:
        answer = an_answer(ratings={})
        assert post(anonymous, token, "submit", answer).status_code == 200
    desk = anonymous.get("/judge").text
    assert "One question is left" in desk
    assert "KETTLE-77" not in desk
    assert anonymous.post(f"/judge/exit/{filled.id}", data={"recognised_model": "no"}).status_code == 303
    assert words(soup(anonymous.get("/judge")).select_one(".completion-code")) == "KETTLE-77"
    row = member_rows(researcher, filled)[member.pid]
    assert (row["Member"], row["External id"], row["Judged"], row["Left"]) == (
        f"{member.pid} guest",
        "5f00aa",
        "3",
        "0",
    )


def test_a_guest_has_no_address_to_write_to_and_no_password_to_guess(anonymous, client_for, database, filled, link):
    join(anonymous, link, "p-1")
    with reading(database) as session:
        guest = session.get_one(User, members(database, filled)["p-1"].user_id)
    assert (guest.role, guest.password_hash, guest.is_guest) == (Role.ANNOTATOR, None, True)
    assert guest.email.endswith("@guest.invalid")
    assert guest.email not in anonymous.get("/judge").text
    for password in ("", "p-1", guest.name):
        assert client_for().post("/login", data={"email": guest.email, "password": password}).status_code == 422


def test_the_same_id_is_the_same_person_wherever_they_come_from(client_for, researcher, database, filled, link):
    first, second = client_for(), client_for()
    join(first, link, "p-1")
    token = take(first, filled)
    assert join(second, link, " p-1 ").status_code == 303
    assert take(second, filled) == token
    member = members(database, filled)["p-1"]
    assert len(members(database, filled)) == 2
    doubts = member_rows(researcher, filled)[member.pid]["One person?"]
    assert doubts == "note Came back through the open link in another browser once."
    # Going on in the same browser is nothing to note.
    assert "Go on" in first.get(f"{link}?PROLIFIC_PID=p-1").text
    assert (join(first, link, "p-1").status_code, join(first, link).status_code) == (303, 303)
    assert [action for action, _ in trail(database, filled)] == ["open link", "joined", "returned"]


def test_two_requests_at_once_with_one_id_make_one_person(client_for, database, filled, link):
    clients = [client_for() for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda client: join(client, link, "p-1").status_code, clients))
    assert answers == [303] * 6
    assert len(members(database, filled)) == 2


def test_without_an_id_each_browser_is_somebody(client_for, database, filled, link):
    one, other = client_for(), client_for()
    for client in (one, one, other):
        assert join(client, link).status_code == 303
    assert len(members(database, filled)) == 3
    assert judge_all(one, filled) == 3


def test_somebody_with_an_account_joins_as_themselves(client_for, annotator, database, filled, link, bob):
    with writing(database) as session:
        dora = make_user(session, email="dora@example.org", name="Dora")
    client, before = client_for(dora), people(database)
    assert "Join as Dora" in client.get(link).text
    assert join(client, link, "p-1").status_code == 303
    assert members(database, filled)["p-1"].user_id == dora.id
    # A member who was invited keeps the place and gets the id; their id opens the account to nobody.
    assert join(annotator, link, "p-2").status_code == 303
    assert members(database, filled)["p-2"].user_id == bob.id
    for external_id in ("p-1", "p-2"):
        refused = join(client_for(), link, external_id)
        assert refused.status_code == 409
        assert "Sign in with that account." in refused.text
        assert "set-cookie" not in refused.headers
    assert people(database) == before


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        (StudyState.DRAFT, "has not started yet"),
        (StudyState.PAUSED, "is paused"),
        (StudyState.CLOSED, "is over"),
    ],
)
def test_a_study_that_takes_nobody_says_so_and_lets_its_people_back_in(
    client_for, researcher, database, filled, link, state, sentence
):
    join(client_for(), link, "p-1")
    change(database, filled, state=state)
    newcomer = client_for()
    page, answer = newcomer.get(link), join(newcomer, link, "p-2")
    assert (page.status_code, answer.status_code) == (200, 409)
    for shown in (page, answer):
        assert sentence in words(soup(shown).select_one(".banner"))
        assert soup(shown).select("main form") == []
    assert set(members(database, filled)) == {"a00000000001", "p-1"}
    assert join(client_for(), link, "p-1").status_code == 303


def test_a_full_study_takes_nobody_and_one_in_others_hands_says_until_when(client_for, database, filled, link):
    change(database, filled, overlap=1, per_annotator=1)
    clients = [client_for() for _ in range(3)]
    tokens = []
    for client in clients:
        join(client, link)
        tokens.append(take(client, filled))
    assert None not in tokens
    with reading(database) as session:
        until = session.exec(select(func.min(Presentation.leased_until))).one()
    said = words(soup(client_for().get(link)).select_one(".banner"))
    assert said == f"Every item is in somebody's hands now. What they leave is free again from {until:%H:%M} UTC."
    for client, token in zip(clients, tokens, strict=True):
        assert post(client, token, "submit", an_answer()).status_code == 200
    assert "has all the judgments it needs" in client_for().get(link).text
    assert join(client_for(), link).status_code == 409
    assert len(members(database, filled)) == 4


def test_a_limit_reached_is_the_end_also_while_others_have_items_in_hand(client_for, database, filled, link):
    change(database, filled, per_annotator=1, overlap=1)
    one, other = client_for(), client_for()
    join(one, link), join(other, link)
    token = take(one, filled)
    take(other, filled)
    post(one, token, "submit", an_answer())
    assert "KETTLE-77" in one.get("/judge").text
    assert "KETTLE-77" not in other.get("/judge").text


@pytest.mark.parametrize("state", [StudyState.PAUSED, StudyState.CLOSED])
def test_whoever_finished_gets_the_code_also_after_the_study_stopped(anonymous, database, filled, link, state):
    questions = {"dimensions": [], "strength": False, "acceptability": False, "spans": False, "evidence": None}
    change(database, filled, questions=questions | {"recognised": "end"})
    join(anonymous, link)
    while (token := take(anonymous, filled)) is not None:
        post(anonymous, token, "submit", an_answer(ratings={}))
    change(database, filled, state=state)
    desk = anonymous.get("/judge").text
    # A closed study takes no answer, so the code does not wait for one.
    assert ("KETTLE-77" in desk) == (state == StudyState.CLOSED)
    assert ("One question is left" in desk) == (state == StudyState.PAUSED)
    if state == StudyState.PAUSED:
        anonymous.post(f"/judge/exit/{filled.id}", data={"recognised_model": "no"})
        assert "KETTLE-77" in anonymous.get("/judge").text


@pytest.mark.parametrize(
    ("external_id", "sentence"),
    [
        ("x" * 201, "at most 200 are taken"),
        ("a\tb", "control character"),
        ("{{%PROLIFIC_PID%}}", "still a placeholder"),
        ("${e://Field/pid}", "still a placeholder"),
    ],
)
def test_an_id_that_cannot_be_one_persons_is_refused_in_words(anonymous, database, filled, link, external_id, sentence):
    for answer in (anonymous.get(link, params={"external_id": external_id}), join(anonymous, link, external_id)):
        assert answer.status_code == 422
        assert sentence in answer.text
    assert len(members(database, filled)) == 1


def test_a_replaced_or_stopped_link_is_dead_at_once_and_its_people_stay(client_for, researcher, database, filled, link):
    guest = client_for()
    join(guest, link, "p-1")
    newer = open_link(researcher, filled)
    for answer in (client_for().get(link), join(client_for(), link), join(client_for(), link, "p-1")):
        assert answer.status_code == 404
        assert "it has been replaced" in answer.text
    assert join(client_for(), newer, "p-2").status_code == 303
    stopped = researcher.post(f"/studies/{filled.id}/people/link", data={"what": "stop"})
    assert stopped.status_code == 303
    assert join(client_for(), newer).status_code == 404
    assert researcher.post(f"/studies/{filled.id}/people/link", data={"what": "stop"}).status_code == 409
    assert researcher.post(f"/studies/{filled.id}/people/link", data={"what": "eat"}).status_code == 422
    assert take(guest, filled) is not None
    assert [one for one in trail(database, filled) if one[0] == "open link"] == [
        ("open link", "made"),
        ("open link", "replaced by a new one"),
        ("open link", "stopped"),
    ]


def test_only_the_hash_of_the_link_is_kept_and_the_page_shows_it_once(researcher, database, filled):
    answer = researcher.post(f"/studies/{filled.id}/people/link", data={"what": "make"})
    plain, for_prolific = links_in(answer)
    assert plain == for_prolific
    assert "?PROLIFIC_PID={{%PROLIFIC_PID%}}" in answer.text
    token = urlsplit(plain).path.removeprefix("/join/")
    assert len(token) >= 43
    assert token not in researcher.get(f"/studies/{filled.id}/people").text
    with reading(database) as session:
        assert token not in session.get_one(Study, filled.id).model_dump_json()


def test_who_may_see_the_results_is_not_taken_in_to_judge(researcher, client_for, database, filled, link, carol):
    assert "so you cannot judge in it" in researcher.get(link).text
    assert join(researcher, link).status_code == 409
    with writing(database) as session:
        make_member(session, study=filled, user=carol, pid="a9").role = Role.RESEARCHER
    assert join(client_for(carol), link).status_code == 409
    assert len(members(database, filled)) == 2


def test_whoever_was_removed_comes_back_to_a_desk_that_says_so(client_for, researcher, database, filled, link):
    join(client_for(), link, "p-1")
    pid = members(database, filled)["p-1"].pid
    researcher.post(f"/studies/{filled.id}/people/{pid}/remove", data={"told": "Thank you, that is enough."})
    again = client_for()
    assert join(again, link, "p-1").status_code == 303
    assert "Thank you, that is enough." in again.get("/judge").text
    assert take(again, filled) is None
    assert len(members(database, filled)) == 2


def test_whom_a_researcher_stopped_gets_no_code_when_the_study_closes(client_for, researcher, database, filled, link):
    stopped, finished = client_for(), client_for()
    for client, external_id in ((stopped, "p-1"), (finished, "p-2")):
        join(client, link, external_id)
        judge_all(client, filled)
    pid = members(database, filled)["p-1"].pid
    researcher.post(f"/studies/{filled.id}/people/{pid}/pause")
    change(database, filled, state=StudyState.CLOSED)
    assert "KETTLE-77" in finished.get("/judge").text
    assert "KETTLE-77" not in stopped.get("/judge").text
    researcher.post(f"/studies/{filled.id}/people/{pid}/resume")
    assert "KETTLE-77" in stopped.get("/judge").text


def test_a_guest_stays_one_until_they_sign_out(client_for, researcher, database, filled, link):
    """A researcher's link must not turn a guest into somebody whom a participant id signs in."""
    guest = client_for()
    join(guest, link, "p-1")
    path = links_in(researcher.post(f"/studies/{filled.id}/people/invites", data={"count": "1", "role": "researcher"}))[
        0
    ]
    assert guest.post(path).status_code == 409
    guest.post("/logout")
    data = {"name": "Eve", "email": "eve@example.org", "password": PASSWORD}
    assert guest.post(path, data=data).status_code == 303
    with reading(database) as session:
        roles = session.exec(select(User.role).join(Membership, Membership.user_id == User.id)).all()
    assert sorted(roles) == [Role.ANNOTATOR, Role.ANNOTATOR, Role.RESEARCHER]
