import re

import pytest
from playwright.sync_api import expect

from app.accounts.queries import add_user, create_invite
from app.db import writing
from app.engines.registry import Registry
from models import Role
from tests.factories import PASSWORD
from tests.scripted_engine import ScriptedEngines


@pytest.fixture
def dora(database):
    with writing(database) as session:
        return add_user(session, email="dora@example.org", name="Dora", role=Role.RESEARCHER, password=PASSWORD)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/", "/login", "/login?next=/explore", "/nothing", "/invite/unknown"])
def test_open_pages_are_accessible(page_for, server, axe, path, scheme):
    server.expected.append("404")
    page = page_for(color_scheme=scheme)
    page.goto(path)
    axe(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1600])
def test_the_checkpoints_page_is_accessible_and_never_wider_than_the_window(page_for, axe, alice, width, scheme):
    page = page_for(alice, color_scheme=scheme, width=width)
    page.goto("/checkpoints")
    axe(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_without_checkpoints_the_page_says_what_to_do(page_for, axe, app, scripted_engines, tmp_path, alice):
    empty = Registry(path=tmp_path / "checkpoints.toml", checkpoints={})
    app.state.engines = ScriptedEngines(registry=empty, engine=scripted_engines.engine)
    app.state.registry_problem = "data/checkpoints.toml does not exist."
    page = page_for(alice, width=400)
    page.goto("/checkpoints")
    expect(page.get_by_role("heading", name="No checkpoints yet: run make demo")).to_be_visible()
    axe(page)


def test_signing_in_and_out_by_keyboard(page_for, dora):
    page = page_for()
    page.goto("/checkpoints")
    expect(page).to_have_url(re.compile(r"/login\?next=/checkpoints$"))
    expect(page.get_by_label("E-mail address")).to_be_focused()
    page.keyboard.type("dora@example.org")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Checkpoints")).to_be_visible()
    # Escape is heard by a script, which comes after the words.
    page.wait_for_load_state()
    page.locator("summary").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Account", exact=True)).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Sign out")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Sign out")).to_be_hidden()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(re.compile(r"/login$"))


def test_the_first_tab_stop_skips_to_the_content(page_for, alice):
    page = page_for(alice)
    page.goto("/checkpoints")
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_a_chosen_theme_stays_and_is_there_before_the_first_paint(page_for, alice):
    page = page_for(alice, color_scheme="light")
    page.goto("/checkpoints")
    paper = "getComputedStyle(document.documentElement).backgroundColor"
    light = page.evaluate(paper)
    page.get_by_role("button", name="Switch between light and dark").click()
    dark = page.evaluate(paper)
    assert dark != light
    page.reload(wait_until="commit")
    page.wait_for_selector("body", state="attached")
    assert page.evaluate(paper) == dark
    page.get_by_role("button", name="Switch between light and dark").click()
    assert page.evaluate(paper) == light


def test_an_invited_person_reaches_their_work(page_for, server, axe, database, study):
    server.expected += ["status of 422", "status of 410"]
    with writing(database) as session:
        token = create_invite(session, role=Role.ANNOTATOR, days=1, study_id=study.id)
    page = page_for()
    page.goto(f"/invite/{token}")
    axe(page)
    page.get_by_label("Your name").fill("Eve")
    page.get_by_label("E-mail address").fill("eve@example.org")
    page.get_by_label("Password").fill("short")
    page.get_by_role("button", name="Create account and accept").click()
    expect(page.get_by_text("Use at least 10 characters")).to_be_visible()
    axe(page)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Create account and accept").click()
    expect(page).to_have_url(re.compile(r"/judge$"))
    page.goto(f"/invite/{token}")
    expect(page.get_by_role("heading", name="No longer valid")).to_be_visible()


def test_an_error_inside_a_page_becomes_a_toast(page_for, server, axe, alice):
    server.expected += ["404", "Response Status Error Code"]
    page = page_for(alice)
    page.goto("/checkpoints")
    page.evaluate("htmx.ajax('GET', '/nothing', '#main')")
    toast = page.get_by_role("alert")
    expect(toast).to_contain_text("There is nothing at this address")
    expect(page.get_by_role("heading", name="Checkpoints")).to_be_visible()
    axe(page)
    toast.get_by_role("button", name="Dismiss").click()
    expect(toast).to_have_count(0)


def test_a_session_that_ended_leads_to_the_sign_in_page_and_back(page_for, server, database, dora):
    server.expected += ["401", "Response Status Error Code"]
    page = page_for(dora)
    page.goto("/checkpoints?x=1")
    page.context.clear_cookies()
    page.evaluate("htmx.ajax('GET', '/checkpoints', '#main')")
    expect(page).to_have_url(re.compile(r"/login\?next=/checkpoints%3Fx%3D1$"))


def test_a_server_that_is_gone_is_said_in_words(page_for, server, alice):
    server.expected += ["ERR_FAILED", "htmx:sendError", "htmx:afterRequest"]
    page = page_for(alice)
    page.goto("/checkpoints")
    page.route("**/nothing", lambda route: route.abort())
    page.evaluate("htmx.ajax('GET', '/nothing', '#main').catch(() => {})")
    expect(page.get_by_role("alert")).to_contain_text("The server could not be reached")


def test_nothing_is_lost_without_scripts(page_for, dora):
    page = page_for(java_script_enabled=False)
    page.goto("/login?next=/checkpoints")
    page.get_by_label("E-mail address").fill("dora@example.org")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Checkpoints")).to_be_visible()
    expect(page.get_by_role("button", name="Switch between light and dark")).to_be_hidden()
    page.locator("summary").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
