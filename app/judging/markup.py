"""Which characters of a response Markdown would show differently, and which are its own. Pure: text in, ranges out.

The text itself is never changed: a page styles these ranges over it, so an offset into what is shown is an offset into
what is stored. Whatever is not clearly Markdown stays as written: unclosed markers, underscores inside words, a lone
`*` between letters or digits, everything inside code. Ranges nest or are apart, and every pass is linear in the text.
"""

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from app.judging.emphasis import Style, emphasis

# Nobody writes so much Markdown; a page that had to style it would be slow for its reader.
MOST_STYLES = 10_000

_TICKS = re.compile("`+")
_LINE = re.compile(r"([^\n]*)(\n|\Z)")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})[ \t]*([^\n]*)")
_HEADING = re.compile(r"( {0,3}#{1,6}[ \t]+)(?=[^\s#])")
_QUOTE = re.compile(r" {0,3}(?:>[ ]?)+")
_ITEM = re.compile(r"([ \t]*)(?:[-*+]|[0-9]{1,9}[.)])[ \t]+(?=\S)")
_RULE = re.compile(r"[ \t]*(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})\Z")
_PIECE = re.compile(r"\\[!-/:-@\[-`{-~]|`+|!?\[|\*+|_+")
_LINK = re.compile(r"\[([^\[\]]+)\]\([^\s()<>]+\)")
_CODE_IS_CLOSED = re.compile(r"[^`]*(?:`[^`]+`[^`]*)*\Z")
_INDENTED = 4
_RANK = ("pre", "quote", "item", "heading", "link", "em", "strong", "code", "mark")


@dataclass(frozen=True, slots=True)
class _Line:
    """A line without its ending, as `start` to `end`; `after` is where the next one begins."""

    start: int
    end: int
    after: int


def styles_of(text: str) -> tuple[Style, ...]:
    """Find the Markdown in a text: `(start, end, kind)` in code points, outer before inner.

    Kinds: heading, strong, em, code, pre, quote, item, link, and mark for the characters a rendered view hides. A range
    covers its own marks. A text with more than `MOST_STYLES` ranges has none.
    """
    found: list[Style] = []
    lines = list(_lines(text))
    at, in_list = 0, False
    while at < len(lines) and len(found) <= MOST_STYLES:
        opening = _fence(text, lines[at])
        if opening:
            closing = _closing(text, lines, at, opening)
            if closing is None:
                break
            found += _fenced(lines[at], lines[closing])
            at, in_list = closing + 1, False
            continue
        in_list = _line(text, lines[at], found, in_list=in_list)
        at += 1
    if len(found) > MOST_STYLES:
        return ()
    return tuple(sorted(_quotes_joined(text, found), key=lambda style: (style[0], -style[1], _RANK.index(style[2]))))


def _lines(text: str) -> Iterator[_Line]:
    for line in _LINE.finditer(text):
        end = line.end(1) - line[1].endswith("\r")
        if line.start() < len(text):
            yield _Line(line.start(), end, line.end())


def _fence(text: str, line: _Line) -> str:
    """The backticks or tildes that open a code block on this line, or nothing."""
    found = _FENCE.match(text, line.start, line.end)
    if not found or (found[1][0] == "`" and "`" in found[2]):
        return ""
    return found[1]


def _closing(text: str, lines: list[_Line], at: int, opening: str) -> int | None:
    for number in range(at + 1, len(lines)):
        found = _FENCE.match(text, lines[number].start, lines[number].end)
        if found and found[1].startswith(opening) and not found[2].strip():
            return number
    return None


def _fenced(first: _Line, last: _Line) -> list[Style]:
    return [(first.start, last.end, "pre"), (first.start, first.after, "mark"), (last.start, last.end, "mark")]


def _line(text: str, line: _Line, found: list[Style], *, in_list: bool) -> bool:
    """Style one line outside code; tell whether what is indented below it belongs to a list."""
    start, end = line.start, line.end
    indent = len(text[start:end]) - len(text[start:end].lstrip(" \t"))
    if start + indent == end:
        return in_list
    if not in_list and (indent >= _INDENTED or text[start] == "\t"):
        return False
    if quote := _QUOTE.match(text, start, end):
        found += [(start, end, "quote"), (start, quote.end(), "mark")]
        start = quote.end()
    if _RULE.match(text, start, end):
        return False
    if item := _ITEM.match(text, start, end):
        found.append((start, end, "item"))
        found += _inline(text, item.end(), end)
        return True
    if heading := _HEADING.match(text, start, end):
        found += _heading(text, start, heading.end(), end)
    else:
        found += _inline(text, start, end)
    return in_list and indent > 1


def _heading(text: str, start: int, inside: int, end: int) -> list[Style]:
    found: list[Style] = [(start, end, "heading"), (start, inside, "mark")]
    written = text[inside:end].rstrip(" \t")
    words = written.rstrip("#")
    if words != written and words[-1] in " \t":
        until = inside + len(words.rstrip(" \t"))
        return [*found, (until, end, "mark"), *_inline(text, inside, until)]
    return found + _inline(text, inside, end)


def _inline(text: str, start: int, end: int) -> list[Style]:
    """Style code, links and emphasis between two places of one line."""
    found: list[Style] = []
    runs: list[tuple[int, int]] = []
    ticks = _ticks(text, start, end)
    at = start
    while piece := _PIECE.search(text, at, end):
        at = piece.end()
        if piece[0][0] == "`":
            if close := _code_end(ticks, piece):
                found += [(piece.start(), close, "code"), (piece.start(), at, "mark")]
                found.append((close - len(piece[0]), close, "mark"))
                at = close
        elif piece[0] == "[":
            if (link := _LINK.match(text, piece.start(), end)) and _CODE_IS_CLOSED.match(link[1]):
                found += _link(text, link)
                at = link.end()
        elif piece[0] == "![":
            # A picture is not shown, so its address stays in view.
            picture = _LINK.match(text, at - 1, end)
            at = picture.end() if picture else at
        elif piece[0][0] in "*_":
            runs.append(piece.span())
    return found + emphasis(text, runs, start, end)


def _link(text: str, link: re.Match[str]) -> list[Style]:
    opened, closed = link.span(1)
    marks: list[Style] = [(link.start(), opened, "mark"), (closed, link.end(), "mark")]
    return [(*link.span(), "link"), *marks, *_inline(text, opened, closed)]


def _ticks(text: str, start: int, end: int) -> dict[int, list[int]]:
    """Where runs of backticks start, by their length."""
    found = defaultdict(list)
    for run in _TICKS.finditer(text, start, end):
        found[len(run[0])].append(run.start())
    return found


def _code_end(ticks: dict[int, list[int]], opening: re.Match[str]) -> int:
    """Where the code that a run of backticks opens ends, 0 where nothing closes it."""
    same = ticks.get(len(opening[0]), [])
    after = bisect_right(same, opening.start())
    return same[after] + len(opening[0]) if after < len(same) else 0


def _quotes_joined(text: str, found: list[Style]) -> list[Style]:
    """Make one range of the quoted lines that follow each other."""
    quotes: list[Style] = []
    rest = [style for style in found if style[2] != "quote"]
    for start, end, kind in (style for style in found if style[2] == "quote"):
        if quotes and text[quotes[-1][1] : start] in {"\n", "\r\n"}:
            quotes[-1] = (quotes[-1][0], end, kind)
        else:
            quotes.append((start, end, kind))
    return rest + quotes
