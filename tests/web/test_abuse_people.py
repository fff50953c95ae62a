"""Abuse of accounts, invitations and open links: each test is one case, and says what must come of it."""

import base64
import json
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from itsdangerous import TimestampSigner
from sqlmodel import select

from app.accounts import routes as accounts
from app.accounts.access import ACCESS
from app.accounts.queries import add_user, create_invite, find_user
from app.accounts.throttle import (
    JOINS,
    PER_ACCOUNT,
    PER_ACCOUNT_ANYWHERE,
    PER_CLIENT,
    UNKNOWN_LINKS,
    WINDOW_S,
    LoginThrottle,
    join_throttle,
    link_throttle,
)
from app.db import reading, writing
from app.errors import ConfigurationError, TooManyRequestsError
from app.main import create_app
from app.settings import MIN_SECRET_LENGTH, ROOT, Settings, load_secret
from models import Invite, Membership, Presentation, Revision, Role, Study, User
from models.base import now
from tests.factories import PASSWORD, fill_study, make_member, make_user
from tests.web.judging_help import an_answer, post, take
from tests.web.people_help import invite_links, invite_rows, join, member_rows, members, open_link, soup, words
from tests.web.test_blindness import CANARIES, Crawl, secrets_of

BOB = "a00000000001"
NEW = {"name": "Eve", "email": "eve@example.org", "password": PASSWORD}
MARKUP = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "<div hx-get=/logout hx-trigger=load>x"]


@pytest.fixture
def filled(database, study):
    with writing(database) as session:
        fill_study(session, session.get_one(Study, study.id), prompts=tuple(f"Prompt {n}?" for n in range(4)))
    return study


@pytest.fixture
def link(researcher, filled):
    return open_link(researcher, filled)


@pytest.fixture
def dora(database) -> User:
    with writing(database) as session:
        return add_user(session, email="dora@example.org", name="Dora", role=Role.RESEARCHER, password=PASSWORD)


def sign_in(client, email="dora@example.org", password=PASSWORD):
    return client.post("/login", data={"email": email, "password": password})


def cookie_of(client):
    return client.cookies["tuneshift_session"]


def with_cookie(client, value):
    client.cookies.clear()
    client.cookies.set("tuneshift_session", value, domain="testserver.local", path="/")
    return client


def content_of(cookie):
    return json.loads(base64.b64decode(cookie.split(".")[0]))


def test_case_12_work_sent_while_a_researcher_stops_somebody_is_kept_or_explained(
    annotator, researcher, database, filled
):
    """A stop and a submission at the same moment: whichever comes first, nothing acknowledged is lost."""
    token = take(annotator, filled)
    assert post(annotator, token, "draft", an_answer()).status_code == 200
    pause = f"/studies/{filled.id}/people/{BOB}/pause"
    with ThreadPoolExecutor(2) as pool:
        stopped = pool.submit(researcher.post, pause)
        sent = pool.submit(post, annotator, token, "submit", an_answer(base_revision=1))
    assert stopped.result().status_code == 303
    answer = sent.result()
    with reading(database) as session:
        kept = session.exec(select(Revision).where(Revision.presentation_id == token)).all()
    assert len(kept) == (2 if answer.status_code == 200 else 1)
    if answer.status_code != 200:
        assert answer.status_code == 409
        assert "paused" in answer.json()["error"]["message"]
    assert post(annotator, token, "submit", an_answer(base_revision=9)).status_code == 409
    researcher.post(f"/studies/{filled.id}/people/{BOB}/resume")
    if answer.status_code != 200:
        assert post(annotator, token, "submit", an_answer(base_revision=1)).status_code == 200


def test_case_13_two_guests_in_one_browser_are_said_to_the_one_and_shown_to_the_researcher(
    client_for, researcher, database, filled, link
):
    """Policy: nothing proves it, so nothing is done by itself; the person is warned and the researcher is told."""
    client = client_for()
    join(client, link, "p-1")
    page = client.get(f"{link}?PROLIFIC_PID=p-2")
    assert "each person may take part once" in words(soup(page).select_one(".banner"))
    assert join(client, link, "p-2").status_code == 303
    first, second = (members(database, filled)[name].pid for name in ("p-1", "p-2"))
    rows = member_rows(researcher, filled)
    said = "joined one after the other in one browser."
    assert rows[first]["One person?"] == f"check Perhaps the same person as {second}: {said}"
    assert rows[second]["One person?"] == f"check Perhaps the same person as {first}: {said}"
    assert rows[BOB]["One person?"] == "nothing"


