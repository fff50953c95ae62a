"""Markdown as ranges over a text that stays as it is; what is not clearly Markdown is left alone."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.judging.markup import MOST_STYLES, styles_of

KINDS = {"heading", "strong", "em", "code", "pre", "quote", "item", "link", "mark"}
PIECES = [
    "*",
    "**",
    "***",
    "_",
    "__",
    "`",
    "``",
    "```",
    "~~~",
    "[",
    "](u)",
    "![",
    "\\",
    "a",
    "é",
    "🍞",
    "**b**",
    "`c`",
    "[x](y)",
    "(",
    ")",
    "!",
    "# ",
    "> ",
    "- ",
    "1. ",
    "b c",
    " ",
    "\n",
    "\r\n",
    "    ",
    "\t",
    "\n\n",
]
marked_up = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)


def shown(text):
    """The ranges as the text they cover, marks left out."""
    return [(kind, text[start:end]) for start, end, kind in styles_of(text) if kind != "mark"]


def rendered(text):
    """The text with Markdown's own characters hidden."""
    hidden = {at for start, end, kind in styles_of(text) if kind == "mark" for at in range(start, end)}
    return "".join(char for at, char in enumerate(text) if at not in hidden)


@pytest.mark.parametrize(
    ("text", "expected", "reads"),
    [
        ("# Big *news*", [("heading", "# Big *news*"), ("em", "*news*")], "Big news"),
        ("### Three ###", [("heading", "### Three ###")], "Three"),
        ("a **strong** word", [("strong", "**strong**")], "a strong word"),
        ("__so strong__ and _em_", [("strong", "__so strong__"), ("em", "_em_")], "so strong and em"),
        ("***both***", [("em", "***both***"), ("strong", "**both**")], "both"),
        ("**a *b* c**", [("strong", "**a *b* c**"), ("em", "*b*")], "a b c"),
        ("run `x * y * z` now", [("code", "`x * y * z`")], "run x * y * z now"),
        ("``a ` b``", [("code", "``a ` b``")], "a ` b"),
        ("see [the *site*](x.org/a)", [("link", "[the *site*](x.org/a)"), ("em", "*site*")], "see the site"),
        ("> one\r\n> two\n\n> three", [("quote", "> one\r\n> two"), ("quote", "> three")], "one\r\ntwo\n\nthree"),
        ("- **b**\n  - c\n2) d", [("item", "- **b**"), ("strong", "**b**"), ("item", "  - c"), ("item", "2) d")],
         "- b\n  - c\n2) d"),
        ("x\n```py\na *b* `c`\n```\ny", [("pre", "```py\na *b* `c`\n```")], "x\na *b* `c`\n\ny"),
        ("~~~\r\n```\r\n~~~~\r\n*e*", [("pre", "~~~\r\n```\r\n~~~~"), ("em", "*e*")], "```\r\n\r\ne"),
        ("**重要**です", [("strong", "**重要**")], "重要です"),
        ("🍞 **🍞**", [("strong", "**🍞**")], "🍞 🍞"),
        ("> - `a`", [("quote", "> - `a`"), ("item", "- `a`"), ("code", "`a`")], "- a"),
    ],
)  # fmt: skip
def test_markdown_is_found(text, expected, reads):
    assert shown(text) == expected
    assert rendered(text) == reads


@pytest.mark.parametrize(
    "text",
    [
        "snake_case_name and __init__.py is_a_file, __name__ too",
        "2 * 3 * 4 and 2*3*4 and a*b*c",
        "**never closed",
        "an *open one\nand a closer* on the next line",
        "`never closed **but `` still ``` ",
        "```\nprint(*args)\n**never closed**",
        "[no link] (apart)",
        "[text](two words)",
        "![picture](https://x.org/*a*.png)",
        r"\*no\* \`no\` \[no\](x)",
        "#hashtag",
        "#",
        "***",
        "* * *",
        "- - -",
        "    code = a * b ** **c**",
        "** spaced ** and * spaced *",
        "****four****",
        "5 > 3",
        "",
        "\r\n\r\n",
    ],
)
def test_what_is_not_clearly_markdown_stays_as_written(text):
    assert styles_of(text) == ()


def test_nothing_inside_code_is_styled():
    inside = "**a** _b_ [c](d)"
    for text in (f"`{inside}`", f"```\n# {inside}\n> q\n- i\n```"):
        kinds = [kind for _, _, kind in styles_of(text)]
        assert kinds in (["code", "mark", "mark"], ["pre", "mark", "mark"])


def test_a_list_may_hold_indented_paragraphs():
    assert ("strong", "**b**") in shown("1. a\n\n    more **b** of it")


@given(st.one_of(marked_up, st.text(max_size=60)))
@settings(max_examples=400, deadline=None)
def test_ranges_lie_inside_the_text_nest_and_come_out_the_same_again(text):
    styles = styles_of(text)
    assert styles == styles_of(text)
    assert len(set(styles)) == len(styles)
    around = []
    for start, end, kind in styles:
        assert kind in KINDS
        assert 0 <= start < end <= len(text)
        while around and around[-1][1] <= start:
            around.pop()
        assert all(outer_start <= start and end <= outer_end for outer_start, outer_end in around)
        around.append((start, end))
    # A mark holds nothing.
    marks = [(start, end) for start, end, kind in styles if kind == "mark"]
    assert not [s for s in styles for m in marks if m[0] <= s[0] and s[1] <= m[1] and s[:2] != m]


@given(marked_up)
@settings(max_examples=200, deadline=None)
def test_marks_are_markdown_and_never_words(text):
    for start, end, kind in styles_of(text):
        if kind == "mark" and "](" not in text[start:end]:
            assert not set(text[start:end]) & set("é🍞")


HOSTILE = [
    "*",
    "**a",
    "*a",
    "a*",
    "`",
    "`_",
    "``",
    "[",
    "[a](",
    "![",
    "[a](b",
    "]",
    ">",
    "#",
    "\\",
    "**`a`**",
    "*a*",
    "_*_*",
    "***a**",
    "_a ",
    "` ",
    "`` `",
    "> ",
    "- ",
    "\n",
    "\t",
    "```\n",
    "~~~\n",
    "*a* ",
    "[`a`](b) ",
    "[`a](b) ",
    "> *a*\n",
    "* ",
    "1. ",
    " ",
    "\r",
    "***a** b* ",
    "# a " + " " * 50,
    "#  ",
]


@pytest.mark.parametrize("piece", HOSTILE)
def test_hostile_repetition_takes_linear_time(piece):
    def seconds(length):
        text = (piece * (length // len(piece) + 1))[:length]
        begun = time.process_time()
        styles = styles_of(text)
        assert len(styles) <= MOST_STYLES
        return time.process_time() - begun

    # Ten times the text, with room for noise: a quadratic pass would take a hundred times as long, and minutes.
    assert seconds(100_000) < 10 * 8 * max(seconds(10_000), 0.01)
