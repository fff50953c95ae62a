"""Markdown within one line: code, links, emphasis, what is struck out. Pure; linear in the line."""

import re
from bisect import bisect_right
from collections import defaultdict

from app.judging.emphasis import Style, emphasis

_TICKS = re.compile("`+")
_PIECE = re.compile(r"\\[!-/:-@\[-`{-~]|`+|!?\[|\*+|_+|~+")
_LINK = re.compile(r"\[([^\[\]]+)\]\([^\s()<>]+\)")
_CODE_IS_CLOSED = re.compile(r"[^`]*(?:`[^`]+`[^`]*)*\Z")


def inline_styles(text: str, start: int, end: int) -> list[Style]:
    """Style what stands between two places of one line: code, link, em, strong, strike, each with its marks."""
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
        elif piece[0][0] in "*_~":
            runs.append(piece.span())
    return found + emphasis(text, runs, start, end)


def _link(text: str, link: re.Match[str]) -> list[Style]:
    opened, closed = link.span(1)
    marks: list[Style] = [(link.start(), opened, "mark"), (closed, link.end(), "mark")]
    return [(*link.span(), "link"), *marks, *inline_styles(text, opened, closed)]


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
