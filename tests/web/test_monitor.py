"""The monitor page: what stands there is what is in the tables, with and without htmx."""

import re
from datetime import timedelta

import pytest
from bs4 import BeautifulSoup
from sqlmodel import select

from app.db import reading, writing
from app.monitor.listing import PAGE
from app.monitor.matrix import ROWS
from models import (
    ComprehensionAttempt,
    Exclusion,
    ExitAnswer,
    ItemResponse,
    Preference,
    Presentation,
    PresentationState,
    Response,
    Revision,
    RevisionKind,
    Study,
    StudyEvent,
)
from models.base import now
from tests.factories import add, fill_study, make_study
from tests.web.judging_help import an_answer, page_data, post, take
from tests.web.monitor_help import SKIPPED, START, gold, items_of, judge, minutes_ago, person, shown

L, R, GOOD, BAD = Preference.LEFT, Preference.RIGHT, Preference.TIE_GOOD, Preference.TIE_BAD


def soup(client, study, query="", headers=None):
    answer = client.get(f"/studies/{study.id}/monitor{query}", headers=headers or {})
    assert answer.status_code == 200, answer.text
    return BeautifulSoup(answer.text, "html.parser")


def words(tag):
    return re.sub(r"\s+", " ", tag.get_text(" ")).strip()


def section(page, title):
    return words(page.find(id=title).find_parent("section"))


@pytest.fixture
def filled(database, study):
    with writing(database) as session:
        fill_study(session, session.get(Study, study.id))


def test_an_empty_study_has_a_monitor(researcher, study, htmx):
    page = soup(researcher, study, headers=htmx)
    assert (page.find("html") is None) == bool(htmx)
    assert "No pairs yet" in section(page, "coverage-title")
    assert "no estimate" in section(page, "pace-title")


def test_coverage_counts_judgments_against_what_each_item_wants(researcher, database, study, bob, filled, htmx):
    with writing(database) as session:
        items = items_of(session, study)
        people = [person(session, study, n) for n in (2, 3)]
        # Overlap is 2; the second item wants one only, the third has a response that is shown to nobody.
        items[1].overlap = 1
        for answer in session.exec(select(ItemResponse).where(ItemResponse.item_id == items[2].id)):
            answer.withheld = True
        judge(session, study, bob, items[0], L)
        judge(session, study, people[0], items[0], R)
        judge(session, study, bob, items[1], L)
        judge(session, study, people[0], items[1], R)
        judge(session, study, people[1], items[1], SKIPPED)
        practice = gold(session, study)
        judge(session, study, bob, practice, L)
    text = section(soup(researcher, study, headers=htmx), "coverage-title")
    # Wanted: 2 + 1; given: 2 + min(2, 1), one beyond.
    assert "3 of 3 judgments" in text
    assert "lft against sft 3 of 3" in text
    said = "2 of 2 items complete; 0 in hand, 1 skipped, 1 beyond what was wanted; 1 item held back"
    assert said in text.replace(" ,", ",")
    assert "better" not in text


def test_leases_show_their_age_and_are_released_by_hand(researcher, annotator, database, study, filled, htmx):
    token = take(annotator, study)
    post(annotator, token, "draft", an_answer(comment="unfinished"))
    with writing(database) as session:
        one = session.get_one(Presentation, token)
        one.created_at, one.leased_until = minutes_ago(5), now() + timedelta(minutes=25, seconds=30)
    page = soup(researcher, study, headers=htmx)
    row = words(page.find(id="leases-table").tbody)
    assert "a00000000001 5 min 25 min 1 Release" in row
    cell = page.select_one("#matrix .cell-in-hand")
    assert words(cell) == "5 min in hand for 5 min"
    answer = researcher.post(f"/studies/{study.id}/monitor/release", data={"presentation_id": token}, headers=htmx)
    assert answer.status_code == 303
    page = soup(researcher, study, headers=htmx)
    assert page.find(id="leases-table") is None
    assert words(page.select_one("#matrix .cell-expired")) == "× expired"
    assert re.search(r"Alice: Released item \d, which a00000000001 held", section(page, "log-title"))
    with reading(database) as session:
        assert session.get_one(Presentation, token).state == PresentationState.EXPIRED
        assert len(session.exec(select(Revision)).all()) == 1
    # The draft is there still, and the place is free: the same person may go on.
    assert page_data(annotator, token)["answer"]["comment"] == "unfinished"
    assert take(annotator, study) == token


def test_a_judgment_cannot_be_released(researcher, annotator, database, study, filled):
    token = take(annotator, study)
    post(annotator, token, "submit", an_answer())
    answer = researcher.post(f"/studies/{study.id}/monitor/release", data={"presentation_id": token})
    assert answer.status_code == 409
    assert "Nobody holds this item" in answer.text
    with reading(database) as session:
        assert session.get_one(Presentation, token).state == PresentationState.SUBMITTED
        assert session.exec(select(StudyEvent)).all() == []


