"""Abuse of monitoring, exclusions and exports: each test is one case, and says what must come of it."""

import csv
import hashlib
import io
import re
from datetime import timedelta

import pytest
from bs4 import BeautifulSoup
from sqlmodel import select

from app.db import reading, writing
from app.results.export import TABLES
from models import ExitAnswer, Membership, Preference, Revision, RevisionKind, Study
from tests.factories import add, fill_study
from tests.web.judging_help import an_answer, page_data, post, take
from tests.web.monitor_help import START, gold, items_of, judge, person

L, R, GOOD, BAD = Preference.LEFT, Preference.RIGHT, Preference.TIE_GOOD, Preference.TIE_BAD


def words(tag):
    return re.sub(r"\s+", " ", tag.get_text(" ")).strip()


def striking(client, study):
    """What the monitor says of each annotator, by pseudonym."""
    page = BeautifulSoup(client.get(f"/studies/{study.id}/monitor").text, "html.parser")
    rows = page.select("#people-table tbody tr")
    return {words(row.th).split()[0]: words(row.select_one(".monitor-warnings")) for row in rows}


def preferences(client, study):
    text = client.get(f"/studies/{study.id}/export/preferences.csv").text
    return list(csv.DictReader(io.StringIO(text, newline="")))


@pytest.fixture
def long_study(database, study):
    """Sixteen regular items and four gold ones, five judgments each."""
    with writing(database) as session:
        one = session.get(Study, study.id)
        one.overlap = 5
        fill_study(session, one, prompts=tuple(f"Question {n}?" for n in range(16)))
        for at in range(4):
            gold(session, one, position=100 + at)


def test_case_4_guessed_addresses_are_refused_alike(annotator, anonymous, database, study, bob, long_study):
    """An annotator who guesses monitor and export addresses learns nothing, not even which studies exist."""
    with writing(database) as session:
        token = judge(session, study, bob, items_of(session, study)[0], L).id
    for path in (
        "/monitor",
        "/exclusions",
        "/exclusions?rule=recognised",
        f"/judgments/{token}",
        *(f"/export/{table}" for table in TABLES),
        "/export/annotators.csv?external_ids=true",
    ):
        real, made_up = (annotator.get(f"/studies/{key}{path}") for key in (study.id, "0" * 16))
        assert (real.status_code, real.text) == (made_up.status_code, made_up.text)
        assert real.status_code == 403
        heads = {annotator.head(f"/studies/{key}{path}").status_code for key in (study.id, "0" * 16)}
        assert len(heads) == 1
        assert heads <= {403, 405}
        assert annotator.get(f"/studies/{study.id}{path}", headers={"HX-Request": "true"}).status_code == 403
        for suffix in ("/", ".json", "%2f", ";x"):
            assert annotator.get(f"/studies/{study.id}{path.partition('?')[0]}{suffix}").status_code in {307, 403, 404}
        assert anonymous.get(f"/studies/{study.id}{path}").status_code == 303
    for path, form in (
        ("/monitor/release", {"presentation_id": token}),
        ("/exclusions", {"rule": "recognised"}),
        ("/exclusions/0000000000000000/revoke", {}),
    ):
        real, made_up = (annotator.post(f"/studies/{key}{path}", data=form) for key in (study.id, "0" * 16))
        assert (real.status_code, real.text) == (made_up.status_code, made_up.text)
        assert real.status_code == 403
        override = annotator.get(f"/studies/{study.id}{path}", headers={"X-HTTP-Method-Override": "POST"})
        assert override.status_code in {403, 404, 405}