def test_case_13_accounts_alike_in_id_address_or_name_are_shown_to_the_researcher_alone(
    annotator, researcher, client_for, database, filled, link
):
    for external_id in ("Abc 1", "aBC1"):
        join(client_for(), link, external_id)
    with writing(database) as session:
        for at, (name, email) in enumerate(
            [("Dana Fox", "dana.fox@example.org"), ("D. Fox", "danafox+2@EXAMPLE.org"), ("dana  fox", "x@example.org")]
        ):
            make_member(session, study=filled, user=make_user(session, name=name, email=email), pid=f"b{at}")
    rows = member_rows(researcher, filled)
    one, two = (members(database, filled)[name].pid for name in ("Abc 1", "aBC1"))
    assert rows[one]["One person?"].endswith(f"{two}: external ids that differ only in case or blanks.")
    assert "b1: e-mail addresses that differ only in case, dots or a +tag." in rows["b0"]["One person?"]
    assert "b2: names that differ only in case or blanks." in rows["b0"]["One person?"]
    assert "b0: names" in rows["b2"]["One person?"]
    page = words(soup(researcher.get(f"/studies/{filled.id}/people")))
    assert "Addresses of computers are not recorded" in page
    assert "Perhaps the same person" not in annotator.get("/judge").text


def test_case_13_a_copied_cookie_is_the_same_person_with_the_same_item(client_for, bob, database, filled):
    """Policy: two browsers with one cookie are one person. They hold one item, judge it once, and sign out together."""
    mine, copied = client_for(bob), client_for(bob)
    token = take(mine, filled)
    assert take(copied, filled) == token
    assert post(mine, token, "submit", an_answer()).status_code == 200
    assert post(copied, token, "submit", an_answer()).status_code == 409
    with reading(database) as session:
        shown = session.exec(select(Presentation.item_id).where(Presentation.annotator_id == bob.id)).all()
        assert len(session.exec(select(Revision).where(Revision.presentation_id == token)).all()) == 1
    assert len(shown) == len(set(shown))
    mine.post("/logout")
    assert copied.get("/judge").headers["location"] == "/login?next=/judge"


@pytest.mark.parametrize("text", MARKUP)
def test_case_16_what_people_call_themselves_is_text_on_every_page(
    client_for, researcher, annotator, database, filled, link, text
):
    with writing(database) as session:
        session.exec(select(User).where(User.name == "Bob")).one().name = text
    guest = client_for()
    shown = [guest.get(link, params={"external_id": text})]
    join(guest, link, text)
    invite_links(researcher, filled, note=text)
    researcher.post(f"/studies/{filled.id}/people/{BOB}/pause", data={"told": text})
    pid = members(database, filled)[text].pid
    shown += [researcher.get(f"/studies/{filled.id}/people{end}") for end in ("", f"/{BOB}", f"/{pid}")]
    shown.append(annotator.get("/judge"))
    for answer in shown:
        assert answer.status_code == 200
        page = soup(answer)
        assert text in page.get_text() + " ".join(field.get("value", "") for field in page.select("input"))
        assert page.select("script:not([src]), img, [onerror], [hx-get='/logout']") == []


def test_case_24_no_other_site_makes_a_browser_join_or_manage(client_for, researcher, alice, database, filled, link):
    """Every write of this feature is refused from elsewhere; none is done by GET."""
    paths = {path for method, path in ACCESS if method == "POST" and re.search(r"/people|^/join|^/invite", path)}
    assert len(paths) == 9
    token = invite_links(researcher, filled)[0].removeprefix("/invite/")
    known = {"study_id": filled.id, "pid": BOB, "token": token, "open_token": link.removeprefix("/join/")}
    for path in paths:
        for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
            answer = client_for(alice).post(path.format(**known), headers=headers)
            assert answer.status_code == 403, path
        assert client_for(alice).get(path.format(**known)).status_code in {200, 404, 405}
    with reading(database) as session:
        assert session.exec(select(Invite)).one().used_at is None
        assert len(session.exec(select(Membership)).all()) == 1


def test_case_25_a_session_planted_before_signing_in_is_not_the_one_after(client_for, bob, dora):
    """Fixation: whatever cookie a browser held, signing in gives another, and the planted one stays what it was."""
    planted = cookie_of(client_for(bob))
    victim = with_cookie(client_for(), planted)
    assert sign_in(victim).status_code == 303
    assert cookie_of(victim) != planted
    assert content_of(cookie_of(victim)) == {"uid": dora.id, "version": 1}
    assert "Bob" in with_cookie(client_for(), planted).get("/judge").text


