"""Responses generated while somebody looks: by keyboard, without scripts, on a phone, and with the server away."""

from dataclasses import replace

import pytest
from playwright.sync_api import expect
from sqlmodel import func, select

from app.db import reading, writing
from app.engines.traffic import Traffic
from app.errors import EngineError
from app.studies.design import NewArm
from app.studies.queries import create_study
from models import GenerationRun, GenerationState, ItemResponse
from tests.browser.away import is_said_once_and_in_place

PROMPTS = [f"Why does kettle number {n} whistle before it boils over the stove?" for n in range(1, 13)]


@pytest.fixture
def draft(database, alice):
    with writing(database) as session:
        decoding = {"max_tokens": 200, "temperature": 0.0, "seed": 0}
        return create_study(
            session, name="Kettles and stoves", slug="kettles", prompts=PROMPTS, pairs=[("lft", "sft")], guidelines="",
            arms=[NewArm(name, name, decoding) for name in ("base", "lft", "sft")], overlap=1, created_by=alice.id,
        )  # fmt: skip


def script(engines, name, **over):
    engines.engine.scripts[name] = replace(engines.engine.scripts[name], **over)


def release(server, engines):
    """Let what stalls go on, from the server's own loop."""
    loops = [task.get_loop() for task in server.app.state.generations._tasks.values()]
    loops[0].call_soon_threadsafe(engines.engine.release.set)


def stored(database):
    with reading(database) as session:
        return session.exec(select(func.count()).select_from(ItemResponse)).one()


def test_a_researcher_generates_retries_and_opens_by_keyboard(
    page_for, server, alice, database, draft, scripted_engines
):
    for name in ("base", "lft", "sft"):
        script(scripted_engines, name, text=f"The lid of the {name[::-1]} pot shakes.")
    script(scripted_engines, "lft", fail_at=2, error=EngineError("lft ran out of memory.", remedy="Free some."))
    script(scripted_engines, "sft", stall_at=3)
    page = page_for(alice)
    page.goto(f"/studies/{draft.id}")
    page.get_by_role("link", name="Generation for Responses").press("Enter")
    page.wait_for_url("**/generation", wait_until="load")
    page.get_by_role("button", name="Generate 36 responses").press("Enter")
    heading = page.get_by_role("heading", name="Generating 36 responses")
    expect(heading).to_be_focused()
    expect(page.get_by_role("progressbar", name="Responses of base")).to_have_attribute("value", "10")
    expect(page.locator("#generation-said")).to_have_text("Generating: 50 per cent done.")
    # The page asks again and again, and the keyboard stays where it was.
    page.get_by_role("button", name="Stop").focus()
    with page.expect_response(lambda answer: "said=" in answer.url):
        pass
    expect(page.get_by_role("button", name="Stop")).to_be_focused()
    release(server, scripted_engines)
    expect(page.get_by_role("heading", name="12 responses missing")).to_be_focused(timeout=30_000)
    expect(page.locator("#generation-said")).to_contain_text("Ended with failures: 24 of 36 responses.")
    expect(page.locator(".generation-failures > li")).to_have_count(12)
    assert page.locator("#generation").get_attribute("hx-trigger") is None

    script(scripted_engines, "lft", fail_at=None, error=None)
    page.get_by_role("button", name="Retry item 3, lft").press("Enter")
    expect(page.locator(".generation-failures > li")).to_have_count(11, timeout=30_000)
    page.get_by_role("button", name="Retry 11 failed").press("Enter")
    expect(page.get_by_role("heading", name="Everything is generated")).to_be_visible(timeout=30_000)
    assert stored(database) == 36
    page.get_by_role("link", name="leak flags wait for a decision").press("Enter")
    expect(page.locator("[data-leaks-said]")).to_contain_text("flags to decide")


