"""Which page of each of its lists a monitor shows, as its address says it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar
from urllib.parse import urlencode

T = TypeVar("T")


def pages_of(count: int, size: int) -> int:
    """Count the pages of a list; one of nothing is a page too."""
    return max(1, -(-count // size))


@dataclass(frozen=True, slots=True)
class Part(Generic[T]):
    """One page of a list: `number` counts the whole list, `pages` its pages, from 1."""

    rows: Sequence[T]
    page: int
    pages: int
    number: int


def part_of(rows: Sequence[T], page: int, size: int) -> Part[T]:
    """Cut a page out of a list; a page beyond the last is the last."""
    pages = pages_of(len(rows), size)
    page = min(max(page, 1), pages)
    return Part(rows[(page - 1) * size : page * size], page, pages, len(rows))


@dataclass(frozen=True, slots=True)
class Places:
    """The page of each list: `items` and `people` of the matrix, `annotators` of who judges, `hand` of leases."""

    items: int = 1
    people: int = 1
    annotators: int = 1
    hand: int = 1

    def at(self, name: str = "", page: int = 1) -> str:
        """Address these pages, one of them changed; the first page of what is seldom paged goes without saying."""
        pages = {"items": self.items, "people": self.people, "annotators": self.annotators, "hand": self.hand}
        if name:
            pages[name] = page
        return urlencode({key: at for key, at in pages.items() if at > 1 or key in {"items", "people"}})