@pytest.mark.parametrize("how", ["login", "invite", "join"])
def test_case_25_a_session_starts_fresh_and_its_cookie_is_flagged(client_for, app, dora, researcher, filled, link, how):
    client = client_for()
    value = TimestampSigner(app.state.secret).sign(base64.b64encode(json.dumps({"uid": "x", "planted": 1}).encode()))
    with_cookie(client, value.decode())
    if how == "login":
        answer = sign_in(client)
    elif how == "join":
        answer = join(client, link)
    else:
        answer = client.post(invite_links(researcher, filled)[0], data=NEW)
    assert answer.status_code == 303
    cookie = answer.headers["set-cookie"].lower()
    assert {"httponly", "samesite=lax", "path=/"} <= {part.strip() for part in cookie.split(";")}
    assert "domain" not in cookie
    assert set(content_of(answer.cookies["tuneshift_session"])) == {"uid", "version"}


def test_case_25_concurrent_sessions_all_end_at_sign_out(client_for, dora):
    clients = [client_for() for _ in range(3)]
    for client in clients:
        assert sign_in(client).status_code == 303
    copies = [cookie_of(client) for client in clients]
    clients[0].post("/logout")
    for copy in copies:
        assert with_cookie(client_for(), copy).get("/studies").headers["location"] == "/login?next=/studies"
    assert sign_in(clients[1]).status_code == 303
    assert clients[1].get("/studies").status_code == 200


def test_case_25_a_new_role_ends_the_sessions_of_the_old_one(client_for, researcher, filled, bob):
    """A cookie taken from an annotator must not turn into a researcher's."""
    path = invite_links(researcher, filled, role="researcher")[0]
    client, thief = client_for(bob), client_for(bob)
    assert thief.get("/judge").status_code == 200
    assert client.post(path).status_code == 303
    assert client.get("/studies").status_code == 200
    assert thief.get("/judge").status_code == 303


def test_case_25_choosing_a_password_ends_the_sessions_from_before(client_for, database, carol):
    with writing(database) as session:
        token = create_invite(session, role=Role.RESEARCHER, days=1, user_id=carol.id)
    client, thief = client_for(), client_for(carol)
    assert thief.get("/studies").status_code == 200
    assert client.post(f"/invite/{token}", data={"password": PASSWORD}).status_code == 303
    assert client.get("/studies").status_code == 200
    assert thief.get("/studies").status_code == 303


def test_case_25_a_disabled_account_has_no_session_and_no_way_in(client_for, database, filled, link):
    guest = client_for()
    join(guest, link, "p-1")
    with writing(database) as session:
        session.get_one(User, members(database, filled)["p-1"].user_id).disabled_at = now()
    assert guest.get("/judge").status_code == 303
    assert join(client_for(), link, "p-1").status_code == 409


def test_case_26_sign_in_tells_no_account_from_none(client_for, dora, bob):
    """Nobody learns by text or status who has an account; that time tells nothing is shown beside the hashes."""
    answers = {
        who: sign_in(client_for(), email=email, password="wrong password")
        for who, email in {"known": dora.email, "no password": bob.email, "unknown": "nobody@example.org"}.items()
    }
    assert {answer.status_code for answer in answers.values()} == {422}
    assert len({words(soup(answer).select_one("[role=alert]")) for answer in answers.values()}) == 1
    for answer in answers.values():
        assert "set-cookie" not in answer.headers


def test_case_26_guessing_one_account_is_slowed_whatever_the_headers_say(client_for, dora):
    """The client is its socket: a forwarded-for header neither frees it nor blames somebody else."""
    for at in range(PER_ACCOUNT):
        client = client_for()
        client.headers["X-Forwarded-For"] = f"203.0.113.{at}"
        assert sign_in(client, password="wrong").status_code == 422
    assert sign_in(client_for(), password="wrong").status_code == 429


