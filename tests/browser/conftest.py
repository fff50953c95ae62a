"""A real server, a real Chromium, and the rule that a page which complains in its console fails its test."""

import base64
import json
import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from axe_playwright_python.sync_playwright import Axe
from fastapi import FastAPI
from itsdangerous import TimestampSigner
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

from models import User

ARTIFACTS = Path(__file__).parents[2] / "test-artifacts"
START_S = 20
# A page that is right may take its time on a machine that does other things too.
expect.set_options(timeout=15_000)


@dataclass
class Server:
    """A running app. `expected` holds parts of console lines that a test provokes on purpose."""

    url: str
    app: FastAPI
    expected: list[str] = field(default_factory=list)


@pytest.fixture
def server(app: FastAPI) -> Iterator[Server]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(app, log_level="error", access_log=False, timeout_graceful_shutdown=2)
        running = uvicorn.Server(config)
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        deadline = time.monotonic() + START_S
        while not running.started:
            assert thread.is_alive(), "the server did not start"
            assert time.monotonic() < deadline, f"the server did not start in {START_S} s"
            time.sleep(0.01)
        yield Server(url=f"http://127.0.0.1:{listener.getsockname()[1]}", app=app)
        running.should_exit = True
        thread.join(timeout=START_S)
        assert not thread.is_alive(), "the server did not stop"


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


def cookie_for(app: FastAPI, user: User) -> str:
    """Sign a session as the app would."""
    session = {"uid": user.id, "version": user.session_version}
    return TimestampSigner(app.state.secret).sign(base64.b64encode(json.dumps(session).encode())).decode()


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
