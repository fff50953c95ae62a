"""Trying a study out in a real browser: all of the judging page works, and no request leaves it."""

from playwright.sync_api import expect

from app.db import writing
from tests.browser.judging_help import press
from tests.factories import fill_study


def test_everything_can_be_tried_and_nothing_is_sent(page_for, alice, database, study, axe, picture):
    with writing(database) as session:
        fill_study(session, study)
    page = page_for(alice, width=1400, height=950)
    page.goto(f"/studies/{study.id}/setup")
    with page.expect_popup() as opened:
        page.get_by_role("link", name="Try it").click()
    trial = opened.value
    expect(trial.locator(".judging[data-js]")).to_be_visible()
    sent = []
    trial.on("request", lambda request: sent.append(request.url))
    axe(trial)
    press(trial, "Enter")
    for digit in "44444" + "22222":
        press(trial, digit, "ArrowDown")
    press(trial, "1", "m", "Enter")
    trial.get_by_role("button", name="Mark it").click()
    press(trial, "Escape")
    expect(trial.locator(".answer mark")).to_have_count(1)
    expect(trial.locator("#save-state")).to_have_text("not stored: this is a trial")
    press(trial, "g", "r", "f")
    picture(trial, "judge-trial")
    press(trial, "Control+Enter")
    expect(trial.locator(".toast")).to_contain_text("would be stored now")
    trial.wait_for_timeout(1_200)
    trial.reload()
    expect(trial.locator(".judging[data-js]")).to_be_visible()
    expect(trial.locator(".rating input:checked, .answer mark")).to_have_count(0)
    assert {url for url in sent if "/static/" not in url} == {trial.url}