def test_case_26_guessing_from_everywhere_does_not_lock_a_person_out_of_their_own_place():
    """Lockout as denial of service: where somebody signed in before, only their own mistakes count."""
    clock = [0.0]
    throttle = LoginThrottle(lambda: clock[0])
    throttle.attempt(account="dora", client="office")
    throttle.succeeded(account="dora", client="office")
    for at in range(PER_ACCOUNT_ANYWHERE):
        throttle.attempt(account="dora", client=f"bot {at}")
    with pytest.raises(TooManyRequestsError, match="ask for a sign-in link"):
        throttle.attempt(account="dora", client="another bot")
    throttle.attempt(account="dora", client="office")
    throttle.succeeded(account="dora", client="office")
    with pytest.raises(TooManyRequestsError):
        throttle.attempt(account="dora", client="another bot")
    clock[0] = WINDOW_S
    throttle.attempt(account="dora", client="another bot")


def test_case_26_links_cannot_be_guessed_without_end(client_for, researcher, filled, link):
    client = client_for()
    for at in range(UNKNOWN_LINKS):
        assert client.get(f"/{('invite', 'join')[at % 2]}/guess-{at}").status_code == 404
    for answer in (client.get("/invite/more"), client.post("/join/more"), client.get("/join/more")):
        assert answer.status_code == 429
        assert "Too many links that are not known." in answer.text
        assert "Wait 15 minutes" in answer.text


def test_case_26_one_address_cannot_join_as_ever_more_people(client_for, app, database, filled, link):
    """Joining as oneself again is not counted; only new people are."""
    first = client_for()
    join(first, link, "p-0")
    for _ in range(JOINS - 2):
        app.state.join_throttle.count("testclient")
    assert join(client_for(), link, "p-1").status_code == 303
    refused = join(client_for(), link, "p-2")
    assert refused.status_code == 429
    assert "Too many people joined from this address." in refused.text
    assert join(first, link, "p-0").status_code == 303
    assert join(client_for(), link, "p-1").status_code == 303
    assert "p-2" not in members(database, filled)


def test_case_26_a_window_passes_and_one_client_is_not_another():
    clock = [0.0]
    for throttle, limit in ((link_throttle(), UNKNOWN_LINKS), (join_throttle(), JOINS)):
        throttle._clock = lambda: clock[0]
        clock[0] = 0.0
        for _ in range(limit):
            throttle.check("one")
            throttle.count("one")
        with pytest.raises(TooManyRequestsError):
            throttle.check("one")
        throttle.check("other")
        clock[0] = WINDOW_S
        throttle.check("one")
    assert PER_CLIENT > PER_ACCOUNT


def test_case_27_previews_and_mail_scanners_use_nothing_up(anonymous, client_for, researcher, database, filled):
    """A link that is only opened, whatever opens it, works afterwards; it is used by the button alone."""
    path = invite_links(researcher, filled)[0]
    for headers in ({}, {"Purpose": "prefetch"}, {"User-Agent": "SafeLinks"}, {"X-HTTP-Method-Override": "POST"}):
        assert anonymous.get(path, headers=headers).status_code == 200
    for method in ("HEAD", "OPTIONS", "PUT", "DELETE", "PATCH"):
        assert anonymous.request(method, path).status_code == 405
    with reading(database) as session:
        assert session.exec(select(Invite)).one().used_at is None
    assert client_for().post(path, data=NEW).status_code == 303


def test_case_27_a_link_works_once_and_who_used_a_forwarded_one_is_shown(client_for, researcher, database, filled):
    path = invite_links(researcher, filled, note="for Dora")[0]
    assert client_for().post(path, data=NEW).status_code == 303
    again = client_for().post(path, data=NEW | {"email": "dora@example.org"})
    assert again.status_code == 410
    with reading(database) as session:
        assert find_user(session, email="dora@example.org") is None
    pid = next(pid for pid in members(database, filled) if pid != BOB)
    assert [row[:2] for row in invite_rows(researcher, filled)] == [["for Dora", f"used {pid}"]]
    assert member_rows(researcher, filled)[pid]["Member"].startswith(f"{pid} Eve")


def test_case_27_an_expired_or_revoked_link_is_dead_though_its_page_was_open(client_for, researcher, database, filled):
    expired, revoked = (invite_links(researcher, filled, note=note)[0] for note in ("expires", "revoked"))
    for path in (expired, revoked):
        assert client_for().get(path).status_code == 200
    with writing(database) as session:
        for invite in session.exec(select(Invite)):
            if invite.note == "expires":
                invite.expires_at = now() - timedelta(seconds=1)
            else:
                invite.revoked_at = now()
    for path in (expired, revoked):
        assert client_for().post(path, data=NEW).status_code == 410
    assert len(members(database, filled)) == 1


