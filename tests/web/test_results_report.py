"""The report of a study: one file, methods from what was done, every look and every change printed."""

import re

from bs4 import BeautifulSoup
from sqlmodel import select

from app.db import reading, writing
from models import Exclusion, Preference, Study, StudyEvent, StudyState
from models.base import now
from tests.factories import fill_study
from tests.simulation.robot import Truth
from tests.web.monitor_help import items_of, judge, person
from tests.web.results_help import everything, simulated


def report_of(client, study):
    answer = client.get(f"/studies/{study.id}/report.html")
    assert answer.status_code == 200, answer.text[:300]
    assert answer.headers["content-disposition"] == f'attachment; filename="{study.slug}-report.html"'
    return answer.text


def paragraph(page, title):
    found = [one for one in page.select("p") if one.get_text().startswith(f"{title}.")]
    assert found, title
    return " ".join(found[0].get_text().split())


def test_abuse_41_interim_looks_are_printed_in_the_report(researcher, database, alice):
    study = simulated(database, alice)
    researcher.get(f"/studies/{study.id}/results")
    page = BeautifulSoup(report_of(researcher, study), "html.parser")
    assert "interim: the study is open" in page.get_text()
    assert "looked at once so far, while the study is open" in paragraph(page, "Looks")
    with reading(database) as session:
        look = session.exec(select(StudyEvent).where(StudyEvent.action == "interim_look")).one()
    rows = [row.get_text(" ", strip=True) for row in page.select("tr") if "Looked at the results" in row.get_text()]
    assert rows == [f"{look.created_at:%Y-%m-%d %H:%M} Alice Looked at the results of 48 judgments."]


def test_a_study_closed_before_anybody_looked_says_so(researcher, database, alice):
    study = simulated(database, alice, state=StudyState.CLOSED)
    page = BeautifulSoup(report_of(researcher, study), "html.parser")
    assert "Nobody looked at these results in Tuneshift before the study was closed." in paragraph(page, "Looks")
    assert "interim" not in page.header.get_text()


def test_the_file_needs_nothing_beside_it(researcher, database, alice):
    text = report_of(researcher, simulated(database, alice, arms=("base", "lft", "sft"), annotators=12))
    page = BeautifulSoup(text, "html.parser")
    assert not page.select("script, link, img, iframe, object, [src]")
    assert "default-src 'none'" in page.select_one("meta[http-equiv]")["content"]
    assert not re.search(r"url\(|@import", page.style.get_text())
    assert len(page.select("figure svg[role=img]")) >= 8


def test_methods_say_what_was_done(researcher, database, alice):
    study = simulated(database, alice, overlap=4)
    with writing(database) as session:
        rule = Exclusion(
            study_id=study.id, rule="min_active", settings={"seconds": 14}, reason="too fast to read",
            created_by=alice.id, created_at=now(),
        )  # fmt: skip
        session.add(rule)
    page = BeautifulSoup(report_of(researcher, study), "html.parser")
    design = paragraph(page, "Design")
    assert "Each of 12 prompts was answered by 2 arms (lft and sft), of which 1 pair was shown" in design
    assert "judged by 4 annotators" in design
    assert "helpfulness, clarity, factuality, depth and engagement" in design
    assert "max_tokens 64, seed 0, temperature 0.0" in paragraph(page, "Responses")
    stood = re.search(r"lft stood left in (\d+) of (\d+) judgments", paragraph(page, "Blinding and sides"))
    assert abs(2 * int(stood[1]) - int(stood[2])) <= 6
    assert "48 judgments were submitted from 2026-03-02" in paragraph(page, "Judgments")
    assert "There was no comprehension check." in paragraph(page, "Annotators")
    excluded = paragraph(page, "Exclusions")
    assert "too fast to read" in excluded
    assert "by Alice" in excluded
    assert "20240205" in paragraph(page, "Statistics")


def test_what_the_study_has_no_data_for_is_one_sentence_and_no_table(researcher, database, alice):
    bare = BeautifulSoup(report_of(researcher, simulated(database, alice)), "html.parser")
    whole = BeautifulSoup(report_of(researcher, everything(database, alice)), "html.parser")
    for heading, words in (
        ("causal-heading", "No instance was shown beside a marked span"),
        ("shift-heading", "No judged response has a trace"),
    ):
        empty, full = (page.find(id=heading).find_parent("section") for page in (bare, whole))
        assert words in empty.get_text()
        assert not empty.select("table")
        assert words not in full.get_text()
        assert full.select("table")
    assert (
        "per 100 tokens" in whole.find(id="hallucination-heading").find_parent("section").select_one("thead").get_text()
    )
    assert "nothing is said per 100 tokens" in bare.get_text()


def test_a_long_label_of_a_figure_is_whole(researcher, database, alice):
    page = BeautifulSoup(report_of(researcher, simulated(database, alice)), "html.parser")
    drawn = [one.get_text() for one in page.select("svg text")]
    assert {"ties modelled", "(Davidson)"} <= set(drawn)
    assert not [one for one in drawn if "…" in one]


def test_names_that_look_like_markup_stay_text(researcher, database, alice):
    evil = "<script>alert(1)</script>"
    study = simulated(database, alice, arms=(evil, "sft"), slug="evil", name=evil, truth=Truth({evil: 1.0, "sft": 0.0}))
    for text in (report_of(researcher, study), researcher.get(f"/studies/{study.id}/results").text):
        assert "<script>alert" not in text
        assert "&lt;script&gt;alert" in text
    picture = researcher.get(f"/studies/{study.id}/results/figures/answers.svg").text
    assert "<script" not in picture


def test_nothing_judged_is_nothing_to_report(researcher, study):
    answer = researcher.get(f"/studies/{study.id}/report.html")
    assert answer.status_code == 404
    assert "nothing to report" in answer.text


def test_undefined_numbers_are_words_in_the_report_too(researcher, database, study):
    with writing(database) as session:
        kept = session.get(Study, study.id)
        fill_study(session, kept, prompts=("One?",))
        judge(session, kept, person(session, kept, 2), items_of(session, kept)[0], Preference.LEFT, left="lft")
    page = BeautifulSoup(report_of(researcher, study), "html.parser")
    text = page.get_text(" ")
    assert "nan" not in re.findall(r"[a-z]+", text.lower())
    assert "no unit has two values, so there is no pair to compare" in text
    assert "one prompt: how much prompts vary is not known yet" in text