def test_without_scripts_it_starts_stops_and_resumes(page_for, alice, database, draft, scripted_engines):
    script(scripted_engines, "sft", stall_at=3)
    page = page_for(alice, java_script_enabled=False)
    page.goto(f"/studies/{draft.id}/generation")
    page.get_by_role("button", name="Generate 36 responses").click()
    expect(page.get_by_role("heading", name="Generating 36 responses")).to_be_visible()
    page.get_by_role("link", name="Look again").click()
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("Stopped by Alice.")).to_be_visible()
    script(scripted_engines, "sft", stall_at=None)
    page.get_by_role("button", name="Resume").click()
    for _ in range(100):
        if page.get_by_role("heading", name="Everything is generated").count():
            break
        page.wait_for_timeout(100)
        page.goto(f"/studies/{draft.id}/generation")
    expect(page.get_by_role("heading", name="Everything is generated")).to_be_visible()
    assert stored(database) == 36


def test_a_server_that_is_away_is_said_once_and_in_place(page_for, server, alice, draft, scripted_engines):
    server.expected += ["ERR_FAILED", "htmx:sendError", "htmx:afterRequest"]
    script(scripted_engines, "sft", stall_at=3)
    page = page_for(alice)
    page.goto(f"/studies/{draft.id}/generation")
    page.get_by_role("button", name="Generate").click()
    expect(page.get_by_role("heading", name="Generating 36 responses")).to_be_visible()
    is_said_once_and_in_place(page, "generation")
    # Nobody looks, so nothing is asked.
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.evaluate("Object.defineProperty(document, 'hidden', { value: true, configurable: true })")
    page.evaluate("htmx.trigger('#generation', 'refresh')")
    page.wait_for_timeout(2_500)
    assert asked == []
    page.evaluate("Object.defineProperty(document, 'hidden', { value: false, configurable: true })")
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("Stopped by Alice.")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
def test_every_state_is_readable_everywhere(  # noqa: PLR0917  fixtures, by name
    page_for, server, alice, database, draft, scripted_engines, axe, picture, width, scheme
):
    def look(name):
        axe(page)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        picture(page, f"generation-{name}-{width}-{scheme}")

    script(scripted_engines, "lft", fail_at=2, error=EngineError("lft ran out of memory.", remedy="Free some."))
    script(scripted_engines, "sft", stall_at=3)
    away = "set aside, tried again in 8 s (The server of checkpoint 'sft' (10.0.0.12:8002) cannot be reached);"
    scripted_engines.now = [
        Traffic("10.0.0.11:8001", streams=64, scorings=1, waiting_streams=12, waiting_scorings=3, most=64),
        Traffic("10.0.0.12:8002", streams=0, scorings=0, waiting_streams=0, waiting_scorings=0, trouble=away),
    ]
    page = page_for(alice, width=width, height=900, color_scheme=scheme)
    page.goto(f"/studies/{draft.id}/generation")
    look("before")
    page.get_by_role("button", name="Generate").click()
    expect(page.get_by_text("10 failed", exact=True).last).to_be_visible()
    look("running")
    release(server, scripted_engines)
    expect(page.locator(".generation-failures > li")).to_have_count(12, timeout=30_000)
    expect(page.get_by_role("button", name="Retry 12 failed")).to_be_visible(timeout=30_000)
    look("failed")
    with writing(database) as session:
        run = session.exec(select(GenerationRun)).one()
        run.state, run.message = GenerationState.INTERRUPTED, "Cut off."
    page.reload()
    look("interrupted")
    page.goto(f"/studies/{draft.id}")
    expect(page.get_by_role("button", name="Resume: 12 responses to go")).to_be_visible()
    look("interrupted-overview")
    page.goto(f"/studies/{draft.id}/generation")
    script(scripted_engines, "lft", fail_at=None, error=None)
    page.get_by_role("button", name="Retry 12 failed").click()
    expect(page.get_by_role("heading", name="Everything is generated")).to_be_visible(timeout=30_000)
    look("done")
