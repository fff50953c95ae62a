"""Hostile text in a real browser: whatever a model wrote is text, runs nothing, loads nothing, clobbers nothing."""

import pytest
from playwright.sync_api import expect

from app.db import writing
from tests.browser.judging_help import press, revisions, start
from tests.factories import fill_study, make_member, make_study

HOSTILE = (
    "<img src=x onerror=\"window.ran='img'\">",
    "</xmp></div></form><script>window.ran='script'</script>",
    "<svg onload=\"window.ran='svg'\"><animate onbegin=\"window.ran='animate'\"></svg>",
    '<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src onerror=window.ran=1&gt;">',
    "[x](javascript:window.ran='link') <a href=\"javascript:window.ran='href'\">x</a> ![x](https://evil.example/a.png)",
    '<iframe srcdoc="<script>parent.ran=\'frame\'</script>"></iframe><object data="data:text/html,x"></object>',
    "<style>*{display:none}</style><link rel=stylesheet href=https://evil.example/s.css>",
    '<base href=https://evil.example/><meta http-equiv=refresh content="0;url=https://evil.example/">',
    "<form action=https://evil.example/><input name=preference><button id=submit name=csrf>x</button></form>",
    "<div hx-get=/judge hx-trigger=load hx-on:load=\"window.ran='hx'\" data-hx-on:click=\"window.ran='hx'\">x</div>",
    "<div hx-swap-oob=outerHTML:#judging hx-vals='js:{a: window.ran=1}' sse-connect=/x>x</div>",
    "<p id=judging name=elements class=judging-submit>clobber</p><p id=save-state>saved 00:00:00 (rev 9)</p>",
    "' data-item='{\"open\":false}' x='\" autofocus onfocus=\"window.ran='attribute'",
    "{{ 7 * 7 }} {% include 'base.html' %} ${7*7} {{ config }} #{7*7}",
    "a\u200bb\u202egnp.exe\u2066c\u2069\ufeff & &amp; &lt;b&gt; \u0000".replace("\u0000", "\ufffd"),
    "```html\n<script>window.ran='fence'</script>\n```\n# <img src=x onerror=window.ran=1>\n> <b onclick=window.ran=2>",
)


@pytest.fixture
def hostile(page_for, bob, alice, database):
    """Bob on an item whose prompt, responses, guidelines and study name are all one hostile text."""

    def open_item(text):
        with writing(database) as session:
            study = make_study(session, owner=alice, slug="hostile", name=text[:100], guidelines=text)
            make_member(session, study=study, user=bob, pid="a7")
            fill_study(session, study, prompts=(text,), text=text)
        page = page_for(bob)
        asked = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("dialog", lambda dialog: asked.append(f"dialog {dialog.message}"))
        return start(page), asked

    return open_item


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_stays_text(hostile, server, text, database):
    page, asked = hostile(text)
    press(page, "g")
    page.mouse.move(600, 400)
    for side in ("left", "right"):
        answer = page.locator(f".answer[data-side={side}]")
        assert answer.evaluate("(answer) => answer.textContent") == text
        drawn = answer.evaluate("(answer) => [...answer.querySelectorAll('*')].map((e) => [e.tagName, e.id, e.title])")
        assert {tuple(one) for one in drawn} <= {("SPAN", "", ""), ("MARK", "", "")}
    assert page.locator(".prompt-text").evaluate("(prompt) => prompt.textContent") == text
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert len(ids) == len(set(ids))
    # The form is still ours, and a judgment by keyboard still goes through.
    press(page, "g", "m", "Enter")
    page.get_by_role("button", name="Mark it").click()
    press(page, "Escape", "r", "r", "Enter", *[key for _ in range(10) for key in ("3", "ArrowDown")], "4")
    press(page, "Control+Enter")
    page.wait_for_url("**/judge?stay")
    assert [one.preference.value for one in revisions(database)] == ["tie_bad"]
    assert page.evaluate("window.ran") is None
    assert [url for url in asked if not url.startswith((server.url, "data:image/svg"))] == []


def test_a_hostile_answer_from_elsewhere_is_compared_as_text(hostile, server):
    server.expected += ["409"]
    text = HOSTILE[0]
    first, _ = hostile("A plain text.")
    second = first.context.new_page()
    second.goto(first.url)
    first.get_by_label("Comment").evaluate("(field) => field.closest('details').open = true")
    first.get_by_label("Comment").fill(text)
    expect(first.locator("#save-state")).to_contain_text("rev 1")
    press(second, "Enter", "4")
    dialog = second.get_by_role("dialog", name="Two versions of your answer")
    expect(dialog.get_by_role("row", name="Comment")).to_contain_text(text)
    assert dialog.locator("img").count() == 0
    assert second.evaluate("window.ran") is None
