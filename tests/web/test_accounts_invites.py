from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from bs4 import BeautifulSoup
from sqlmodel import select

from app.accounts.queries import add_user, create_invite, find_user, invite_url
from app.accounts.rules import pseudonym
from app.db import reading, writing
from app.errors import ConflictError, InvalidInputError
from app.settings import Settings
from models import Invite, Membership, Role, User
from models.base import now
from tests.factories import PASSWORD

NEW = {"name": "Eve", "email": "eve@example.org", "password": PASSWORD}


def link(database, **over) -> str:
    values = {"role": Role.ANNOTATOR, "days": 14} | over
    with writing(database) as session:
        return f"/invite/{create_invite(session, **values)}"


def only_invite(database) -> Invite:
    with reading(database) as session:
        return session.exec(select(Invite)).one()


def member(database, study, user_id) -> Membership | None:
    with reading(database) as session:
        return session.get(Membership, (study.id, user_id))


def test_only_the_hash_of_a_token_is_kept(database, settings):
    token = link(database).removeprefix("/invite/")
    stored = only_invite(database)
    assert token not in stored.model_dump_json()
    assert len(token) >= 43
    assert (
        invite_url(Settings(_env_file=None, public_url="https://t.example/"), token)
        == f"https://t.example/invite/{token}"
    )


def test_opening_a_link_uses_nothing_up(anonymous, database, study, htmx):
    path = link(database, study_id=study.id)
    for _ in range(2):
        response = anonymous.get(path, headers=htmx)
        assert response.status_code == 200
        assert study.name in response.text
    assert anonymous.head(path).status_code == 405
    assert only_invite(database).used_at is None


def test_an_invited_stranger_becomes_an_annotator_of_the_study(anonymous, app, database, study):
    response = anonymous.post(link(database, study_id=study.id), data=NEW)
    assert (response.status_code, response.headers["location"]) == (303, "/judge")
    with reading(database) as session:
        eve = find_user(session, email=NEW["email"])
    assert (eve.role, eve.name) == (Role.ANNOTATOR, "Eve")
    pid = member(database, study, eve.id).pid
    assert pid == pseudonym(app.state.secret, study_id=study.id, user_id=eve.id)
    assert (pid[0], len(pid), int(pid[1:], 16) >= 0) == ("a", 13, True)
    assert only_invite(database).used_by == eve.id
    assert anonymous.get("/").headers["location"] == "/judge"
    anonymous.post("/logout")
    assert anonymous.post("/login", data=NEW).status_code == 303


def test_pseudonyms_differ_between_studies_people_and_keys():
    pids = {pseudonym(key, study_id=s, user_id=u) for key in "kl" for s in ("1", "2") for u in ("3", "4")}
    assert len(pids) == 8


@pytest.mark.parametrize(
    ("change", "field", "sentence"),
    [
        ({"name": "  "}, "name", "Enter the name others should see."),
        ({"name": "x" * 201}, "name", "A name has at most 200 characters."),
        ({"email": "eve"}, "email", "This is not an e-mail address; it should look like name@example.org."),
        ({"email": ""}, "email", "Enter an e-mail address."),
        ({"email": "e" * 320 + "@example.org"}, "email", "An e-mail address has at most 320 characters."),
        ({"password": "short"}, "password", "Use at least 10 characters; a few words in a row are fine."),
        ({"password": "x" * 1001}, "password", "A password has at most 1000 characters."),
    ],
)
def test_what_is_wrong_stands_beside_its_field(anonymous, database, study, change, field, sentence):
    response = anonymous.post(link(database, study_id=study.id), data=NEW | change)
    page = BeautifulSoup(response.text, "html.parser")
    assert response.status_code == 422
    assert page.select_one(f"#{field}-error").text.strip() == sentence
    assert page.select_one(f"#{field}")["aria-invalid"] == "true"
    assert f"{field}-error" in page.select_one(f"#{field}")["aria-describedby"]
    assert page.select_one("#password")["value"] == ""
    assert only_invite(database).used_at is None


def test_an_existing_account_accepts_with_its_password(anonymous, database, study):
    with writing(database) as session:
        dora = add_user(session, email="dora@example.org", name="Dora", role=Role.RESEARCHER, password=PASSWORD)
    path = link(database, study_id=study.id)
    known = {"account": "existing", "email": dora.email}
    assert "Sign in and accept" in anonymous.get(f"{path}?account=existing").text
    wrong = anonymous.post(path, data=known | {"password": "wrong password"})
    assert wrong.status_code == 422
    assert "do not belong together" in wrong.text
    assert member(database, study, dora.id) is None
    assert anonymous.post(path, data=known | {"password": PASSWORD}).headers["location"] == "/judge"
    assert member(database, study, dora.id) is not None
    with reading(database) as session:
        assert session.get_one(User, dora.id).role == Role.RESEARCHER


def test_a_taken_address_is_not_taken_over(anonymous, database, study):
    with writing(database) as session:
        add_user(session, email=NEW["email"], name="Eve", role=Role.ANNOTATOR, password="another password")
    response = anonymous.post(link(database, study_id=study.id), data=NEW)
    assert response.status_code == 422
    assert "do not belong together" in response.text


def test_someone_signed_in_only_confirms(stranger, database, study, carol):
    path = link(database, study_id=study.id)
    assert "Accept as Carol" in stranger.get(path).text
    assert stranger.post(path).headers["location"] == "/judge"
    assert member(database, study, carol.id) is not None


