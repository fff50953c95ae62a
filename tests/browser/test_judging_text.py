"""How a response looks in a real browser: Markdown of every kind, never a character more or less than is stored."""

import pytest
from playwright.sync_api import expect
from sqlmodel import select

from app.db import reading, writing
from models import Span
from tests.browser.judging_help import SAVED, press, start
from tests.factories import fill_study

RICH = """## Why bread rises

{arm}. Yeast eats **sugar** and breathes out *carbon dioxide*; see [a list of gases](https://example.org/gases).

1. Warm the water to 38 °C, which is about as warm as a hand, and no warmer than that, because yeast dies of heat.
   - a cold start takes longer
     - a fridge takes a night
   - a hot one kills the yeast
2. Mix it:

   ```python
   def dough(flour, water):
       return flour + 0.7 * water
   ```
10. Wait.

| flour | water | `hours` |
|:------|------:|:-------:|
| rye   | 80 %  | 12      |
| wheat || **3** |

> Dough waits for nobody.
> > Nobody waits for dough.

---
~~Never~~ knead <b>twice</b>, & visit https://example.org.
"""


@pytest.fixture
def judging(page_for, bob, database, study):
    with writing(database) as session:
        fill_study(session, study, text=RICH)
    return lambda **options: start(page_for(bob, **options))


def stored(page, side="left"):
    return page.evaluate(f"JSON.parse(document.getElementById('judging').dataset.item).texts.{side}")


def own_text(page, side="left"):
    return page.locator(f".answer[data-side={side}]").evaluate("(answer) => answer.textContent")


def test_every_kind_of_markdown_is_a_look_of_the_stored_characters(judging, axe, picture):
    page = judging(width=1400, height=1400)
    left = page.locator(".answer[data-side=left]")
    assert own_text(page) == stored(page)
    shown = left.inner_text()
    for hidden in ("##", "**", "```", "|", "> ", "~~", "---", "- a cold", "](https"):
        assert hidden not in shown
    for written in ("1. ", "10. ", "<b>twice</b>, &", "return flour", "Dough waits"):
        assert written in shown
    assert left.locator("a, b, table, li, script").count() == 0
    columns = left.locator(".md-row .md-cell").evaluate_all("(cells) => cells.map((cell) => cell.offsetLeft)")
    assert columns[:3] == columns[3:]
    assert len(set(columns)) == 3
    picture(page, "judge-text")
    axe(page)
    page.get_by_role("button", name="Raw text").click()
    # The text without its looks: as the server wrote it.
    raw = left.inner_text()
    assert "| wheat || **3** |" in raw
    assert "   - a cold start" in raw
    assert own_text(page) == stored(page)


def test_lines_of_an_item_hang_and_nested_items_stand_further_in(judging):
    page = judging(width=1400, height=1400)
    lefts = page.evaluate(
        """() => {
          const answer = document.querySelector(".answer[data-side=left]");
          const walker = document.createTreeWalker(answer, NodeFilter.SHOW_TEXT);
          const found = {};
          for (let node = walker.nextNode(); node; node = walker.nextNode()) {
            const at = (words) => {
              const start = node.data.indexOf(words);
              if (start < 0) return;
              const range = new Range();
              range.setStart(node, start);
              range.setEnd(node, start + 1);
              found[words] = range.getBoundingClientRect().left;
            };
            for (const words of ["Warm", "heat.", "a cold", "a fridge", "a hot", "Mix", "Answer"]) at(words);
          }
          return found;
        }"""
    )
    assert lefts["Warm"] > lefts["Answer"]
    assert lefts["heat."] > lefts["Answer"] + 10
    assert lefts["Mix"] == pytest.approx(lefts["Warm"], abs=0.5)
    assert lefts["Warm"] < lefts["a cold"] < lefts["a fridge"]
    assert lefts["a cold"] == pytest.approx(lefts["a hot"], abs=0.5)


def test_marks_over_tables_and_lists_quote_the_stored_characters(judging, database):
    page = judging(width=1400, height=1400)
    left = page.locator(".answer[data-side=left]")
    left.locator(".md-row .md-cell", has_text="rye").dblclick(position={"x": 20, "y": 12})
    page.get_by_role("button", name="Mark it").click()
    start_at, end_at = left.locator(".md-numbered").first, left.locator(".md-item", has_text="a hot one").last
    first, last = start_at.bounding_box(), end_at.bounding_box()
    page.mouse.move(first["x"] + 60, first["y"] + 10)
    page.mouse.down()
    page.mouse.move(last["x"] + 100, last["y"] + 10, steps=5)
    page.mouse.up()
    page.get_by_role("button", name="Mark it").click()
    expect(page.locator("#save-state")).to_have_text(SAVED)
    text = stored(page)
    with reading(database) as session:
        spans = session.exec(select(Span).order_by(Span.revision_id, Span.position)).all()
    assert {"rye"} < {span.quote for span in spans}
    assert all(span.quote == text[span.start : span.end] for span in spans)
    assert any("\n   - a cold start" in span.quote for span in spans)
    assert own_text(page) == text


def test_while_marking_by_keyboard_every_character_is_in_view(judging):
    page = judging(width=1400, height=1400)
    press(page, "m")
    left = page.locator(".answer[data-side=left][data-marking]")
    for written in ("## Why", "**sugar**", "| wheat || **3** |", "- a cold start", "---"):
        expect(left).to_contain_text(written)
        assert written in left.inner_text()
    assert left.inner_text().rstrip() == stored(page).rstrip()
    press(page, "Escape")
    assert "**" not in page.locator(".answer[data-side=left]").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_of_it_is_wider_than_a_phone(judging, axe, picture, scheme):
    page = judging(width=400, height=800, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    answer = page.locator(".answer[data-side=left]")
    assert answer.evaluate("(one) => one.scrollWidth <= one.clientWidth")
    axe(page)
    picture(page, f"judge-text-400-{scheme}")
