"""The bars of a page of tokens, measured in Chromium: bytes, long tasks, and the wait for a token's panel.

Tasks are measured in time of the page's own thread: what it spends itself, not what a busy machine makes it wait.
"""

import json
import statistics
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.scripted_engine import Script, ScriptedEngines
from tests.scripted_engine import scripted_engines as build_scripted_engines

WORDS = "Blue light is scattered far more than red light.\n"
TASK_MS = 100
WIRE_BYTES = 300_000
HOVER_MS = 40
POPOVER_MS = 50
LOADS = 3
SETTLE_MS = 700
LOOKS = 15

pytestmark = pytest.mark.alone


@pytest.fixture
def scripted_engines(tmp_path: Path) -> ScriptedEngines:
    ranks = (1,) * 9 + (5, 1, 2, 40)
    return build_scripted_engines(
        tmp_path / "tokenizer",
        base=Script(text=WORDS * 6, base_ranks=(1,)),
        lft=Script(text=WORDS * 6, base_ranks=ranks),
        sft=Script(text=WORDS * 6, base_ranks=(1, 3, 9)),
        long=Script(text=WORDS * 41, base_ranks=ranks),
    )


@pytest.fixture(params=[(["base", "lft", "sft"], 300), (["long"], 2000)], ids=["3 x 300", "1 x 2,000"])
def asked(request, app, alice, client_for) -> tuple[str, int]:
    """The link of a finished comparison, and how many tokens its page shows."""
    names, n = request.param
    client = client_for(alice)
    app.state.settings = app.state.settings.model_copy(update={"max_new_tokens": 4000})
    link = client.post("/compare", data={"prompt": "Why?", "checkpoints": names, "max_tokens": str(n)}).headers[
        "location"
    ]
    stream = client.get(link.replace("/explore/", "/compare/") + "/stream")
    return link, stream.text.count("data-i=")


def longest_task(chromium: Browser, page: Page, act: Callable[[], None]) -> float:
    """The longest task of the page's main thread while something happens, milliseconds of its own time."""
    chromium.start_tracing(page=page, categories=["toplevel", "__metadata"])
    act()
    events = json.loads(chromium.stop_tracing())["traceEvents"]
    mains = {
        (e["pid"], e["tid"]) for e in events if e["name"] == "thread_name" and e["args"]["name"] == "CrRendererMain"
    }
    tasks = [
        e["tdur"] for e in events if e["name"].endswith("RunTask") and "tdur" in e and (e["pid"], e["tid"]) in mains
    ]
    assert tasks
    return max(tasks) / 1000


def test_a_page_is_light_and_never_busy_for_long(page_for, alice, asked, chromium, record_property) -> None:
    link, n = asked
    page = page_for(alice, width=1600, height=1000)
    protocol = page.context.new_cdp_session(page)
    protocol.send("Network.enable")
    received: list[float] = []
    protocol.on("Network.loadingFinished", lambda event: received.append(event["encodedDataLength"]))

    def load(path: str) -> None:
        # Looking into a page of thousands of elements is itself a long task, so nobody looks before it is over.
        page.goto(path, wait_until="networkidle")
        page.mouse.move(5, 500)
        page.mouse.wheel(0, 5000)
        page.wait_for_timeout(SETTLE_MS)

    first = longest_task(chromium, page, lambda: load(link))
    wire = sum(received)
    expect(page.locator("[data-tokens] > [data-i]")).to_have_count(n)
    expect(page.locator(".uplot")).to_have_count(page.locator("[data-column]").count())
    loads = [first, *(longest_task(chromium, page, lambda: load(link)) for _ in range(LOADS - 1))]

    def change() -> None:
        page.locator("#measure").select_option("base_rank")
        page.wait_for_timeout(SETTLE_MS)
        page.locator("[name=marginal]").fill("9")
        page.wait_for_timeout(SETTLE_MS)

    def chips() -> None:
        page.locator("[name=mode][value=tokenizer]").check()
        page.wait_for_timeout(SETTLE_MS)

    changed = longest_task(chromium, page, change)
    tokenizer = longest_task(chromium, page, chips)
    print(f"\n{n} tokens: {wire:,.0f} bytes; longest task {loads} ms loading, {changed} changing, {tokenizer} as chips")
    assert wire < WIRE_BYTES
    assert max(*loads, changed, tokenizer) < TASK_MS, (loads, changed, tokenizer)


def test_a_panel_is_there_before_one_wonders(page_for, alice, asked) -> None:
    link, n = asked
    page = page_for(alice, width=1600, height=1000)
    page.goto(link)
    expect(page.locator("[data-tokens] > [role=button]")).to_have_count(n)
    # From the pointer's arrival to the next frame with the panel in it, over tokens not looked at before.
    page.evaluate(
        """() => {
          window.waits = [];
          let arrived = 0;
          document.addEventListener("pointerover", (event) => {
            if (event.target.closest("[data-tokens] > [data-i]")) arrived = performance.now();
          }, true);
          new MutationObserver(() => window.waits.push(performance.now() - arrived))
            .observe(document.querySelector("[data-dock-body]"), { childList: true });
        }"""
    )
    container = page.locator("[data-tokens]").last
    for index in range(10, 10 + 7 * LOOKS, 7):
        container.locator(f'[data-i="{index}"]').hover()
        expect(page.locator(".token-dock .token-panel-title")).to_contain_text(f"Token {index + 1} of")
    waits = sorted(wait - HOVER_MS for wait in page.evaluate("window.waits"))
    print(f"\n{n} tokens: panel after {statistics.median(waits):.0f} ms (median), {waits[-1]:.0f} ms at worst")
    assert len(waits) == LOOKS
    assert statistics.median(waits) < POPOVER_MS, waits
