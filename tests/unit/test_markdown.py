"""Markdown of guidelines: formatted, and never a way in for anything that runs or loads."""

import pytest
from bs4 import BeautifulSoup

from app.web.markdown import markdown


def test_guidelines_are_formatted():
    page = BeautifulSoup(markdown("# Rate\n\n- *clear*\n- **right**\n\n|a|b|\n|-|-|\n|1|2|\n"), "html.parser")
    assert page.h1.text == "Rate"
    assert [item.text for item in page.select("li")] == ["clear", "right"]
    assert page.select_one("td").text == "1"


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[x](javascript:alert(1))",
        "[x](data:text/html,<script>alert(1)</script>)",
        "![x](https://elsewhere.example/pixel.png)",
        "<div hx-get='/x' hx-trigger='load'>",
        "[x](https://a.example 'onclick=alert(1)')",
        "{{ 7919 * 7331 }}",
    ],
)
def test_nothing_in_it_runs_or_loads(hostile):
    page = BeautifulSoup(markdown(hostile), "html.parser")
    assert not page.select("script, img, div, iframe, object, [onerror], [onclick], [hx-get]")
    assert all(link["href"].startswith("https://") for link in page.select("a"))
    assert "58054189" not in page.text


def test_links_tell_nobody_where_they_were_clicked():
    link = BeautifulSoup(markdown("[the rules](https://rules.example)"), "html.parser").a
    assert (link["rel"], link["target"]) == (["noopener", "noreferrer"], "_blank")
