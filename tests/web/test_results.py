"""The results page: numbers with intervals, reasons instead of numbers, looks written down, the rows behind it all."""

import re
import time

import pytest
from bs4 import BeautifulSoup
from sqlmodel import select

from app.db import reading, writing
from app.results.looks import looks_at
from models import Exclusion, Preference, Study, StudyEvent, StudyFindings, StudyState
from models.base import now
from tests.factories import fill_study
from tests.web.monitor_help import items_of, judge, person
from tests.web.results_help import simulated


def page_of(client, study, headers=None, **asked):
    answer = client.get(f"/studies/{study.id}/results", params=asked, headers=headers or {})
    assert answer.status_code == 200, answer.text[:300]
    return BeautifulSoup(answer.text, "html.parser")


def cell(page, key):
    found = page.select(f'td[data-key="{key}"]')
    assert found, key
    return found[0].get_text(" ", strip=True)


@pytest.fixture
def five(database, alice, study):
    """Five judgments of two prompts by three people: 3 for lft, 1 for sft, one tie."""
    with writing(database) as session:
        kept = session.get(Study, study.id)
        fill_study(session, kept, prompts=("One?", "Two?"))
        one, two = items_of(session, kept)
        ann, ben, cem = (person(session, kept, at) for at in (2, 3, 4))
        for who, item, said in (
            (ann, one, "left"),
            (ann, two, "left"),
            (ben, one, "left"),
            (ben, two, "right"),
            (cem, one, "tie_good"),
        ):
            judge(session, kept, who, item, Preference(said), left="lft")
        return study


def test_the_page_shows_the_arithmetic_of_a_small_study(researcher, five, htmx):
    page = page_of(researcher, five, htmx)
    prefix = "preference.lft~sft"
    assert [cell(page, f"{prefix}.{name}") for name in ("wins", "losses", "ties_good", "ties_bad")] == list("3110")
    # (3 + 1 / 2) / 5 and 3 / (3 + 1). Wilson's for 0.7 of 5: (0.7 + 3.8415 / 10 -+ 1.96 sqrt(0.7 * 0.3 / 5 +
    # 3.8415 / 100)) / (1 + 3.8415 / 5) = (1.08415 -+ 0.55581) / 1.76829.
    assert cell(page, f"{prefix}.win_rate.half").startswith("70.0 %")
    assert cell(page, f"{prefix}.win_rate.dropped").startswith("75.0 %")
    assert cell(page, f"{prefix}.win_rate.davidson").startswith("75.0 %")
    assert cell(page, f"{prefix}.win_rate.half.wilson") == "29.9 % to 92.7 %"
    assert (page.find("h1") is None) == bool(htmx)


def test_a_number_leads_to_the_judgments_it_rests_on(researcher, five):
    page = page_of(researcher, five)
    link = page.select_one('td[data-key="preference.lft~sft.wins"] a')["href"]
    rows = BeautifulSoup(researcher.get(link).text, "html.parser")
    assert len(rows.select("tbody tr")) == 3
    assert all("lft" in row.get_text() for row in rows.select("tbody tr"))
    first = rows.select_one("tbody a")["href"]
    assert researcher.get(first).status_code == 200


def test_every_count_equals_the_rows_behind_it(researcher, database, alice):
    study = simulated(database, alice, arms=("base", "lft", "sft"), annotators=12)
    page, seen = page_of(researcher, study), 0
    for found in page.select("td[data-key] a"):
        count = found.get_text(strip=True).replace(",", "")
        if count.isdigit():
            rows = researcher.get(found["href"])
            shown = re.search(r"<strong>([\d,]+)</strong> judgment", rows.text).group(1).replace(",", "")
            assert shown == count, found["href"]
            seen += 1
    assert seen >= 18


def test_abuse_39_without_judgments_the_page_says_so_in_words(researcher, database, study, htmx):
    page = page_of(researcher, study, htmx)
    assert "No judgments yet" in page.get_text()
    assert not page.select("td[data-key]")
    with reading(database) as session:
        assert session.exec(select(StudyFindings)).all() == []


def test_abuse_39_all_ties_are_a_reason_and_no_number(researcher, database, study):
    with writing(database) as session:
        kept = session.get(Study, study.id)
        fill_study(session, kept, prompts=("One?", "Two?"))
        for at in (2, 3):
            who = person(session, kept, at)
            for item in items_of(session, kept):
                judge(session, kept, who, item, Preference.TIE_BAD, left="lft")
    page = page_of(researcher, study)
    assert cell(page, "preference.lft~sft.win_rate.half").startswith("50.0 %")
    dropped = cell(page, "preference.lft~sft.win_rate.dropped")
    assert dropped.startswith("none")
    assert "every judgment is a tie" in dropped
    assert "every judgment is a tie" in cell(page, "preference.lft~sft.win_rate.davidson")


