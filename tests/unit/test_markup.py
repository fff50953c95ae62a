"""Markdown as ranges over a text that stays as it is; what is not clearly Markdown is left alone."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.judging.markup import MOST_STYLES, styles_of

BLOCKS = {"quote", "item", "numbered", "table", "head", "row", "pre", "rule"}
KINDS = BLOCKS | {"cell", "number", "heading", "strong", "em", "strike", "code", "link", "mark"}
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
    "  ",
    "   ",
    "\t",
    "\n\n",
    "|",
    "| a | b |\n|---|---|\n",
    "|:-:|-\n",
    "---\n",
    "~~",
    "~",
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
        ("> one\r\n> two\n\n> three", [("quote", "> one\r\n> two\n"), ("quote", "> three")], "one\r\ntwo\n\nthree"),
        ("> a\n> > b\n> > c\n> d", [("quote", "> a\n> > b\n> > c\n> d"), ("quote", "> b\n> > c\n")], "a\nb\nc\nd"),
        ("- **b**\n  - c\n2) d",
         [("item", "- **b**\n  - c\n"), ("strong", "**b**"), ("item", "- c\n"), ("numbered", "2) d"),
          ("number", "2) ")],
         "b\nc\n2) d"),
        ("1. a\n   1. b\n\n   c\n2. d",
         [("numbered", "1. a\n   1. b\n\n   c\n"), ("number", "1. "), ("numbered", "1. b\n"), ("number", "1. "),
          ("numbered", "2. d"), ("number", "2. ")],
         "1. a\n1. b\n\nc\n2. d"),
        (" - a\n - b\nc", [("item", " - a\n"), ("item", " - b\n")], "a\nb\nc"),
        ("x\n```py\na *b* `c`\n```\ny", [("pre", "```py\na *b* `c`\n```\n")], "x\na *b* `c`\ny"),
        ("~~~\r\n```\r\n~~~~\r\n*e*", [("pre", "~~~\r\n```\r\n~~~~\r\n"), ("em", "*e*")], "```\r\ne"),
        ("- x\n\n  ```\n  a\n    b\n  ```\n- y",
         [("item", "- x\n\n  ```\n  a\n    b\n  ```\n"), ("pre", "```\n  a\n    b\n  ```\n"), ("item", "- y")],
         "x\n\na\n  b\ny"),
        ("**重要**です", [("strong", "**重要**")], "重要です"),
        ("🍞 **🍞**", [("strong", "**🍞**")], "🍞 🍞"),
        ("> - `a`", [("quote", "> - `a`"), ("item", "- `a`"), ("code", "`a`")], "a"),
        ("~~gone~~ ~5", [("strike", "~~gone~~")], "gone ~5"),
        ("a\n\n---\nb", [("rule", "---\n")], "a\n\nb"),
        ("* * *", [("rule", "* * *")], ""),
        ("| a | *b* |\n|:--|:-:|\n| 1 || \nend",
         [("table", "| a | *b* |\n|:--|:-:|\n| 1 || \n"), ("head", "| a | *b* |\n"), ("cell", "| a "),
          ("cell", "| *b* "), ("em", "*b*"), ("row", "| 1 || \n"), ("cell", "| 1 "), ("cell", "|")],
         " a  b  1 end"),
        ("a | b\n---|---\n`c` | d \\| e",
         [("table", "a | b\n---|---\n`c` | d \\| e"), ("head", "a | b\n"), ("cell", "a "), ("cell", "| b"),
          ("row", "`c` | d \\| e"), ("cell", "`c` "), ("code", "`c`"), ("cell", "| d \\| e")],
         "a  bc  d \\| e"),
        ("- | a | b |\n  | - | - |\n",
         [("item", "- | a | b |\n  | - | - |\n"), ("table", "| a | b |\n  | - | - |\n"), ("head", "| a | b |\n"),
          ("cell", "| a "), ("cell", "| b ")],
         " a  b "),
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
        "| no | table |",
        "| a | b |\n|---|",
        "| a | b |\n\n|---|---|",
        "a\n|---|",
        "1990. Nobody lists that far",
        "-no list\n1.5 apples",
        "~one~ ~~~three~~~ ~~open",
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
    for text in (f"`{inside}`", f"```\n# {inside}\n> q\n- i\n| a | b |\n|---|---|\n---\n~~s~~\n```"):
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
    # A block ends where a line does, its ending included.
    ends = [end for _, end, kind in styles if kind in BLOCKS]
    assert all(end == len(text) or text[end - 1] == "\n" for end in ends)
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
    "|",
    "| ",
    "|\n",
    "|-|\n",
    "| a | b |\n|---|---|\n",
    "a|b\n-|-\n",
    "--- ",
    "- - ",
    "-\t",
    "> - ",
    "> > - a\n",
    "- ```\n",
    "> ```\n",
    "> ```a\n",
    "- a\n  ```\n",
    "1. a\n    - b\n",
    "~~",
    "~~a",
    "~~a~~ ",
    "---\n",
    "- a" + " " * 60 + "\n",
    "\\|",
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