def test_case_5_no_aggregate_reaches_an_annotator(annotator, database, study, long_study):
    """What others answered changes not one byte of what an annotator gets."""
    with writing(database) as session:
        one = session.get_one(Study, study.id)
        others = [person(session, one, n) for n in (2, 3)]
        given = [judge(session, one, who, item, L, left="lft") for who in others for item in items_of(session, one)]
    token = take(annotator, study)
    post(annotator, token, "submit", an_answer())
    token = take(annotator, study)
    pages = ("/judge", f"/judge/{token}", "/judge/history", f"/judge/guidelines/{study.id}", f"/judge/exit/{study.id}")

    volatile = {"x-request-id", "date", "set-cookie", "content-length"}

    def seen():
        found = []
        for path in pages:
            answer = annotator.get(path)
            headers = {name: value for name, value in answer.headers.items() if name not in volatile}
            # Each form carries a fresh key against being stored twice, and a lease has its seconds left.
            body = re.sub(r'idempotency_key" value="[^"]+"', "", answer.text)
            body = re.sub(r'lease_s(&#34;|&quot;|"): ?\d+', "", body)
            found.append((path, answer.status_code, headers, body))
        return found

    before = seen()
    with writing(database) as session:
        for shown in given:
            values = {"presentation_id": shown.id, "number": 2, "kind": RevisionKind.SUBMITTED, "preference": R}
            add(session, Revision(**values, idempotency_key="attempt-2", app_version="0", created_at=START))
    assert seen() == before


def test_case_13_two_accounts_of_one_person_are_shown_to_the_researcher(researcher, database, study, bob, long_study):
    """Nothing proves it, so nothing is done by itself: the monitor says which accounts and why, without names."""
    with writing(database) as session:
        one = session.get_one(Study, study.id)
        first = person(session, one, 2, name="Dana Fox", email="dana.fox@example.org")
        second = person(session, one, 3, name="dana  fox", email="danafox+2@example.org")
        person(session, one, 4)
        for at, item in enumerate(items_of(session, one)[:12]):
            for who in (first, second):
                judge(session, one, who, item, (L, R, GOOD)[at % 3], left="lft")
    page = BeautifulSoup(researcher.get(f"/studies/{study.id}/monitor").text, "html.parser")
    said = [words(line) for line in page.select(".banner-warn li")]
    assert len(said) == 1
    assert said[0].startswith(
        "a00000000002 and a00000000003 : the same name; e-mail addresses that reach one mailbox; "
    )
    assert said[0].endswith("the same answer to all 12 items that both judged.")
    assert "dana" not in page.get_text().lower()


def vote_by_script(client, study, choose):
    """Judge everything there is over HTTP, as fast as it goes, as a script would."""
    at = 0
    while token := take(client, study):
        answer = an_answer(preference=choose(at, token), active_ms=1_000, wall_ms=1_000)
        assert post(client, token, "submit", answer).status_code == 200
        at += 1
    return at


