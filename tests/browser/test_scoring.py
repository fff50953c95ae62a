"""A study scored while somebody looks: by keyboard, with the server away, on a phone."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from playwright.sync_api import expect

from app.db import writing
from app.engines.traffic import Traffic
from app.studies.design import NewArm
from app.studies.generate import generate_missing
from app.studies.queries import create_study
from tests.browser.away import is_said_once_and_in_place

ITEMS = 6


@pytest.fixture
def draft(database, alice, scripted_engines):
    with writing(database) as session:
        decoding = {"max_tokens": 20, "temperature": 0.0, "seed": 0}
        study = create_study(
            session, name="Kettles", slug="kettles", prompts=[f"Item {n}?" for n in range(ITEMS)],
            pairs=[("base", "sft")], guidelines="", overlap=1, created_by=alice.id,
            arms=[NewArm(name, name, decoding) for name in ("base", "sft")],
        )  # fmt: skip
    with ThreadPoolExecutor(1) as pool:  # this thread's loop is the browser's
        run = generate_missing(database, scripted_engines, "kettles", on_progress=lambda _: None)
        pool.submit(asyncio.run, run).result()
    return study


def slow(engines, seconds):
    engines.engine.scripts["lft"] = replace(engines.engine.scripts["lft"], score_pause_s=seconds)


def test_a_researcher_scores_pauses_and_resumes_by_keyboard_and_an_absent_server_is_said_once(
    page_for, server, alice, draft, scripted_engines
):
    server.expected += ["ERR_FAILED", "htmx:sendError", "htmx:afterRequest"]
    slow(scripted_engines, 60)
    page = page_for(alice)
    page.goto(f"/studies/{draft.id}/scoring")
    page.get_by_label("Read by").select_option("lft")
    page.get_by_role("button", name="Score").press("Enter")
    expect(page.get_by_role("heading", name=f"Scoring: 0 of {2 * ITEMS} responses")).to_be_focused()
    page.get_by_role("button", name="Pause").focus()
    with page.expect_response(lambda answer: "said=" in answer.url):
        pass
    expect(page.get_by_role("button", name="Pause")).to_be_focused()
    is_said_once_and_in_place(page, "scoring")
    page.get_by_role("button", name="Cancel").press("Enter")
    expect(page.get_by_role("heading", name=f"Cancelled: 0 of {2 * ITEMS} responses")).to_be_focused()
    slow(scripted_engines, 0)
    page.get_by_label("Read by").select_option("lft")
    page.get_by_role("button", name="Score").press("Enter")
    # The page finds out by itself that it has ended.
    expect(page.get_by_role("heading", name=f"Done: {2 * ITEMS} of {2 * ITEMS} responses")).to_be_visible(
        timeout=30_000
    )
    assert page.locator("#scoring").get_attribute("hx-trigger") is None


@pytest.mark.parametrize(("width", "scheme"), [(400, "dark"), (1280, "light")])
def test_every_state_is_readable(page_for, alice, draft, scripted_engines, axe, picture, width, scheme):
    def look(name):
        axe(page)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        picture(page, f"scoring-{name}-{width}-{scheme}")

    slow(scripted_engines, 60)
    away = "set aside, tried again in 8 s (The server of checkpoint 'lft' (10.0.0.12:8002) cannot be reached);"
    scripted_engines.now = [
        Traffic("10.0.0.11:8001", streams=2, scorings=1, waiting_streams=0, waiting_scorings=3, most=64),
        Traffic("10.0.0.12:8002", streams=0, scorings=0, waiting_streams=0, waiting_scorings=0, trouble=away),
    ]
    page = page_for(alice, width=width, height=900, color_scheme=scheme)
    page.goto(f"/studies/{draft.id}/scoring")
    look("before")
    page.get_by_label("Read by").select_option("lft")
    page.get_by_role("button", name="Score").click()
    expect(page.locator(".generation-servers li")).to_have_count(2)
    look("running")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    look("paused")
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("heading", name="Cancelled")).to_be_visible()
    look("cancelled")
