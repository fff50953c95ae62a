"""The results in a real browser and on paper: legible in light, dark, on a phone; downloads; nothing in the console."""

import pytest

from app.db import writing
from models import Exclusion, Study, StudyState
from models.base import now
from tests.browser.conftest import ARTIFACTS
from tests.browser.rest import in_theme
from tests.web.results_help import simulated


@pytest.fixture
def judged(database, alice):
    arms, strata = ("base", "lft", "sft"), ("chat", "maths", "")
    study = simulated(database, alice, arms=arms, strata=strata, items=20, annotators=10, overlap=3, name="Kettles")
    with writing(database) as session:
        session.add(Exclusion(study_id=study.id, rule="min_active", settings={"seconds": 12}, created_at=now()))
    return study


def test_every_look_of_the_results(page_for, server, alice, judged, axe, picture):
    page = page_for(alice)
    page.goto(f"{server.url}/studies/{judged.id}/results")
    for theme in ("light", "dark"):
        in_theme(page, theme)
        picture(page, f"results-{theme}")
        axe(page)
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 400, "height": 800})
    picture(page, "results-phone")
    axe(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    page.set_viewport_size({"width": 1600, "height": 900})
    picture(page, "results-wide")
    # Two figures share the width that there is.
    first, second = (page.locator("#answers-title, #win-rates-title").locator("xpath=../..").nth(at) for at in (0, 1))
    assert first.bounding_box()["y"] == second.bounding_box()["y"]
    page.locator("#stratum").select_option("maths")
    page.get_by_role("button", name="Show").click()
    page.wait_for_url("**stratum=maths**")
    picture(page, "results-stratum")
    axe(page)
    page.goto(f"{server.url}/studies/{judged.id}/results/judgments?outcome=tie")
    axe(page)


def test_the_report_opens_from_a_disk_and_prints(page_for, server, alice, database, judged, axe, picture, tmp_path):
    with writing(database) as session:
        session.get(Study, judged.id).state = StudyState.CLOSED
    page = page_for(alice)
    page.goto(f"{server.url}/studies/{judged.id}/results")
    with page.expect_download() as download:
        page.get_by_role("link", name="Report as one file").click()
    file = tmp_path / "report.html"
    download.value.save_as(file)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"file://{file}")
    picture(page, "results-report")
    axe(page)
    assert asked == [f"file://{file}"]
    page.set_viewport_size({"width": 794, "height": 1123})
    page.emulate_media(media="print")
    picture(page, "results-report-print")
    page.pdf(path=str(ARTIFACTS / "results-report.pdf"), format="A4", print_background=True)
    assert (ARTIFACTS / "results-report.pdf").stat().st_size > 20_000
