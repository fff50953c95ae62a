"""Strata from the file of prompts to the results page, the rows behind a number, and the export."""

import json
import subprocess
import sys

import pytest
from bs4 import BeautifulSoup
from sqlmodel import select

from app.db import reading
from models import Item, Study
from tests.web.results_help import simulated
from tests.web.setup_help import lines, make, send_file
from tests.web.test_recompute import unpacked
from tests.web.test_study_imports import refused, said


def strata_of(database, study_id):
    with reading(database) as session:
        return dict(session.exec(select(Item.prompt, Item.stratum).where(Item.study_id == study_id)).all())


def test_a_file_of_prompts_brings_their_strata(stranger, database):
    for name, content in (
        ("p.csv", "stratum,prompt\nmaths,What is 2 + 2?\n,Why?\n"),
        ("p.jsonl", lines({"prompt": "What is 2 + 2?", "category": " maths "}, {"prompt": "Why?", "stratum": None})),
    ):
        study_id = make(stranger, prompts="", name=name)
        done = said(stranger, send_file(stranger, study_id, "prompts", content, name=name))
        assert done == "2 prompts imported, in 1 stratum."
        assert strata_of(database, study_id) == {"What is 2 + 2?": "maths", "Why?": ""}
        again = said(stranger, send_file(stranger, study_id, "prompts", content, name=name))
        assert again == "These 2 prompts were there already; nothing changed."


def test_strata_survive_the_form_and_a_copy(stranger, database):
    study_id = make(stranger, prompts='{"prompt": "What is 2 + 2?", "stratum": "maths"}\n{"prompt": "Why?"}')
    assert strata_of(database, study_id) == {"What is 2 + 2?": "maths", "Why?": ""}
    page = BeautifulSoup(stranger.get(f"/studies/{study_id}/setup").text, "html.parser")
    shown = page.select_one("textarea[name=prompts]").text
    assert json.loads(shown.strip().split("\n")[0]) == {"prompt": "What is 2 + 2?", "stratum": "maths"}
    answer = stranger.post(f"/studies/{study_id}/duplicate")
    copy = answer.headers["location"].split("/")[2]
    assert strata_of(database, copy) == {"What is 2 + 2?": "maths", "Why?": ""}


def test_finished_responses_bring_the_strata_of_a_draft_without_prompts(stranger, database):
    study_id = make(stranger, prompts="")
    rows = [{"prompt": "Why?", "response": f"{arm}.", "model": arm, "stratum": "why"} for arm in ("one", "two")]
    send_file(stranger, study_id, "responses", lines(*rows), name="r.jsonl")
    assert strata_of(database, study_id) == {"Why?": "why"}


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"stratum": 3}, "Row 1 has something that is no text under `stratum`"),
        ({"stratum": "x" * 81}, "Row 1 has a stratum that has 81 characters; the limit is 80"),
        ({"stratum": "(none)"}, "Row 1 has a stratum that is what results call having none"),
    ],
)
def test_a_stratum_that_is_none_is_refused_with_its_row(stranger, row, why):
    study_id = make(stranger, prompts="")
    assert why in refused(send_file(stranger, study_id, "prompts", lines({"prompt": "Why?"} | row), name="p.jsonl"))


def test_too_many_strata_are_refused(stranger, database):
    study_id = make(stranger, prompts="")
    many = lines(*({"prompt": f"Why {at}?", "stratum": f"s{at}"} for at in range(41)))
    assert "There are 41 strata; a study takes at most 40." in refused(
        send_file(stranger, study_id, "prompts", many, name="p.jsonl")
    )
    assert strata_of(database, study_id) == {}


@pytest.fixture
def judged(database, alice):
    return simulated(database, alice, items=12, strata=("maths", "a & b", ""), arms=("base", "lft", "sft"), overlap=2)


def page_of(client, study, query=""):
    return BeautifulSoup(client.get(f"/studies/{study.id}/results{query}").text, "html.parser")


def test_the_page_shows_every_stratum_and_one_alone(researcher, judged):
    page = page_of(researcher, judged)
    assert [one["value"] for one in page.select("#stratum option")] == ["", "(none)", "a & b", "maths"]
    section = page.select_one("section[aria-labelledby=strata-heading]")
    assert "none of which is adjusted for being many" in section.text
    assert section.select_one('[data-key="strata.lft~sft.q"]')
    assert section.select_one('[data-key="stratum.a%20&%20b.preference.lft~sft.win_rate.half"]')
    one = page_of(researcher, judged, "?stratum=a+%26+b&pair=lft~sft")
    headings = [heading.text for heading in one.select("#results h2")]
    assert headings == ["Preference", "Dimensions", "Hallucination"]
    keys = [cell["data-key"] for cell in one.select("[data-key]")]
    assert keys
    assert all(key.startswith("stratum.a%20&%20b.") for key in keys)
    assert not one.select_one('a[href*="figures"]:not([href*="stratum=a%20%26%20b"])')
    assert "Nothing was judged in the stratum nowhere." in page_of(researcher, judged, "?stratum=nowhere").text


def test_a_number_of_a_stratum_links_to_its_rows(researcher, judged, database):
    page = page_of(researcher, judged, "?stratum=(none)&pair=lft~sft")
    cell = page.select_one('[data-key="stratum.(none).preference.lft~sft.n"] a')
    rows = BeautifulSoup(researcher.get(cell["href"]).text, "html.parser")
    assert f"{cell.text} judgments of lft against sft, in the stratum (none)." in " ".join(rows.main.text.split())


def test_a_figure_of_a_stratum_is_of_that_stratum(researcher, judged):
    address = f"/studies/{judged.id}/results/figures/win-rates.csv?pair=lft~sft"
    whole, part = researcher.get(address).text, researcher.get(f"{address}&stratum=maths").text
    assert whole != part


def test_the_export_names_strata_and_computes_them_again(database, judged, tmp_path, researcher):
    folder = unpacked(database, judged, tmp_path)
    stored = json.loads((folder / "results.json").read_text())
    assert stored["stratum.maths.preference.lft~sft.n"] > 0
    assert stored["strata.lft~sft.p"] > 0
    done = subprocess.run(
        [sys.executable, "-I", str(folder / "recompute.py")], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout
    report = researcher.get(f"/studies/{judged.id}/report.html").text
    assert "for each of 3 strata of prompts" in report
    with reading(database) as session:
        assert session.get(Study, judged.id).slug in (folder / "manifest.json").read_text()