def test_a_released_item_goes_to_somebody_else(researcher, client_for, annotator, database, study, alice, filled):
    with writing(database) as session:
        one = session.get_one(Study, study.id)
        one.overlap = 1
        other = person(session, one, 2)
        for item in items_of(session, one)[1:]:
            judge(session, one, person(session, one, 10 + item.position), item, L)
    token = take(annotator, study)
    second = client_for(other)
    assert take(second, study) is None
    researcher.post(f"/studies/{study.id}/monitor/release", data={"presentation_id": token})
    assert take(second, study) is not None


def test_the_matrix_pages_both_ways_and_links_each_judgment(researcher, database, study, bob, htmx):
    with writing(database) as session:
        one = session.get_one(Study, study.id)
        fill_study(session, one, prompts=tuple(f"Prompt {n}" for n in range(ROWS + 3)))
        items = items_of(session, one)
        late = judge(session, one, bob, items[-1], L)
        both = [judge(session, one, bob, items[0], SKIPPED)]
    first = soup(researcher, study, headers=htmx)
    assert len(first.select("#matrix tbody tr")) == ROWS
    assert words(first.select_one(f"#c-{both[0].id}")) == "○ skipped"
    assert first.select_one(f"#c-{late.id}") is None
    assert "not assigned" in words(first.select("#matrix tbody tr")[1])
    second = soup(researcher, study, "?items=2", headers=htmx)
    assert len(second.select("#matrix tbody tr")) == 3
    link = second.select_one(f"#c-{late.id}")
    assert words(link) == "✓ judged"
    assert researcher.get(link["href"]).status_code == 200
    # A page beyond the last is the last, and the polling address keeps the page.
    beyond = soup(researcher, study, "?items=99&people=99", headers=htmx)
    assert beyond.select_one("#monitor")["hx-get"].endswith("?items=2&people=1")
    assert researcher.get(f"/studies/{study.id}/monitor?items=x").status_code == 422


def test_people_show_gold_the_check_and_their_profile(researcher, database, study, bob, filled, htmx):
    with writing(database) as session:
        one = session.get_one(Study, study.id)
        one.comprehension = [{"question": "?", "choices": ["a", "b"], "right": 0, "why": ""}]
        items = items_of(session, one)
        later = [minutes_ago(10 - at) for at in range(5)]
        judge(session, one, bob, items[0], L, active_ms=10_000, at=later[0], reading={"left": 0.6, "right": 1.0})
        judge(
            session, one, bob, items[1], R, active_ms=30_000, at=later[1], flagged=True,
            reading={"left": 0.2, "right": 1, "first_view_ms": 900},
        )  # fmt: skip
        judge(session, one, bob, items[2], GOOD, active_ms=20_000, at=later[2])
        judge(session, one, bob, gold(session, one), L, left="better", at=later[3])
        missed = judge(session, one, bob, gold(session, one, position=101), L, left="worse", at=later[4])
        for number, right in ((1, 0), (2, 1)):
            add(
                session,
                ComprehensionAttempt(
                    study_id=one.id, user_id=bob.id, number=number, answers=[0], right=right, passed=right == 1
                ),
            )
    page = soup(researcher, study, headers=htmx)
    row = page.select_one("#people-table tbody tr")
    cells = [words(cell) for cell in row.find_all(["th", "td"])]
    assert cells.pop(1) == "check Gold: 1 of 2 answered otherwise than expected."
    assert cells[:3] == ["a00000000001", "3", "50 % (9 to 91)"]
    # Wilson 1/2: (0.5 + 1.92/2 +- 1.96*sqrt(0.25/2 + 3.84/16)) / (1 + 3.84/2) = 0.0945 .. 0.9055.
    assert cells[4].startswith("33 %")
    # left, right, and left twice in gold items: two changes of three.
    assert cells[5:9] == ["2 of 3", "1.58 bit", "20.0 s", "10.0 s"]
    assert cells[9:12] == ["40 %, 100 %", "1 of 2 item 101 wrong", "passed, 2 tries last 1 of 1"]
    assert cells[12:16] == ["0", "1", "0", "0"]
    assert row.find("a", string="item 101 wrong")["href"].endswith(missed.id)


def listed(client, href):
    """The number in the title of a list of judgments, and the judgments of its first page."""
    answer = client.get(href)
    assert answer.status_code == 200, answer.text
    page = BeautifulSoup(answer.text, "html.parser")
    number = int(re.search(r"([\d]+) judgments?$", words(page.find("h2"))).group(1))
    return number, [a["href"].rsplit("/", 1)[1] for a in page.select(".monitor-judgments tbody th a")]