def test_case_27_a_link_revoked_at_the_last_moment_lets_nobody_in(
    client_for, researcher, database, filled, monkeypatch
):
    """Between looking a link up and using it, somebody revokes it: using it looks again."""
    path = invite_links(researcher, filled)[0]
    real = accounts.find_invite

    def find_then_revoke(session, token):
        found = real(session, token)
        researcher.post(f"/studies/{filled.id}/people/invites/revoke", data={"invite_id": "all"})
        return found

    monkeypatch.setattr(accounts, "find_invite", find_then_revoke)
    assert client_for().post(path, data=NEW).status_code == 410
    assert len(members(database, filled)) == 1
    with reading(database) as session:
        assert find_user(session, email=NEW["email"]) is None


@pytest.mark.parametrize("extra", [{"role": "owner"}, {"role": "researcher", "study_id": "x"}, {"guest_id": "x"}])
def test_case_27_editing_the_link_or_the_form_raises_no_role(client_for, researcher, database, filled, alice, extra):
    path = invite_links(researcher, filled)[0]
    query = "&".join(f"{name}={value}" for name, value in extra.items())
    assert client_for().post(f"{path}?{query}", data=NEW | extra).status_code == 303
    with reading(database) as session:
        eve = find_user(session, email=NEW["email"])
        assert eve.role == Role.ANNOTATOR
        assert session.get_one(Membership, (filled.id, eve.id)).role == Role.ANNOTATOR
        assert len(session.exec(select(User)).all()) == 2 + 1


def test_case_27_no_page_behind_a_link_tells_it_to_another_site(client_for, researcher, filled, link):
    for path in (invite_links(researcher, filled)[0], f"{link}?external_id=p-1", "/invite/unknown", "/join/unknown"):
        for answer in (client_for().get(path), client_for().post(path, data=NEW | {"email": "f@example.org"})):
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert answer.headers["cache-control"] == "no-store"
            page = soup(answer)
            outside = [tag.get("href") or tag.get("src") for tag in page.select("[href], [src]")]
            assert all(address.startswith(("/", "#")) for address in outside), outside


@pytest.mark.parametrize(
    "key",
    [
        "",
        "   ",
        "123456",
        "a" * 64,
        "0123456789abcdef" * 4,
        "change-me-change-me-change-me-1234",
        "my very own tuneshift secret key 2026",
        "password" * 5,
        "abab" * 20,
    ],
)
def test_case_28_it_refuses_to_start_with_a_known_or_empty_secret(tmp_path, key):
    settings = Settings(_env_file=None, data_dir=tmp_path, secret_key=key)
    with pytest.raises(ConfigurationError, match=r"TUNESHIFT_SECRET_KEY (has \d+ characters|is no random key)"):
        create_app(settings)


@pytest.mark.parametrize("kept", ["", "\n", "short", "x" * 64])
def test_case_28_a_key_file_that_was_emptied_or_tampered_with_is_refused_too(tmp_path, kept):
    (tmp_path / "secret_key").write_text(kept)
    with pytest.raises(ConfigurationError, match="secret_key"):
        load_secret(Settings(_env_file=None, data_dir=tmp_path))


def test_case_28_without_a_secret_a_random_one_is_drawn_kept_and_for_nobody_else(tmp_path, monkeypatch):
    monkeypatch.setenv("TUNESHIFT_SECRET_KEY", "")
    first, second = (
        load_secret(Settings(_env_file=ROOT / ".env.example", data_dir=tmp_path / name)) for name in ("one", "two")
    )
    assert first != second
    assert len(first) >= MIN_SECRET_LENGTH
    assert load_secret(Settings(_env_file=None, data_dir=tmp_path / "one")) == first
    assert (tmp_path / "one" / "secret_key").stat().st_mode & 0o077 == 0


def test_case_28_nothing_that_ships_holds_a_key_or_an_account():
    for name in (".env.example", "docker-compose.yml"):
        for line in (ROOT / name).read_text().splitlines():
            if "SECRET_KEY" in line and not line.lstrip().startswith("#"):
                assert re.search(r"SECRET_KEY\s*[=:]\s*(\$\{.*\})?$", line.strip()), line


