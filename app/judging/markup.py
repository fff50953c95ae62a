"""Which characters of a response Markdown would show differently, and which are its own. Pure: text in, ranges out.

The text itself is never changed: a page styles these ranges over it, so an offset into what is shown is an offset into
what is stored. Whatever is not clearly Markdown stays as written: unclosed markers, underscores inside words, a lone
`*` between letters or digits, everything inside code. Ranges nest or are apart, and every pass is linear in the text.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from app.judging.emphasis import Style
from app.judging.inline import inline_styles
from app.judging.tables import cells, is_delimiter_row, row_styles

# Nobody writes so much Markdown; a page that had to style it would be slow for its reader.
MOST_STYLES = 10_000
# Deeper quotes and lists would leave no room for words.
_DEEPEST = 8

_LINE = re.compile(r"([^\n]*)(\n|\Z)")
_BLANKS = re.compile(r"[ \t]*")
_FENCE = re.compile(r"[ \t]*(`{3,}|~{3,})[ \t]*([^\n]*)")
_HEADING = re.compile(r"([ \t]*#{1,6}[ \t]+)(?=[^\s#])")
_QUOTE = re.compile(r" {0,3}>[ ]?")
_ITEM = re.compile(r"([ \t]*)([-*+]|[0-9]{1,3}[.)])([ \t]+)(?=\S)")
_RULE = re.compile(r"[ \t]*(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})\Z")
_INDENTED = 4
_BLOCKS = ("quote", "item", "numbered", "table", "head", "row", "cell", "pre", "rule")
_RANK = (*_BLOCKS, "number", "heading", "link", "em", "strong", "strike", "code", "mark")


@dataclass(frozen=True, slots=True)
class _Line:
    """A line without its ending, as `start` to `end`; `after` is where the next one begins."""

    start: int
    end: int
    after: int


@dataclass(slots=True)
class _Block:
    """A quote, list item or table that may go on. A line indented by `need` is of an item, and loses `width`."""

    kind: str
    start: int
    end: int
    need: int = 0
    width: int = 0


@dataclass(slots=True)
class _Page:
    """How far a text was read: what was found, what is open around the next line, and what the last line may become."""

    text: str
    lines: list[_Line]
    found: list[Style] = field(default_factory=list)
    around: list[_Block] = field(default_factory=list)
    table: _Block | None = None
    # The last line, where its own styles begin in `found`, and where its words begin: the head of a table, perhaps.
    last: tuple[_Line, int, int] | None = None

    def in_list(self) -> bool:
        return any(block.kind != "quote" for block in self.around)


def styles_of(text: str) -> tuple[Style, ...]:
    """Find the Markdown in a text: `(start, end, kind)` in code points, outer before inner.

    Blocks run to the end of their last line, its ending included: quote, item (of a bulleted list), numbered (of a
    numbered one), table with head and row and cell, pre, rule; an item holds what is indented below it. Within lines:
    heading, number, link, em, strong, strike, code, and mark for the characters a rendered view hides. A range covers
    its own marks. A text with more than `MOST_STYLES` ranges has none.
    """
    page = _Page(text, list(_lines(text)))
    at = 0
    while at < len(page.lines) and len(page.found) <= MOST_STYLES:
        at = _take(page, at)
    _close(page, 0)
    _close_table(page)
    if len(page.found) > MOST_STYLES:
        return ()
    return tuple(sorted(page.found, key=lambda style: (style[0], -style[1], _RANK.index(style[2]))))


def _lines(text: str) -> Iterator[_Line]:
    for line in _LINE.finditer(text):
        end = line.end(1) - line[1].endswith("\r")
        if line.start() < len(text):
            yield _Line(line.start(), end, line.end())


def _take(page: _Page, at: int) -> int:
    """Style one line, or a whole code block that begins on it; tells which line comes next."""
    line = page.lines[at]
    start, kept = _goes_on(page, line)
    _close(page, kept)
    if start > line.start:
        page.found.append((line.start, start, "mark"))
    if _is_blank(page.text, start, line):
        _end_line(page, line, kept=_last_quote(page))
        _close_table(page)
        return at + 1
    start = _open_blocks(page, line, start)
    _end_line(page, line, kept=len(page.around))
    if opening := _fence(page, line, start):
        _close_table(page)
        return _code(page, at, start, opening)
    _leaf(page, line, start)
    return at + 1


def _goes_on(page: _Page, line: _Line) -> tuple[int, int]:
    """Tell where the words of a line begin behind the quotes and items that go on in it, and how many do."""
    start = line.start
    for number, block in enumerate(page.around):
        if block.kind == "quote":
            inside = _QUOTE.match(page.text, start, line.end)
            if not inside:
                return start, number
            start = inside.end()
        elif not _is_blank(page.text, start, line):
            columns, until = _indent(page.text, start, line.end, block.width)
            if columns < block.need:
                return start, number
            start = until
    return start, len(page.around)


def _indent(text: str, start: int, end: int, most: int) -> tuple[int, int]:
    """Take up to `most` columns of blanks: how many there were, and where they end."""
    columns = 0
    while start < end and columns < most and text[start] in " \t":
        columns += _INDENTED if text[start] == "\t" else 1
        start += 1
    return columns, start


def _is_blank(text: str, start: int, line: _Line) -> bool:
    blanks = _BLANKS.match(text, start, line.end)
    return blanks is not None and blanks.end() == line.end


def _last_quote(page: _Page) -> int:
    return max((at for at, block in enumerate(page.around, start=1) if block.kind == "quote"), default=0)


def _end_line(page: _Page, line: _Line, *, kept: int) -> None:
    """The first `kept` blocks reach to the end of this line at least."""
    for block in page.around[:kept]:
        block.end = line.after


def _close(page: _Page, kept: int) -> None:
    """End all blocks but the first `kept`."""
    if kept == len(page.around):
        return
    _close_table(page)
    page.found += [(block.start, block.end, block.kind) for block in page.around[kept:]]
    del page.around[kept:]


def _close_table(page: _Page) -> None:
    if page.table:
        page.found.append((page.table.start, page.table.end, page.table.kind))
    page.table = page.last = None


def _open_blocks(page: _Page, line: _Line, start: int) -> int:
    """Open the quotes and items that begin on this line; tells where its words begin."""
    while len(page.around) < _DEEPEST and not _is_code_by_indent(page, start, line):
        if quote := _QUOTE.match(page.text, start, line.end):
            begun = _Block("quote", start, line.after)
            page.found.append((start, quote.end(), "mark"))
            start = quote.end()
        elif (item := _ITEM.match(page.text, start, line.end)) and not _RULE.match(page.text, start, line.end):
            begun = _item(page, item, line)
            start = item.end()
        else:
            break
        _close_table(page)
        page.around.append(begun)
    return start


def _is_code_by_indent(page: _Page, start: int, line: _Line) -> bool:
    return not page.in_list() and _indent(page.text, start, line.end, _INDENTED)[0] >= _INDENTED


def _item(page: _Page, item: re.Match[str], line: _Line) -> _Block:
    lead, sign, gap = (len(part) for part in item.groups())
    numbered = item[2][0].isdigit()
    if not numbered:
        page.found.append((item.start(), item.end(), "mark"))
    else:
        page.found.append((item.start(2), item.end(), "number"))
        if lead:
            page.found.append((item.start(), item.start(2), "mark"))
    # More blanks than four are part of what the item says.
    width = lead + sign + (gap if gap <= _INDENTED else 1)
    return _Block("numbered" if numbered else "item", item.start(), line.after, need=lead + 2, width=width)


def _fence(page: _Page, line: _Line, start: int) -> str:
    """The backticks or tildes that open a code block on this line, or nothing."""
    found = _FENCE.match(page.text, start, line.end)
    if not found or (found[1][0] == "`" and "`" in found[2]) or _is_code_by_indent(page, start, line):
        return ""
    return found[1]


def _code(page: _Page, at: int, start: int, opening: str) -> int:
    """Style a code block to the line that closes it; without one, all that is in the same blocks stays as written."""
    text, first = page.text, page.lines[at]
    margin = _indent(text, start, first.end, first.end)[0]
    marks: list[Style] = [(start, first.after, "mark")]
    for number in range(at + 1, len(page.lines)):
        line = page.lines[number]
        inside, kept = _goes_on(page, line)
        if kept < len(page.around):
            return number
        _end_line(page, line, kept=kept)
        closing = _FENCE.match(text, inside, line.end)
        if closing and _closes(closing, opening, inside + margin):
            page.found += [(start, line.after, "pre"), *marks, (line.start, line.after, "mark")]
            return number + 1
        inside = _indent(text, inside, line.end, margin)[1]
        if inside > line.start:
            marks.append((line.start, inside, "mark"))
    return len(page.lines)


def _closes(fence: re.Match[str], opening: str, margin: int) -> bool:
    return fence[1].startswith(opening) and not fence[2].strip() and fence.start(1) < margin + _INDENTED


def _leaf(page: _Page, line: _Line, start: int) -> None:
    """Style the words of a line, as a row of a table where they are one."""
    text, end = page.text, line.end
    if _is_code_by_indent(page, start, line):
        _close_table(page)
    elif page.table and text.find("|", start, end) >= 0:
        page.found += row_styles(text, start, end, line.after, "row")
        page.table.end = line.after
    elif page.last and _is_head_of(page, line, start):
        _begin_table(page, line, start)
    elif _RULE.match(text, start, end):
        _close_table(page)
        page.found += [(start, line.after, "rule"), (start, line.after, "mark")]
    else:
        _close_table(page)
        _words(page, line, start)


def _words(page: _Page, line: _Line, start: int) -> None:
    """Style a line of its own, which may become the head of a table."""
    if heading := _HEADING.match(page.text, start, line.end):
        page.found += _heading(page.text, start, heading.end(), line.end)
        return
    if page.text.find("|", start, line.end) >= 0:
        page.last = (line, len(page.found), start)
    page.found += inline_styles(page.text, start, line.end)


def _is_head_of(page: _Page, line: _Line, start: int) -> bool:
    """Tell whether this line makes the last one the head of a table."""
    if page.last is None or not is_delimiter_row(page.text, start, line.end):
        return False
    head, _, words = page.last
    return len(cells(page.text, words, head.end)) == len(cells(page.text, start, line.end))


def _begin_table(page: _Page, line: _Line, start: int) -> None:
    if page.last is None:
        return
    head, own, words = page.last
    before = page.found[own:]
    del page.found[own:]
    # What this line lost to the blocks around it was found after the head's own styles.
    page.found += [style for style in before if style[0] >= line.start]
    page.found += row_styles(page.text, words, head.end, head.after, "head")
    page.found.append((start, line.after, "mark"))
    page.table, page.last = _Block("table", words, line.after), None


def _heading(text: str, start: int, inside: int, end: int) -> list[Style]:
    found: list[Style] = [(start, end, "heading"), (start, inside, "mark")]
    written = text[inside:end].rstrip(" \t")
    words = written.rstrip("#")
    if words != written and words[-1] in " \t":
        until = inside + len(words.rstrip(" \t"))
        return [*found, (until, end, "mark"), *inline_styles(text, inside, until)]
    return found + inline_styles(text, inside, end)