def test_every_number_leads_to_as_many_judgments_as_it_says(researcher, database, study, bob, filled):
    with writing(database) as session:
        one = session.get_one(Study, study.id)
        items = items_of(session, one)
        other = person(session, one, 2)
        given = [
            judge(session, one, bob, items[0], L, active_ms=3_000, reading={"left": 0.9, "right": 0.1}),
            judge(session, one, bob, items[1], GOOD, active_ms=1_000, at=START + timedelta(minutes=2), flagged=True),
            judge(session, one, bob, items[2], SKIPPED, at=START + timedelta(minutes=3)),
            judge(session, one, bob, gold(session, one), R, left="better", at=START + timedelta(minutes=4)),
        ]
        session.get_one(Response, given[0].left_response_id).text += " And more."
        judge(session, one, other, items[0], R, recognised_model=True)
        add(session, Exclusion(study_id=one.id, rule="min_active", settings={"seconds": 2}))
    page = soup(researcher, study)
    row = next(row for row in page.select("#people-table tbody tr") if "a00000000001" in row.th.text)
    found = {}
    for link in row.select("td a[href*='?']"):
        what = link["href"].split("what=")[1]
        number, ids = listed(researcher, link["href"])
        assert number == len(ids)
        found[what] = (words(link), [given.index(next(g for g in given if g.id == key)) for key in ids])
    # Bob's answers by number; newest first unless the link says otherwise.
    assert found == {
        "judged": ("2", [1, 0]),
        "left": ("100 %", [0]),
        "longer": ("100 %", [0]),
        "ties": ("50 %", [1]),
        "work&order=oldest": ("1 of 1", [0, 1, 2, 3]),
        "judged&order=time": ("1.0 s", [1, 0]),
        "judged&order=read": ("90 %, 10 %", [0, 1]),
        "gold": ("0 of 1", [3]),
        "skips": ("1", [2]),
        "flags": ("1", [1]),
        "excluded": ("1", [1]),
    }
    blinding = page.find(id="blinding-title").find_parent("section").select_one("a[href*=recognised]")
    assert listed(researcher, blinding["href"])[0] == 1
    coverage = page.find(id="coverage-title").find_parent("section").select("a")
    assert [listed(researcher, link["href"])[0] for link in coverage] == [3, 1]
    assert listed(researcher, f"/studies/{study.id}/judgments?what=all&item=1")[0] == 2


def test_a_list_of_judgments_pages_and_refuses_what_is_not_there(researcher, database, study, bob):
    with writing(database) as session:
        one = session.get_one(Study, study.id)
        fill_study(session, one, prompts=tuple(f"Prompt {n}" for n in range(PAGE + 2)))
        for at, item in enumerate(items_of(session, one)):
            judge(session, one, bob, item, L, at=START + timedelta(minutes=at))
    place = f"/studies/{study.id}/judgments"
    number, first = listed(researcher, place)
    assert (number, len(first)) == (PAGE + 2, PAGE)
    page = BeautifulSoup(researcher.get(f"{place}?annotator=a00000000001").text, "html.parser")
    later = page.find("a", string="Next")["href"]
    assert "annotator=a00000000001" in later
    assert not page.find("a", string="Previous")
    number, second = listed(researcher, place + later)
    assert (number, len(second)) == (PAGE + 2, 2)
    assert not set(first) & set(second)
    assert listed(researcher, f"{place}?page=99")[1] == second
    assert listed(researcher, f"{place}?what=ties") == (0, [])
    for wrong in ("what=nothing", "order=best", "annotator=nobody", "item=999", "pair=none"):
        assert researcher.get(f"{place}?{wrong}").status_code == 404, wrong
    assert researcher.get(f"{place}?page=0").status_code == 422


def test_the_queue_names_the_arms_and_links_the_answers(researcher, database, study, bob, filled, htmx):
    with writing(database) as session:
        one = session.get_one(Study, study.id)
        items = items_of(session, one)
        other = person(session, one, 2)
        # Both preferred lft in the first item, from different sides; in the second they were of two minds.
        judge(session, one, bob, items[0], L, left="lft")
        judge(session, one, other, items[0], R, left="sft")
        judge(session, one, bob, items[1], L, left="lft")
        apart = judge(session, one, other, items[1], L, left="sft")
        judge(session, one, bob, items[2], GOOD)
        judge(session, one, other, items[2], BAD)
    page = soup(researcher, study, headers=htmx)
    rows = page.select("#disputes-table tbody tr")
    assert [words(row) for row in rows] == [
        "2 Name two rivers. 1.00 lft 1, sft 1 a00000000001 : lft a00000000002 : sft"
    ]
    assert apart.id in {a["href"].rsplit("/", 1)[1] for a in rows[0].find_all("a")}