def test_case_29_no_token_is_logged_counted_or_shown_a_second_time(
    client_for, researcher, database, filled, link, capfd, monkeypatch
):
    """There is no reset by mail. What signs in is shown once, to whoever made it, also when something breaks."""
    paths = [link, *invite_links(researcher, filled, count="2")]
    client_for().post(paths[1], data=NEW)
    join(client_for(), link, "p-1")

    def broken(*_):
        raise RuntimeError("on purpose")

    monkeypatch.setattr(accounts, "find_invite", broken)
    assert client_for().get(paths[2]).status_code == 500
    tokens = [path.split("/")[-1] for path in paths]
    written = "".join(capfd.readouterr())
    assert "on purpose" in written
    pages = [
        researcher.get(path).text for path in (f"/studies/{filled.id}/people", f"/studies/{filled.id}", "/metrics")
    ]
    with reading(database) as session:
        stored = "".join(row.model_dump_json() for row in session.exec(select(Invite)))
    for token in tokens:
        assert not any(token in text for text in (written, stored, *pages))


def test_case_44_no_page_can_be_framed(client_for, researcher, alice, filled, link):
    for client, path in (
        (client_for(), link),
        (client_for(), invite_links(researcher, filled)[0]),
        (client_for(alice), f"/studies/{filled.id}/people"),
        (client_for(alice), f"/studies/{filled.id}/people/{BOB}"),
        (client_for(), "/join/unknown"),
    ):
        policy = client.get(path).headers["content-security-policy"]
        assert "frame-ancestors 'none'" in policy
        assert "form-action 'self'" in policy


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)"])
def test_case_44_no_way_in_leads_to_another_site(client_for, dora, researcher, filled, link, target):
    """Redirects are paths of this site, whatever the address or the form asks for."""
    answers = [
        client_for().post("/login", data={"email": dora.email, "password": PASSWORD, "next": target}),
        client_for(dora).get("/login", params={"next": target}),
        client_for().post(f"{invite_links(researcher, filled)[0]}?next={target}", data=NEW | {"next": target}),
        client_for().post(f"{link}?next={target}", data={"external_id": target, "next": target}),
    ]
    for answer in answers:
        assert answer.status_code == 303
        assert re.match(r"/(?!/)", answer.headers["location"])
        assert "evil" not in answer.headers["location"]


def test_case_44_a_forged_host_is_in_no_link_and_no_redirect(client_for, researcher, filled, link):
    """Links start with the address the operator gave; a request's own idea of the host goes nowhere."""
    forged = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "Origin": "http://testserver"}
    shown = [
        researcher.post(f"/studies/{filled.id}/people/invites", data={"count": "2"}, headers=forged),
        researcher.post(f"/studies/{filled.id}/people/invites", data={"count": "1", "as": "csv"}, headers=forged),
        researcher.post(f"/studies/{filled.id}/people/link", data={"what": "make"}, headers=forged),
        client_for().get(link, headers=forged),
        client_for().get("/judge", headers=forged),
        client_for().get("/login/", headers=forged),
        client_for().get("/static", headers=forged),
    ]
    for answer in shown:
        assert "evil.example" not in answer.text + str(answer.headers)
    assert "http://testserver/invite/" in shown[0].text
    assert "http://testserver/join/" in shown[2].text


def test_no_byte_of_an_open_link_or_a_guests_pages_names_a_model_or_another_person(
    client_for, researcher, database, study, bob
):
    """Case 1, on the way in: what a newcomer gets before and after joining holds no model, no id, nobody else."""
    with writing(database) as session:
        fill_study(session, session.get_one(Study, study.id), arms=CANARIES, text="{arm} to: {prompt}")
    path = open_link(researcher, study)
    join(client_for(), path, "other-participant")
    crawl = Crawl(client_for())
    crawl.follow(f"{path}?PROLIFIC_PID=p-1")
    crawl.post(path, data={"external_id": "{{%PROLIFIC_PID%}}"})
    crawl.post(path, data={"external_id": "p-1"})
    crawl.follow("/judge?stay")
    token = take(crawl.client, study)
    crawl.follow(f"/judge/{token}")
    crawl.post(f"/judge/{token}/submit", json=an_answer(), headers={"Accept": "application/json"})
    crawl.follow(f"{path}?PROLIFIC_PID=p-2")
    for end in ("", f"/{BOB}", "/invites", "/link"):
        crawl.follow(f"/studies/{study.id}/people{end}")
        crawl.post(f"/studies/{study.id}/people{end}")
    secrets = secrets_of(database, bob) | {"other-participant", "bob@example.org", "guest.invalid"}
    with reading(database) as session:
        secrets -= set(session.exec(select(Presentation.id)).all())
    assert len(crawl.answers) > 20
    assert crawl.hits(secrets) == []
