"""A monitor lists a page of what may be many; each list has its own pages, and to leave one leaves the others."""

import re
from datetime import timedelta
from unittest.mock import patch
from urllib.parse import parse_qs, urlsplit

import pytest
from bs4 import BeautifulSoup

from app.db import writing
from app.monitor.board import MANY
from app.monitor.in_hand import LEASES
from app.monitor.people import PEOPLE
from app.monitor.places import Places, part_of
from models import Preference, Study
from models.base import now
from tests.factories import fill_study
from tests.web.monitor_help import gold, items_of, judge, person, shown

L = Preference.LEFT
# As many people as it takes to fill two pages of them, each with an item in hand.
CROWD = max(PEOPLE, LEASES) + 3


def soup(client, study, query=""):
    answer = client.get(f"/studies/{study.id}/monitor{query}")
    assert answer.status_code == 200, answer.text
    return BeautifulSoup(answer.text, "html.parser")


@pytest.fixture
def crowd(database, study):
    """People with an item in hand each; the last to join is the only one with something striking."""
    with writing(database) as session:
        one = session.get_one(Study, study.id)
        one.overlap = CROWD
        fill_study(session, one, prompts=tuple(f"Question {at}?" for at in range(8)))
        items = items_of(session, one)
        people = [person(session, one, at, name="Same Name") for at in range(2, 2 + CROWD)]
        for at, who in enumerate(people):
            shown(session, one, who, items[0], at=now(), until=now() + timedelta(minutes=10, seconds=at))
        for at, known in enumerate(gold(session, one, position=200 + at) for at in range(8)):
            judge(session, one, people[-1], known, L, left="worse")
            # Somebody answers gold items right, so that not everybody is striking.
            judge(session, one, people[0], known, L, left="better")
            if at < 3:
                judge(session, one, people[0], items[1 + at], (L, Preference.RIGHT, Preference.TIE_BAD)[at])
    return study


def pids(page):
    return [one.text for one in page.select("#people-table tbody th .mono")]


def test_everybody_is_on_some_page_and_the_striking_come_first(researcher, crowd):
    first = soup(researcher, crowd)
    assert len(pids(first)) == PEOPLE
    assert pids(first)[0] == f"a{1 + CROWD:011d}"
    later = first.find("nav", attrs={"aria-label": "Annotators, pages"}).find("a", string="Next")["href"]
    second = soup(researcher, crowd, later.partition("#")[0])
    # Bob of the study itself is one more.
    assert sorted([*pids(first), *pids(second)]) == [f"a{at:011d}" for at in range(1, 2 + CROWD)]
    assert pids(soup(researcher, crowd, "?annotators=99")) == pids(second)
    assert researcher.get(f"/studies/{crowd.id}/monitor?annotators=0").status_code == 422


def test_many_wrong_gold_items_are_counted_and_the_first_are_named(researcher, crowd):
    row = soup(researcher, crowd).select_one("#people-table tbody tr")
    assert len(row.find_all("a", string=re.compile(r"item \d+ wrong"))) == 6
    rest = row.find("a", string="all 8 wrong")
    listing = BeautifulSoup(researcher.get(rest["href"]).text, "html.parser")
    assert len(listing.select(".monitor-judgments tbody tr")) == 8


def test_everything_in_hand_is_on_some_page(researcher, crowd):
    first = soup(researcher, crowd)
    rows = [one["value"] for one in first.select("#leases-table button")]
    later = first.find("nav", attrs={"aria-label": "Items in hand, pages"}).find("a", string="Next")["href"]
    second = soup(researcher, crowd, later.partition("#")[0])
    rest = [one["value"] for one in second.select("#leases-table button")]
    assert (len(rows), len(rest)) == (LEASES, CROWD - LEASES)
    assert not set(rows) & set(rest)
    title = second.find(id="leases").text
    assert title == f"In hand {CROWD}"


def test_accounts_alike_are_counted_and_the_first_are_listed(researcher, crowd):
    page = soup(researcher, crowd)
    assert len(page.select(".banner li")) == MANY
    assert f"The first {MANY} of {CROWD * (CROWD - 1) // 2} pairs are listed" in page.text


def test_the_links_of_one_list_keep_the_pages_of_the_others(researcher, crowd):
    page = soup(researcher, crowd, "?people=2&annotators=2&hand=2")
    for nav in page.select("#monitor nav"):
        for link in nav.select("a"):
            kept = {name: value for name, (value,) in parse_qs(urlsplit(link["href"]).query).items()}
            changed = {name for name, value in kept.items() if value != ("1" if name == "items" else "2")}
            missing = {"people", "annotators", "hand"} - kept.keys()
            assert len(changed | missing) == 1, link
    assert page.select_one("#monitor")["hx-get"].endswith("?items=1&people=2&annotators=2&hand=2")


def test_a_page_is_as_large_as_its_pages_and_not_as_its_study(researcher, database, crowd):
    with patch("app.monitor.people.PEOPLE", 5), patch("app.monitor.board.LEASES", 5):
        small = len(researcher.get(f"/studies/{crowd.id}/monitor").content)
        with writing(database) as session:
            one = session.get_one(Study, crowd.id)
            for at in range(100, 140):
                shown(session, one, person(session, one, at), items_of(session, one)[0], at=now())
        assert len(researcher.get(f"/studies/{crowd.id}/monitor").content) < 1.1 * small


def test_places_say_their_address_in_few_words():
    assert Places().at() == "items=1&people=1"
    assert Places(items=3, hand=2).at("annotators", 4) == "items=3&people=1&annotators=4&hand=2"
    assert Places(annotators=2).at("annotators", 1) == "items=1&people=1"
    assert (part_of([], 3, 10).rows, part_of([], 3, 10).pages) == ([], 1)
    assert list(part_of(range(25), 9, 10).rows) == [20, 21, 22, 23, 24]
