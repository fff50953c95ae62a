"""46: tests are honest. Robots send what a real page sends, the app starts as users start it, no page complains."""

import json
import re

import pytest
from playwright.sync_api import expect

from app.db import writing
from app.studies.questions import Questions, write_questions
from models import Study
from tests.browser.conftest import page_for as page_fixture
from tests.factories import fill_study
from tests.simulation.browser import payload
from tests.simulation.robot import Shown, Truth, answer_of
from tests.web.judging_help import an_answer

QUESTIONS = Questions(strength=True, acceptability=True)


@pytest.fixture
def judging(page_for, bob, database, study):
    with writing(database) as session:
        session.get_one(Study, study.id).questions = write_questions(QUESTIONS)
        fill_study(session, study)
    page = page_for(bob)
    page.goto("/judge")
    page.get_by_role("button", name="Start").click()
    expect(page.locator(".judging[data-js]")).to_be_visible()
    return page


def shape(value):
    """The keys of something sent, all the way down; what a list holds is said by its first entry."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    return [shape(value[0])] if isinstance(value, list) and value else type(value).__name__


def judge(page):
    """Answer everything there is on the page, mark a word, and submit; what was posted as a draft and as a judgment."""
    page.keyboard.press("m")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Mark it").click()
    page.keyboard.press("Escape")
    for row in page.locator(".rating:visible, .acceptable:visible").all():
        row.locator("label").first.click()
    with page.expect_request("**/draft") as draft:
        page.locator("[data-preference] label").first.click()
    page.locator(".judging-strength label").first.click()
    with page.expect_request("**/submit") as submitted:
        page.locator(".judging-submit").click()
    return draft.value.post_data_json, submitted.value.post_data_json


def test_case_46_robots_and_helpers_send_the_fields_a_real_page_sends(judging):
    draft, submitted = judge(judging)
    truth = Truth({"a": 1.0, "b": 0.0}, hallucinated={"a": 30.0}, detection=1.0, tie=0.0)
    robot = next(
        answer
        for n in range(50)
        if (answer := answer_of(truth, "p", Shown(f"i{n}", "a", "b", "One two.", "Three."), QUESTIONS))["strength"]
    )
    sent = payload(robot, key="attempt-000001", base_revision=1)
    assert json.loads(json.dumps(sent)) == sent
    assert shape(sent).keys() == shape(submitted).keys() == shape(draft).keys()
    numbers = {"int": "number", "float": "number"}
    for name, inner in shape(submitted).items():
        robots = shape(sent)[name]
        if isinstance(inner, dict):
            assert robots.keys() == inner.keys(), name
            assert {numbers.get(one, one) for one in map(str, robots.values())} == {
                numbers.get(one, one) for one in map(str, inner.values())
            }, name
        else:
            assert robots == inner, name
    # The helper of the other tests leaves out what it does not ask about, and invents nothing.
    assert an_answer().keys() <= submitted.keys()


@pytest.mark.parametrize(
    "complaint", ["console.error('broken')", "console.warn('odd')", "setTimeout(() => { throw 1; })"]
)
def test_case_46_a_page_that_complains_fails_its_test(chromium, server, complaint):
    pages = page_fixture._get_wrapped_function()(chromium, server)
    page = next(pages)()
    page.goto("/login")
    with page.expect_event("pageerror" if "throw" in complaint else "console"):
        page.evaluate(complaint)
    with pytest.raises(
        AssertionError, match=re.escape(re.search(r"broken|odd|throw", complaint)[0].replace("throw", "exception"))
    ):
        next(pages, None)


def test_case_46_a_page_that_is_content_passes(chromium, server):
    pages = page_fixture._get_wrapped_function()(chromium, server)
    next(pages)().goto("/login")
    assert next(pages, "over") == "over"