def test_blinding_pace_and_notes(researcher, database, study, bob, filled, htmx):
    with writing(database) as session:
        one = session.get_one(Study, study.id)
        items = items_of(session, one)
        judge(
            session, one, bob, items[0], L, at=minutes_ago(30), recognised_model=True, recognised_guess="Kettle-7B",
            comment="<b>bold</b>",
        )  # fmt: skip
        judge(session, one, bob, items[1], R, at=minutes_ago(40))
        judge(session, one, bob, items[2], SKIPPED, at=minutes_ago(50))
        add(
            session,
            ExitAnswer(study_id=one.id, user_id=bob.id, recognised_model=True, recognised_guess="a small one"),
        )
    page = soup(researcher, study, headers=htmx)
    blinding = section(page, "blinding-title")
    assert "1 of 2" in blinding
    assert "1 of 1 people" in blinding
    assert "Kettle-7B (1); at the end: a small one (1)" in blinding
    # Three items times two judgments, two given, at two an hour: four to go take two hours.
    assert "2 an hour, 4 to go, 2 h." in section(page, "pace-title")
    notes = section(page, "notes-title")
    assert "<b>bold</b>" in notes
    assert "skipped too hard" in notes
    assert page.find("b", string="bold") is None


def test_pause_and_close_are_on_the_page(researcher, database, study):
    buttons = soup(researcher, study).select('form[action$="/state"] button')
    assert [button["value"] for button in buttons] == ["paused", "closed"]
    form = buttons[0].find_parent("form")
    assert researcher.post(form["action"], data={"state": "paused"}).status_code == 303
    assert [button["value"] for button in soup(researcher, study).select('form[action$="/state"] button')] == [
        "open",
        "closed",
    ]


def test_a_judgment_shows_its_texts_and_every_revision(researcher, annotator, database, study, filled, htmx):
    token = take(annotator, study)
    texts = page_data(annotator, token)["texts"]
    mark = {
        "side": "left", "start": 0, "end": 6, "quote": texts["left"][:6], "type": "invented", "severity": "major",
        "note": "made up",
    }  # fmt: skip
    post(annotator, token, "draft", an_answer(preference=None, comment="thinking"))
    post(annotator, token, "submit", an_answer(base_revision=1, preference="left", spans=[mark]))
    post(annotator, token, "draft", an_answer(base_revision=2, preference="right"))
    post(annotator, token, "submit", an_answer(base_revision=3, preference="tie_bad", comment="<i>x</i>"))
    answer = researcher.get(f"/studies/{study.id}/judgments/{token}", headers=htmx)
    page = BeautifulSoup(answer.text, "html.parser")
    shown_texts = [box.get_text() for box in page.select(".monitor-text")]
    assert shown_texts[1:] == [texts["left"], texts["right"]]
    assert texts["left"].endswith(shown_texts[0])
    heads = [words(head) for head in page.select("article h3")]
    assert heads == [
        "Revision 1: no preference yet draft",
        "Revision 2: A submitted first answer",
        "Revision 3: B draft",
        "Revision 4: tie, both bad submitted final answer",
    ]
    second = words(page.select("article")[1])
    assert "A, characters 0 to 6, invented, major: Answer made up" in second
    assert "Helpfulness 4 2" in second
    assert "<i>x</i>" in words(page.select("article")[3])


def test_a_judgment_of_another_study_is_not_shown(researcher, database, study, alice, bob, filled):
    with writing(database) as session:
        other = make_study(session, owner=alice, slug="other")
        one = judge(session, study, bob, items_of(session, study)[0], L)
    assert researcher.get(f"/studies/{study.id}/judgments/{one.id}").status_code == 200
    assert researcher.get(f"/studies/{other.id}/judgments/{one.id}").status_code == 404
    assert researcher.post(f"/studies/{other.id}/monitor/release", data={"presentation_id": one.id}).status_code == 404


def test_an_expired_lease_is_expired_before_anybody_asks(researcher, database, study, bob, filled):
    with writing(database) as session:
        one = shown(session, study, bob, items_of(session, study)[0], at=minutes_ago(90), until=minutes_ago(30))
    page = soup(researcher, study)
    assert words(page.select_one(f"#c-{one.id}")) == "× expired"
    assert page.find(id="leases-table") is None
    assert "0 in hand" in section(page, "coverage-title")


def test_a_draft_after_submitting_is_not_the_judgment(researcher, database, study, bob, filled):
    with writing(database) as session:
        one = judge(session, study, bob, items_of(session, study)[0], L)
        add(
            session,
            Revision(
                presentation_id=one.id, number=2, idempotency_key="attempt-2", kind=RevisionKind.DRAFT,
                preference=R, app_version="0", comment="draft only",
            ),
        )  # fmt: skip
    assert "draft only" not in section(soup(researcher, study), "notes-title")