def test_a_second_invitation_to_the_same_study_keeps_the_pseudonym(annotator, database, study, bob):
    before = member(database, study, bob.id).pid
    assert annotator.post(link(database, study_id=study.id)).status_code == 303
    assert member(database, study, bob.id).pid == before


def test_a_researcher_invitation_raises_the_role_and_never_lowers_it(annotator, researcher, database, bob, alice):
    assert annotator.post(link(database, role=Role.RESEARCHER)).headers["location"] == "/explore"
    assert researcher.post(link(database, role=Role.ANNOTATOR)).headers["location"] == "/explore"
    with reading(database) as session:
        assert session.get_one(User, bob.id).role == Role.RESEARCHER
        assert session.get_one(User, alice.id).role == Role.OWNER


def test_a_sign_in_link_needs_one_button(anonymous, database, alice, study):
    path = link(database, user_id=alice.id, role=Role.OWNER)
    page = BeautifulSoup(anonymous.get(path).text, "html.parser")
    assert [button.text for button in page.select("main button")] == ["Continue as Alice"]
    assert anonymous.post(path).headers["location"] == "/explore"
    assert anonymous.get("/checkpoints").status_code == 200


def test_a_sign_in_link_lets_a_person_choose_a_first_password(anonymous, client_for, database, alice):
    path = link(database, user_id=alice.id, role=Role.OWNER)
    short = anonymous.post(path, data={"password": "short"})
    assert short.status_code == 422
    assert "at least 10 characters" in short.text
    assert anonymous.post(path, data={"password": PASSWORD}).status_code == 303
    assert client_for().post("/login", data={"email": alice.email, "password": PASSWORD}).status_code == 303


def test_a_sign_in_link_does_not_replace_a_password(anonymous, client_for, database):
    with writing(database) as session:
        dora = add_user(session, email="dora@example.org", name="Dora", role=Role.RESEARCHER, password=PASSWORD)
    path = link(database, user_id=dora.id, role=Role.RESEARCHER)
    assert 'type="password"' not in anonymous.get(path).text
    assert anonymous.post(path, data={"password": "another password"}).status_code == 303
    credentials = {"email": dora.email, "password": "another password"}
    assert client_for().post("/login", data=credentials).status_code == 422


def test_a_sign_in_link_says_whom_it_replaces(annotator, database, alice):
    path = link(database, user_id=alice.id, role=Role.OWNER)
    assert "You are signed in as Bob." in annotator.get(path).text


def test_dead_links_say_why_each_in_its_own_words(anonymous, client_for, database, study, carol):
    used, expired, disabled = (
        link(database, study_id=study.id),
        link(database, study_id=study.id, days=-1),
        link(database, user_id=carol.id),
    )
    assert client_for().post(used, data=NEW).status_code == 303
    with writing(database) as session:
        session.get_one(User, carol.id).disabled_at = now()
    expected = {
        used: (410, "This link has been used; each works once."),
        expired: (410, "This link has expired."),
        disabled: (410, "The account this link belongs to is switched off."),
        "/invite/unknown": (404, "This link is not one we know."),
        "/invite/" + "é" * 60: (404, "This link is not one we know."),
    }
    for path, (status, sentence) in expected.items():
        for response in (anonymous.get(path), anonymous.post(path, data=NEW | {"email": "f@example.org"})):
            lead = BeautifulSoup(response.text, "html.parser").select_one(".lead").text
            assert (response.status_code, lead) == (status, sentence), path


def test_a_link_expires_to_the_second(anonymous, database, study):
    path = link(database, study_id=study.id)
    with writing(database) as session:
        session.exec(select(Invite)).one().expires_at = now() - timedelta(seconds=1)
    assert anonymous.post(path, data=NEW).status_code == 410


def test_two_at_once_cannot_both_use_a_link(client_for, database, study):
    path = link(database, study_id=study.id)
    clients = [client_for() for _ in range(4)]
    people = [NEW | {"email": f"p{number}@example.org"} for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        answers = list(
            pool.map(lambda pair: pair[0].post(path, data=pair[1]).status_code, zip(clients, people, strict=True))
        )
    assert sorted(answers) == [303, 410, 410, 410]
    with reading(database) as session:
        assert len(session.exec(select(User).where(User.email.startswith("p"))).all()) == 1


def test_guesses_at_an_account_through_a_link_are_counted(anonymous, database, study):
    with writing(database) as session:
        add_user(session, email="dora@example.org", name="Dora", role=Role.RESEARCHER, password=PASSWORD)
    path = link(database, study_id=study.id)
    guess = {"account": "existing", "email": "dora@example.org", "password": "wrong password"}
    answers = [anonymous.post(path, data=guess).status_code for _ in range(11)]
    assert answers == [422] * 10 + [429]


def test_add_user_refuses_what_cannot_be_an_account(database):
    with writing(database) as session:
        add_user(session, email="a@example.org", name="A", role=Role.OWNER)
        with pytest.raises(ConflictError, match=r"already an account for a@example\.org"):
            add_user(session, email=" A@EXAMPLE.org", name="B", role=Role.OWNER)
        for wrong in ({"email": "x"}, {"name": ""}, {"password": "short"}):
            with pytest.raises(InvalidInputError):
                add_user(session, **({"email": "b@example.org", "name": "B", "role": Role.OWNER} | wrong))
