"""A whole study of twenty items done in a real browser: once by keyboard alone, once by touch on a phone."""

import pytest
from playwright.sync_api import expect
from sqlmodel import select

from app.db import reading, writing
from app.studies.questions import Questions, write_questions
from models import Presentation, PresentationState, Study
from tests.browser.judging_help import press, revisions
from tests.factories import fill_study

ITEMS = 20
ASKED = Questions(strength=True, acceptability=True)
PREFERENCES = ("left", "right", "tie_good", "tie_bad")
DIMENSIONS = ASKED.names


@pytest.fixture
def long_study(database, study):
    with writing(database) as session:
        session.get_one(Study, study.id).questions = write_questions(ASKED)
        prompts = tuple(f"Question {number}: why?" for number in range(1, ITEMS + 1))
        fill_study(session, study, prompts=prompts, text="{arm} on {prompt}\n\n" + "Because it is so. " * 60)
    return study


def value(item, place):
    """A rating that differs from row to row and item to item."""
    return (item + place) % 5 + 1


def check(database):
    done = revisions(database)
    assert [one.preference.value for one in done] == [PREFERENCES[item % 4] for item in range(ITEMS)]
    for item, one in enumerate(done):
        assert one.ratings == {
            side: {name: value(item, at + 5 * offset) for at, name in enumerate(DIMENSIONS)}
            for offset, side in enumerate(("left", "right"))
        }
        assert one.acceptability == {"left": True, "right": item % 2 == 0}
        assert one.strength == (item % 3 + 1 if one.preference.value in {"left", "right"} else None)
        assert (one.reading["left"], one.reading["right"]) == (1, 1)
        assert 0 < one.active_ms <= one.wall_ms
    with reading(database) as session:
        states = [one.state for one in session.exec(select(Presentation)).all()]
    assert states == [PresentationState.SUBMITTED] * ITEMS


def test_a_study_of_twenty_items_by_keyboard_alone(page_for, bob, long_study, database):
    page = page_for(bob)
    pointed = []
    page.expose_function("pointed", lambda kind: pointed.append(kind))  # noqa: PLW0108 - Playwright marks functions
    page.add_init_script(
        """for (const kind of ['mousedown', 'pointerdown', 'touchstart'])
             addEventListener(kind, () => window.pointed(kind), true);"""
    )
    page.goto("/judge")
    for _ in range(4):
        if page.locator("#judging").count():
            break
        expect(page.locator("[data-autofocus]").first).to_be_focused()
        with page.expect_navigation():
            press(page, "Enter")
    for item in range(ITEMS):
        expect(page).to_have_title(f"Item {item + 1} of {ITEMS} · Tuneshift")
        expect(page.locator(".judging[data-js]")).to_be_visible()
        press(page, "Enter")
        for offset, acceptable in ((0, "1"), (5, "1" if item % 2 == 0 else "2")):
            for place in range(5):
                press(page, str(value(item, place + offset)), "ArrowDown")
            press(page, acceptable, "ArrowDown")
        press(page, *["PageDown"] * 6)
        press(page, str(item % 4 + 1))
        if item % 4 < 2:
            press(page, "ArrowDown", str(item % 3 + 1))
        press(page, "Control+Enter")
    expect(page.get_by_text("That was the last one. Thank you.")).to_be_visible()
    assert pointed == []
    check(database)


def test_a_study_of_twenty_items_by_touch_on_a_phone(page_for, bob, long_study, database, picture):
    page = page_for(bob, width=400, height=850, has_touch=True, is_mobile=True)
    page.goto("/judge")
    for _ in range(4):
        if page.locator("#judging").count():
            break
        with page.expect_navigation():
            page.locator("[data-autofocus]").first.tap()
    for item in range(ITEMS):
        expect(page).to_have_title(f"Item {item + 1} of {ITEMS} · Tuneshift")
        expect(page.locator(".judging[data-js]")).to_be_visible()
        for offset, (side, letter) in enumerate((("left", "A"), ("right", "B"))):
            page.locator(f".judging-switch label:has([value={side}])").tap()
            expect(page.locator(f".answer[data-side={side}]")).to_be_visible()
            for place, name in enumerate(DIMENSIONS):
                page.locator(f"label:has([name={side}_{name}][value='{value(item, place + 5 * offset)}'])").tap()
            good = "yes" if letter == "A" or item % 2 == 0 else "no"
            page.locator(f"label:has([name={side}_acceptable][value={good}])").tap()
        page.locator(f"label:has([name=preference][value={PREFERENCES[item % 4]}])").tap()
        if item % 4 < 2:
            page.locator(f"label:has([name=strength][value='{item % 3 + 1}'])").tap()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        if item == 0:
            picture(page, "judging-touch")
        page.locator(".judging-submit").tap()
    expect(page.get_by_text("That was the last one. Thank you.")).to_be_visible()
    check(database)