def test_abuse_39_one_annotator_has_no_interval_over_annotators(researcher, database, study):
    with writing(database) as session:
        kept = session.get(Study, study.id)
        fill_study(session, kept, prompts=("One?", "Two?", "Three?"))
        who = person(session, kept, 2)
        for item, said in zip(items_of(session, kept), ("left", "right", "left"), strict=True):
            judge(session, kept, who, item, Preference(said), left="lft")
    page = page_of(researcher, study)
    by = cell(page, "preference.lft~sft.win_rate.half.by_annotator")
    assert by.startswith("none")
    assert "one annotator" in by


def test_abuse_41_each_look_at_an_open_study_is_written_down_once_per_state(researcher, database, alice, five):
    page = page_of(researcher, five)
    assert "Interim results" in page.get_text()
    page_of(researcher, five)
    with writing(database) as session:
        kept = session.get(Study, five.id)
        judge(session, kept, person(session, kept, 9), items_of(session, kept)[0], Preference.LEFT)
    page_of(researcher, five)
    with reading(database) as session:
        looks = session.exec(
            select(StudyEvent).where(StudyEvent.action == "interim_look").order_by(StudyEvent.created_at)
        ).all()
    assert [look.detail for look in looks] == [
        "Looked at the results of 5 judgments.",
        "Looked at the results of 6 judgments.",
    ]
    assert {look.user_id for look in looks} == {alice.id}


def test_abuse_41_a_look_at_a_study_that_is_opened_again_was_an_interim_one(researcher, database, five):
    with writing(database) as session:
        session.get(Study, five.id).state = StudyState.CLOSED
    page_of(researcher, five)
    with writing(database) as session:
        kept = session.get(Study, five.id)
        assert looks_at(session, kept) == []
        kept.state = StudyState.OPEN
        judge(session, kept, person(session, kept, 9), items_of(session, kept)[0], Preference.LEFT, at=now())
        assert [look.detail for look in looks_at(session, kept)] == ["Looked at the results of 5 judgments."]


def test_a_closed_study_is_no_interim_look(researcher, database, five):
    with writing(database) as session:
        session.get(Study, five.id).state = StudyState.CLOSED
    assert "Interim results" not in page_of(researcher, five).get_text()
    with reading(database) as session:
        assert session.exec(select(StudyEvent).where(StudyEvent.action == "interim_look")).all() == []


def test_a_new_judgment_and_a_new_rule_are_counted_at_once(researcher, database, five):
    assert cell(page_of(researcher, five), "preference.lft~sft.n") == "5"
    with writing(database) as session:
        kept = session.get(Study, five.id)
        judge(session, kept, person(session, kept, 9), items_of(session, kept)[0], Preference.LEFT, left="lft")
    assert cell(page_of(researcher, five), "preference.lft~sft.n") == "6"
    with writing(database) as session:
        rule = Exclusion(study_id=five.id, rule="annotator", settings={"annotator": "a00000000009"}, created_at=now())
        session.add(rule)
    assert cell(page_of(researcher, five), "preference.lft~sft.n") == "5"
    assert cell(page_of(researcher, five, exclusions="without"), "all.preference.lft~sft.n") == "6"


def followed(client, study):
    """Load the part of the page that changes until it no longer waits for findings."""
    for _ in range(600):
        page = page_of(client, study, {"HX-Request": "true"})
        if "hx-trigger" not in page.select_one("#results").attrs:
            return page
        time.sleep(0.1)
    raise AssertionError(page.get_text(" "))


def test_a_large_study_shows_its_last_state_with_its_time_until_the_new_one_is_there(
    researcher, database, five, monkeypatch
):
    page_of(researcher, five)
    monkeypatch.setattr("app.results.standing.AT_ONCE", 3)
    with writing(database) as session:
        kept = session.get(Study, five.id)
        judge(session, kept, person(session, kept, 9), items_of(session, kept)[0], Preference.LEFT, left="lft")
    page = page_of(researcher, five)
    assert "1 judgment since" in page.get_text(" ")
    assert cell(page, "preference.lft~sft.n") == "5"
    assert page.select_one("#results")["hx-trigger"] == "every 5s"
    page = followed(researcher, five)
    assert cell(page, "preference.lft~sft.n") == "6"


def test_figures_are_labelled_have_a_table_and_download(researcher, five):
    page = page_of(researcher, five)
    figures = page.select("figure")
    assert figures
    for figure in figures:
        svg = figure.select_one("svg[role=img]")
        for label in svg["aria-labelledby"].split():
            assert svg.select_one(f"#{label}").get_text(strip=True)
        assert figure.select("table tbody tr")
        picture, numbers = (researcher.get(link["href"]) for link in figure.select("figcaption a"))
        assert picture.headers["content-type"] == "image/svg+xml"
        assert picture.text.startswith("<svg")
        assert "http" not in picture.text.replace("http://www.w3.org/2000/svg", "")
        assert len(numbers.text.splitlines()) == len(figure.select("tbody tr")) + 1


def test_a_figure_or_an_answer_that_is_none_is_named(researcher, five):
    assert researcher.get(f"/studies/{five.id}/results/figures/pie.svg").status_code == 404
    refused = researcher.get(f"/studies/{five.id}/results/judgments", params={"outcome": "best"})
    assert refused.status_code == 422
    assert "best" in refused.text
