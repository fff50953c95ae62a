import time

import pytest
from argon2 import PasswordHasher
from bs4 import BeautifulSoup

from app.accounts import passwords
from app.accounts.queries import add_user
from app.accounts.throttle import PER_ACCOUNT, PER_CLIENT, WINDOW_S, LoginThrottle
from app.db import reading, writing
from app.errors import TooManyRequestsError
from app.web.errors import safe_next
from models import Role, User
from models.base import now
from tests.factories import PASSWORD


@pytest.fixture
def dora(database) -> User:
    with writing(database) as session:
        return add_user(session, email="Dora@Example.org ", name="Dora", role=Role.RESEARCHER, password=PASSWORD)


def sign_in(client, *, email="dora@example.org", password=PASSWORD, **more):
    return client.post("/login", data={"email": email, "password": password, **more})


def test_the_right_password_starts_a_session_and_leads_on(anonymous, dora):
    response = sign_in(anonymous, email=" DORA@example.ORG", next="/checkpoints?a=1")
    assert (response.status_code, response.headers["location"]) == (303, "/checkpoints?a=1")
    cookie = response.headers["set-cookie"].lower()
    assert cookie.startswith("tuneshift_session=")
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert "path=/;" in cookie
    assert "Dora" in anonymous.get("/checkpoints").text


@pytest.mark.parametrize(
    ("email", "password"),
    [("dora@example.org", "wrong password"), ("nobody@example.org", PASSWORD), ("", ""), ("dora@example.org", "")],
)
def test_every_wrong_attempt_gets_the_same_answer(anonymous, dora, email, password):
    response = sign_in(anonymous, email=email, password=password)
    page = BeautifulSoup(response.text, "html.parser")
    assert response.status_code == 422
    assert page.select_one("[role=alert]").text.strip() == "That e-mail address and password do not belong together."
    assert page.select_one("#email")["value"] == email
    assert "set-cookie" not in response.headers
    assert password == "" or password not in response.text


def test_a_person_without_a_password_cannot_sign_in_with_any(anonymous, bob):
    assert sign_in(anonymous, email=bob.email, password="").status_code == 422
    assert sign_in(anonymous, email=bob.email, password="the password of nobody").status_code == 422


def test_a_disabled_account_cannot_sign_in_and_its_sessions_are_dead(anonymous, client_for, database, dora):
    signed_in = client_for(dora)
    assert signed_in.get("/checkpoints").status_code == 200
    with writing(database) as session:
        session.get_one(User, dora.id).disabled_at = now()
    assert sign_in(anonymous).status_code == 422
    assert signed_in.get("/checkpoints").status_code == 303


def test_an_unknown_account_costs_as_much_as_a_known_one(dora):
    """Both hash once; a skipped hash would be a hundred times faster, so a factor of four tells them apart."""
    passwords.verify_password("x", None)

    def cost(stored):
        # What this process computed: others may keep the machine busy during one and not during the other.
        started = time.process_time()
        passwords.verify_password("wrong password", stored)
        return time.process_time() - started

    known, unknown = min(cost(dora.password_hash) for _ in range(3)), min(cost(None) for _ in range(3))
    assert unknown > known / 4


def test_an_old_hash_is_renewed_at_sign_in(anonymous, database, dora):
    weak = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    with writing(database) as session:
        session.get_one(User, dora.id).password_hash = weak
    assert sign_in(anonymous).status_code == 303
    with reading(database) as session:
        renewed = session.get_one(User, dora.id).password_hash
    assert renewed != weak
    assert passwords.verify_password(PASSWORD, renewed) == (True, None)


def test_accents_may_be_typed_composed_or_not(anonymous, database):
    with writing(database) as session:
        add_user(session, email="e@example.org", name="E", role=Role.RESEARCHER, password="caf\u00e9 au lait")
    assert sign_in(anonymous, email="e@example.org", password="cafe\u0301 au lait").status_code == 303


def test_signing_in_replaces_whatever_the_session_held(client_for, app, bob, dora):
    client = client_for(bob)
    assert sign_in(client).status_code == 303
    assert "Dora" in client.get("/checkpoints").text


def test_signing_out_kills_every_copy_of_the_cookie(client_for, dora):
    client, thief = client_for(dora), client_for(dora)
    response = client.post("/logout")
    assert response.headers["location"] == "/login"
    assert "expires=thu, 01 jan 1970" in response.headers["set-cookie"].lower()
    assert thief.get("/checkpoints").headers["location"] == "/login?next=/checkpoints"


def test_a_forged_or_tampered_cookie_is_nobody(client_for, dora):
    client = client_for(dora)
    genuine = client.cookies["tuneshift_session"]
    assert client.get("/checkpoints").status_code == 200
    # The last character of a signature has bits that base64 ignores, so an earlier one is changed.
    tampered = genuine[:-5] + ("A" if genuine[-5] != "A" else "B") + genuine[-4:]
    for forged in (tampered, "x" + genuine, "null", ""):
        client.cookies.clear()
        client.cookies.set("tuneshift_session", forged)
        assert client.get("/checkpoints").status_code == 303


def test_guessing_is_stopped_in_words_and_the_right_password_too(anonymous, dora):
    for _ in range(PER_ACCOUNT):
        assert sign_in(anonymous, password="wrong").status_code == 422
    headers = {"X-Forwarded-For": "203.0.113.7"}
    response = anonymous.post("/login", data={"email": dora.email, "password": PASSWORD}, headers=headers)
    assert response.status_code == 429
    assert int(response.headers["retry-after"]) > 0
    alert = BeautifulSoup(response.text, "html.parser").select_one("[role=alert]").text
    assert "Too many attempts to sign in." in alert
    assert "Wait 15 minutes" in alert


def test_the_window_slides_and_success_forgives():
    clock = [0.0]
    throttle = LoginThrottle(lambda: clock[0])
    who = {"account": "a", "client": "c"}
    for _ in range(PER_ACCOUNT - 1):
        throttle.attempt(**who)
    throttle.attempt(**who)
    throttle.succeeded(**who)
    for _ in range(PER_ACCOUNT):
        throttle.attempt(**who)
    with pytest.raises(TooManyRequestsError, match="Wait 15 minutes"):
        throttle.attempt(**who)
    clock[0] = WINDOW_S - 30
    with pytest.raises(TooManyRequestsError, match="Wait 1 minute and"):
        throttle.attempt(**who)
    clock[0] = WINDOW_S
    throttle.attempt(**who)


def test_one_client_cannot_try_many_accounts():
    throttle = LoginThrottle(lambda: 0.0)
    for number in range(PER_CLIENT):
        throttle.attempt(account=str(number), client="c")
    with pytest.raises(TooManyRequestsError):
        throttle.attempt(account="another", client="c")
    throttle.attempt(account="another", client="elsewhere")


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil",
        "javascript:alert(1)",
        "",
        "evil",
        "/\t/evil",
        "/a\r\nX: y",
        "/\x00",
    ],
)
def test_next_leads_nowhere_else(anonymous, dora, target):
    assert safe_next(target) == "/"


def test_next_is_checked_where_it_is_used(anonymous, dora):
    assert sign_in(anonymous, next="//evil.example").headers["location"] == "/"
    assert anonymous.get("/login", params={"next": "https://evil.example"}).headers["location"] == "/"
    assert anonymous.get("/login", params={"next": "/studies"}).headers["location"] == "/studies"