SCRIPTS = {
    "always A": lambda _at, _token: "left",
    "alternating": lambda at, _token: ("left", "right")[at % 2],
    "random": lambda at, _token: ("left", "right", "tie_good", "tie_bad")[hashlib.sha256(b"%d" % at).digest()[0] % 4],
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_case_14_scripted_voters_are_flagged_excluded_restored_and_exported(
    researcher, client_for, database, study, bob, long_study, script
):
    """A script through the real routes stands out; taking its votes out is somebody's decision, undone as easily."""
    with writing(database) as session:
        one = session.get_one(Study, study.id)
        bot = person(session, one, 2)
        for at, item in enumerate(items_of(session, one)[:8]):
            judge(session, one, bob, item, (L, R, R, GOOD, L, R, BAD, L)[at], at=START + timedelta(minutes=3 * at))
    assert vote_by_script(client_for(bot), study, SCRIPTS[script]) >= 16
    said = striking(researcher, study)
    assert said["a00000000001"] == "nothing"
    assert "faster than two responses can be read" in said["a00000000002"]
    assert "1.0 s of active time" in said["a00000000002"]
    if script == "always A":
        assert "Always answered A: 16 of 16." in said["a00000000002"]
    if script == "alternating":
        assert "lternates between A and B" in said["a00000000002"]

    def of_bot():
        rows = [row for row in preferences(researcher, study) if row["annotator_pid"] == "a00000000002"]
        assert len(rows) == 16
        return {(row["excluded"], row["exclusion_reason"]) for row in rows}

    # Flagged is not excluded.
    assert of_bot() == {("false", "")}
    form = {"rule": "annotator", "annotator": "a00000000002", "reason": "votes by script"}
    assert researcher.post(f"/studies/{study.id}/exclusions", data=form).status_code == 303
    assert of_bot() == {("true", "annotator")}
    kept = {row["excluded"] for row in preferences(researcher, study) if row["annotator_pid"] == "a00000000001"}
    assert kept == {"false"}
    page = BeautifulSoup(researcher.get(f"/studies/{study.id}/exclusions").text, "html.parser")
    assert researcher.post(page.select_one('form[action$="/revoke"]')["action"]).status_code == 303
    assert of_bot() == {("false", "")}
    (rule,) = csv.DictReader(io.StringIO(researcher.get(f"/studies/{study.id}/export/exclusions.csv").text, newline=""))
    assert (rule["rule"], rule["reason"], rule["judgments"]) == ("annotator", "votes by script", "16")
    assert rule["revoked_by"] == "Alice"


def test_case_14_a_slow_random_voter_is_flagged_by_gold(researcher, database, study, bob, long_study):
    """Random answers at a human pace look like anybody's, but gold items show that nobody read."""
    with writing(database) as session:
        one = session.get_one(Study, study.id)
        answers = [(L, R, GOOD, BAD)[hashlib.sha256(b"slow %d" % at).digest()[0] % 4] for at in range(16)]
        for at, item in enumerate(items_of(session, one)):
            judge(session, one, bob, item, answers[at], at=START + timedelta(minutes=2 * at))
        for at, answer in enumerate((L, R, GOOD, R)):
            item = gold(session, one, position=200 + at)
            judge(session, one, bob, item, answer, left="better", at=START + timedelta(hours=2, minutes=at))
    assert "Gold: 3 of 4 answered otherwise than expected." in striking(researcher, study)["a00000000001"]


def test_case_14_a_claimed_time_does_not_hide_a_script(researcher, client_for, database, study, long_study):
    """Active time is sent by the browser; the gap between submissions is measured here."""
    with writing(database) as session:
        bot = person(session, session.get_one(Study, study.id), 2)
    client = client_for(bot)
    for _ in range(6):
        token = take(client, study)
        post(client, token, "submit", an_answer(active_ms=60_000, wall_ms=90_000, preference="tie_good"))
    said = striking(researcher, study)["a00000000002"]
    assert "faster than two responses can be read" in said
    assert "of active time" not in said


def test_case_43_nothing_in_an_export_names_a_person(researcher, annotator, database, study, bob, alice, long_study):
    """Pseudonyms only: no e-mail, name, user id, address or external id in any table."""
    with writing(database) as session:
        session.get_one(Membership, (study.id, bob.id)).external_id = "PROLIFIC-77"
        add(session, ExitAnswer(study_id=study.id, user_id=bob.id, recognised_model=False))
    for _ in range(3):
        post(annotator, take(annotator, study), "submit", an_answer(comment="fine"))
    form = {"rule": "annotator", "annotator": "a00000000001", "reason": "asked to"}
    researcher.post(f"/studies/{study.id}/exclusions", data=form)
    with reading(database) as session:
        assert len(session.exec(select(Revision)).all()) == 3
    for table in TABLES:
        text = researcher.get(f"/studies/{study.id}/export/{table}").text
        assert "@example.org" not in text
        for telling in (bob.email, bob.name, bob.id, alice.email, alice.id, "PROLIFIC-77", "testclient", "127.0.0.1"):
            assert telling not in text, (table, telling)
    assert "a00000000001" in researcher.get(f"/studies/{study.id}/export/annotators.csv").text


def test_what_annotators_write_is_text_on_a_researchers_page(researcher, annotator, database, study, long_study):
    """Comments, guesses and reasons are escaped, and nothing in them is an instruction to htmx."""
    evil = '<img src=x onerror=alert(1)><div hx-get="/logout" hx-trigger="load">{{7*7}}</div>'
    token = take(annotator, study)
    page_data(annotator, token)
    post(annotator, token, "submit", an_answer(comment=evil, recognised_model=True, recognised_guess=evil))
    form = {"rule": "annotator", "annotator": "a00000000001", "reason": evil}
    assert researcher.post(f"/studies/{study.id}/exclusions", data=form).status_code == 303
    for path in ("/monitor", f"/judgments/{token}", "/exclusions"):
        page = BeautifulSoup(researcher.get(f"/studies/{study.id}{path}").text, "html.parser")
        assert evil in page.get_text()
        assert not page.select("img, [onerror], [hx-get='/logout']")
