"""Rows of a Markdown table as ranges over the written line. Pure; linear in the line."""

import re
from itertools import pairwise

from app.judging.emphasis import Style
from app.judging.inline import inline_styles

_DASHES = re.compile(r":?-+:?")
_PIPE = re.compile(r"\\.|\|")


def is_delimiter_row(text: str, start: int, end: int) -> bool:
    """Tell whether a line is the one of dashes below the head of a table."""
    if text.find("|", start, end) < 0 or set(text[start:end]) - set("|:- \t"):
        return False
    return all(_DASHES.fullmatch(text[first:last].strip("| \t")) for first, last in cells(text, start, end))


def cells(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """List the cells of a line, each with the pipe before it, none for the pipe that ends the line."""
    edges = [found.start() for found in _PIPE.finditer(text, start, end) if found[0] == "|"]
    if not edges or text[start : edges[0]].strip():
        edges.insert(0, start)
    edges.append(end)
    found = list(pairwise(edges))
    if len(found) > 1 and not text[found[-1][0] + 1 : end].strip():
        found.pop()
    return found


def row_styles(text: str, start: int, end: int, after: int, kind: str) -> list[Style]:
    """Style a line as a row: its cells with what is in them, and marks over the pipes and the line's ending."""
    found: list[Style] = [(start, after, kind)]
    columns = cells(text, start, end)
    if columns[0][0] > start:
        found.append((start, columns[0][0], "mark"))
    for first, last in columns:
        inside = first + (text[first] == "|")
        found.append((first, last, "cell"))
        if inside > first:
            found.append((first, inside, "mark"))
        found += inline_styles(text, inside, last)
    if columns[-1][1] < after:
        found.append((columns[-1][1], after, "mark"))
    return found
