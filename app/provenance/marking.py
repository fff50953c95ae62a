"""Text with marks, cut into pieces a template writes one after another; every piece is plain text, escaped there."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

SPAN, NEAR, ASKED = "from-span", "from-near", "from-asked"
_OVERLAP = "from-spans"


@dataclass(frozen=True, slots=True)
class Mark:
    """A mark on `text[start:end]` (code points). `number` names what it belongs to, the same in both texts."""

    start: int
    end: int
    kind: str = SPAN
    number: int = 0


@dataclass(frozen=True, slots=True)
class Piece:
    """Text under the same marks: `css` is empty without any; `numbers` are those of marks that end here."""

    text: str
    css: str = ""
    numbers: tuple[int, ...] = ()


def pieces(text: str, marks: Iterable[Mark]) -> tuple[Piece, ...]:
    """Cut a text at the ends of its marks; joined, the pieces are the text. Spans hide weaker marks under them."""
    kept = [mark for mark in marks if 0 <= mark.start < mark.end <= len(text)]
    cuts = sorted({0, len(text), *(mark.start for mark in kept), *(mark.end for mark in kept)})
    found: list[Piece] = []
    for start, end in itertools.pairwise(cuts):
        over = [mark for mark in kept if mark.start <= start and mark.end >= end]
        numbers = tuple(sorted({mark.number for mark in over if mark.end == end and mark.number}))
        css = _css([mark.kind for mark in over])
        if found and found[-1].css == css and not found[-1].numbers:
            found[-1] = Piece(found[-1].text + text[start:end], css, numbers)
        else:
            found.append(Piece(text[start:end], css, numbers))
    return tuple(found)


def _css(kinds: list[str]) -> str:
    if kinds.count(SPAN) > 1:
        return _OVERLAP
    return next((kind for kind in (SPAN, ASKED, NEAR) if kind in kinds), "")
