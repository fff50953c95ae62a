"""A real server, a real Chromium, and the rule that a page which complains in its console fails its test."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

from models import User
from tests.conftest import Server, cookie_for

ARTIFACTS = Path(__file__).parents[2] / "test-artifacts"
# A page that is right may take its time on a machine that does other things too.
expect.set_options(timeout=15_000)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    executable = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    assert executable, "no Chromium; install one or set CHROMIUM to its path"
    # Chromium refuses its sandbox to root, which is who runs in containers.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def page_for(chromium: Browser, server: Server) -> Iterator[Callable[..., Page]]:
    """Open pages, signed in as a user or as nobody; an unexpected console error or exception fails the test."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            complaints.append(f"{message.type}: {message.text} ({message.location.get('url', '')})")

    def open_page(user: User | None = None, *, width: int = 1280, height: int = 800, **options: Any) -> Page:
        options = {"viewport": {"width": width, "height": height}} | options
        context = chromium.new_context(base_url=server.url, **options)
        contexts.append(context)
        if user is not None:
            context.add_cookies(
                [{"name": "tuneshift_session", "value": cookie_for(server.app, user), "url": server.url}]
            )
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("console", heard)
        page.on("pageerror", lambda error: complaints.append(f"exception: {error}"))
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert [line for line in complaints if not any(part in line for part in server.expected)] == []


@pytest.fixture
def axe() -> Callable[[Page], None]:
    """Fail for anything axe finds on a page: WCAG 2.2 A and AA, and its best practices."""

    def check(page: Page) -> None:
        violations = Axe().run(page).response["violations"]
        assert [(rule["id"], rule["help"], [node["html"] for node in rule["nodes"]][:3]) for rule in violations] == []

    return check


@pytest.fixture
def picture() -> Callable[[Page, str], None]:
    """Keep a screenshot for people to look at."""

    def take(page: Page, name: str) -> None:
        ARTIFACTS.mkdir(exist_ok=True)
        page.screenshot(path=ARTIFACTS / f"{name}.png", full_page=True)

    return take
