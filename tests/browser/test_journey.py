"""The whole job on the demo's real weights: run, inspect, judge by keyboard, download, compare with what was typed."""

import csv
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from playwright.sync_api import expect

from app import migrate
from app.settings import ROOT

START_S = 60
DIMENSIONS = ("helpfulness", "clarity", "factuality", "depth", "engagement")
# What is pressed, item by item: five ratings for A, five for B, then 1 = A, 2 = B, 4 = both bad.
PRESSED = (("12345", "54321", "1"), ("33333", "22222", "2"), ("11111", "15151", "4"))
PREFERENCES = {"1": "left", "2": "right", "4": "tie_bad"}


@pytest.fixture
def demo(tmp_path):
    """The demo as a person starts it, on a copy of its data, and the two links it prints."""
    built = ROOT / "data"
    assert (built / "tuneshift.db").is_file(), "the demo is not built; run: make demo-data"
    data = tmp_path / "data"
    data.mkdir()
    (data / "demo").symlink_to(built / "demo")
    shutil.copy(built / "checkpoints.toml", data)
    migrate.backup(f"sqlite:///{built / 'tuneshift.db'}", target=data / "tuneshift.db")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("TUNESHIFT_")}
    environment |= {"TUNESHIFT_DATA_DIR": str(data), "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    log = tmp_path / "demo.log"
    command = [sys.executable, "-c", "from app.cli import main; main()", "demo", "--port", str(port)]
    with log.open("w") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        yield _links(process, log, port)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=30)


def _links(process, log: Path, port: int) -> tuple[str, str]:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        links = re.findall(r"http://\S+/invite/[\w-]+", log.read_text())
        with socket.socket() as probe:
            if len(links) == 2 and probe.connect_ex(("127.0.0.1", port)) == 0:
                return links[0], links[1]
        assert process.poll() is None, log.read_text()
        time.sleep(0.2)
    pytest.fail(f"the demo was not served within {START_S} s:\n{log.read_text()}")


@pytest.fixture
def browser_page(chromium):
    """Open pages that fail the test when their console complains."""
    complaints, contexts = [], []

    def open_page(**options):
        context = chromium.new_context(viewport={"width": 1600, "height": 1000}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.on("console", lambda message: message.type == "error" and complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.mark.alone
@pytest.mark.timeout(420)
def test_from_a_prompt_to_a_table_of_judgments(demo, browser_page, axe, picture):
    researcher_link, annotator_link = demo
    researcher = browser_page()
    researcher.goto(researcher_link)
    researcher.get_by_role("button", name="Continue").click()
    _explore(researcher, axe, picture)

    annotator = browser_page()
    annotator.goto(annotator_link)
    annotator.get_by_label("Name").fill("Ada")
    annotator.get_by_label("E-mail").fill("ada@example.org")
    annotator.get_by_label("Password").fill("a long enough password")
    annotator.keyboard.press("Enter")
    annotator.wait_for_url("**/judge")
    for title, step in (("Judge", "Read the guidelines"), ("Guidelines", "I have read them"), ("Judge", "Start")):
        expect(annotator).to_have_title(f"{title} · Tuneshift")
        expect(annotator.locator("[data-autofocus]", has_text=step)).to_be_focused()
        annotator.keyboard.press("Enter")
    for at, pressed in enumerate(PRESSED, start=1):
        _judge(annotator, at, pressed, axe, picture)

    researcher.goto(researcher.url.split("/explore")[0] + "/studies")
    researcher.get_by_role("link", name=re.compile("^Demo: ")).click()
    researcher.get_by_role("navigation", name="Study").get_by_role("link", name="Export").click()
    preferences = _rows(_download(researcher, "preferences as csv"))
    _check_tables(preferences, _rows(_download(researcher, "ratings as csv")))
    _check_marks(preferences, _download(researcher, "hallucinations as jsonl").splitlines())
    researcher.get_by_role("navigation", name="Study").get_by_role("link", name="Results").click()
    expect(researcher.get_by_role("heading", name="Preference", exact=True)).to_be_visible()
    axe(researcher)


def _explore(page, axe, picture):
    page.get_by_role("textbox", name="Prompt").fill("Why did Apollo 13 fail?")
    page.locator("summary", has_text="Decoding").click()
    page.get_by_label("Max").fill("96")
    page.keyboard.press("Control+Enter")
    page.wait_for_url("**/explore/*")
    expect(page.locator("[data-announce]")).to_contain_text("All columns have ended", timeout=180_000)
    for column in range(3):
        tokens = page.locator(f'[data-column="{column}"] [data-i]')
        assert tokens.count() > 5
    shifted = page.locator('[data-column="2"] [data-i].shift-shifted').first
    shifted.click()
    panel = page.locator(".token-panel")
    expect(panel).to_contain_text("rest of the vocabulary")
    picture(page, "journey-explore")
    axe(page)
    permalink = page.url
    page.goto(permalink)
    expect(page.locator('[data-column="2"] [data-i].shift-shifted').first).to_be_visible()


def _judge(page, at, pressed, axe, picture):
    left, right, preference = pressed
    expect(page.get_by_role("heading", name=f"Item {at} of")).to_be_attached()
    # The keys button appears when the page listens.
    expect(page.get_by_role("button", name="Keys")).to_be_visible()
    if at == 1:
        _mark_two_words(page)
    page.keyboard.press("j")
    for digit in left + right:
        page.keyboard.press(digit)
        page.keyboard.press("ArrowDown")
    page.keyboard.press(preference)
    expect(page.locator("#save-state")).to_contain_text(re.compile(r"saved .*rev \d+"))
    picture(page, f"journey-judge-{at}")
    if at == 1:
        axe(page)
    page.keyboard.press("Control+Enter")


def _mark_two_words(page):
    for key in ["m", *["ArrowRight"] * 3, "Shift+ArrowRight", "Enter"]:
        page.keyboard.press(key)
    expect(page.locator("#span-dialog")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.locator("#span-dialog")).to_be_hidden()
    page.keyboard.press("Escape")


def _download(page, table: str) -> str:
    with page.expect_download() as download:
        page.get_by_role("link", name=table, exact=True).click()
    return Path(download.value.path()).read_text(encoding="utf-8")


def _rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def _check_marks(preferences, lines: list[str]):
    (mark,) = [json.loads(line) for line in lines]
    first = min(preferences, key=lambda row: row["submitted_at"])
    assert (mark["presentation_id"], mark["side"], mark["model"]) == (
        first["presentation_id"],
        "left",
        first["model_left"],
    )
    assert mark["end"] - mark["start"] == len(mark["quote"]) > 0
    # The marked words have tokens, and each token has a class.
    assert sum(mark["shift"][name] for name in ("unshifted", "marginal", "shifted")) >= 1


def _check_tables(preferences, ratings):
    judged = sorted(preferences, key=lambda row: row["submitted_at"])
    assert [row["preference_raw"] for row in judged] == [PREFERENCES[pressed[2]] for pressed in PRESSED]
    assert all({row["model_left"], row["model_right"]} == {"lft", "sft"} for row in judged)
    for row, (left, right, _) in zip(judged, PRESSED, strict=True):
        for side, digits in (("left", left), ("right", right)):
            given = {r["dimension"]: r["value"] for r in ratings if _is(r, row, side)}
            assert given == dict(zip(DIMENSIONS, digits, strict=True))
            assert {r["model"] for r in ratings if _is(r, row, side)} == {row[f"model_{side}"]}
    assert len(ratings) == 3 * 2 * 5


def _is(rating, row, side) -> bool:
    return rating["presentation_id"] == row["presentation_id"] and rating["side"] == side
