"""The page of a study lists its items a page at a time, all of them on some page."""

import pytest
from bs4 import BeautifulSoup

from app.db import writing
from app.studies import queries
from models import Study
from tests.factories import fill_study
from tests.web.monitor_help import gold


@pytest.fixture
def many(database, study, monkeypatch):
    monkeypatch.setattr(queries, "ITEMS", 4)
    with writing(database) as session:
        one = session.get_one(Study, study.id)
        fill_study(session, one, prompts=tuple(f"Question {at}?" for at in range(10)))
        gold(session, one)
    return study


def listed(client, study, query=""):
    answer = client.get(f"/studies/{study.id}{query}")
    assert answer.status_code == 200, answer.text
    page = BeautifulSoup(answer.text, "html.parser")
    section = page.find(id="items-title").find_parent("section")
    return page, [row.select_one(".prompt-cell").text for row in section.select("tbody tr")], section


def test_every_item_is_on_some_page_with_its_responses(researcher, many):
    page, found, section = listed(researcher, many)
    assert "10 items, 2 arms" in " ".join(page.text.split())
    assert section.select_one("tbody tr td:last-child").text.split()[0] == "lft,"
    while later := section.find("a", string="Next"):
        _, more, section = listed(researcher, many, later["href"].partition("#")[0])
        assert len(section.select("tbody a[href^='/responses/']")) == 2 * len(more)
        found += more
    assert found == [f"Question {at}?" for at in range(10)]
    assert section.find("a", string="Previous")["href"] == "?items=2#items-title"


def test_a_page_beyond_the_last_is_the_last_and_none_before_the_first(researcher, many):
    assert listed(researcher, many, "?items=99")[1] == ["Question 8?", "Question 9?"]
    assert researcher.get(f"/studies/{many.id}?items=0").status_code == 422


def test_a_study_of_one_page_has_no_pages(researcher, many, monkeypatch):
    monkeypatch.setattr(queries, "ITEMS", 10)
    _, found, section = listed(researcher, many)
    assert len(found) == 10
    assert section.find("nav") is None
