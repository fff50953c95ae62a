"""What the templates of provenance are given: frozen, finished, nothing left to look up. No web, no database."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.provenance.borrowed import Borrowed, Rate
from app.provenance.fates import Counts, Fates
from app.provenance.index import Index
from app.provenance.marking import ASKED, NEAR, SPAN, Mark, Piece, pieces
from app.provenance.neighbours import Neighbour
from app.provenance.placed import PlacedTokens
from app.provenance.selection import Found, Selection
from app.provenance.sources import Source
from app.provenance.spans import Span

_SEARCHES = {"bm25": "same words", "span": "same wording", "subword": "parts of words"}
_SMALLEST_P = 0.001


@dataclass(frozen=True, slots=True)
class PlaceView:
    """One place in an instance: its snippet with the quote marked."""

    instance: str
    position: int
    snippet: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class SpanView:
    """One verbatim span. `first` and `last` are its tokens, None for a response without any."""

    number: int
    start: int
    end: int
    text: str
    words: str
    instances: int
    first: int | None
    last: int | None
    counts: Counts
    places: tuple[PlaceView, ...]


@dataclass(frozen=True, slots=True)
class NeighbourView:
    """One nearest instance: its nearest answer with the shared words marked, and where those stand in the response."""

    number: int
    instance: str
    position: int
    score: str
    reasons: tuple[tuple[str, int, str], ...]
    instruction: str
    answer: tuple[Piece, ...]
    shared: int
    tokens: tuple[int, ...]
    counts: Counts


@dataclass(frozen=True, slots=True)
class RateView:
    """A borrowed rate in words and as two bars (per cent of their width)."""

    name: str
    words: str
    found_percent: str
    expected_percent: str
    p: str
    found_width: float
    expected_width: float
    reason: str


@dataclass(frozen=True, slots=True)
class BorrowedView:
    """The borrowed summary: the rate that counts, the others beside it, and how it was tested."""

    main: RateView
    others: tuple[RateView, ...]
    neighbours: int
    instances: int
    draws: int


def span_views(spans: Sequence[Span], tokens: PlacedTokens) -> tuple[SpanView, ...]:
    """Show verbatim spans in their order, numbered from 1."""
    found = []
    for number, span in enumerate(spans, start=1):
        own = tokens.indices(span.start, span.end)
        found.append(
            SpanView(
                number=number,
                start=span.start,
                end=span.end,
                text=span.text,
                words=words(span.words),
                instances=span.instances,
                first=own[0] if own else None,
                last=own[-1] if own else None,
                counts=tokens.counts(own),
                places=place_views(span.sources),
            )
        )
    return tuple(found)


def place_views(sources: Sequence[Source]) -> tuple[PlaceView, ...]:
    """Show places in instances, each with what stands around it."""
    return tuple(
        PlaceView(
            source.instance, source.position, (Piece(source.before), Piece(source.quote, SPAN), Piece(source.after))
        )
        for source in sources
    )


def neighbour_views(index: Index, neighbours: Sequence[Neighbour], tokens: PlacedTokens) -> tuple[NeighbourView, ...]:
    """Show the nearest instances, best first."""
    found = []
    for number, neighbour in enumerate(neighbours, start=1):
        instance = index.instance(neighbour.position)
        own = tokens.touching(place for shared in neighbour.shared for place in shared.response)
        found.append(
            NeighbourView(
                number=number,
                instance=neighbour.instance,
                position=neighbour.position,
                score=f"{neighbour.score:.2f}",
                reasons=tuple((_SEARCHES[one.kind], one.rank, one.detail) for one in neighbour.reasons),
                instruction=instance.instruction,
                answer=pieces(instance.answers[neighbour.turn], shared_marks(neighbour, answer=True)),
                shared=len(neighbour.shared),
                tokens=own,
                counts=tokens.counts(own),
            )
        )
    return tuple(found)


def shared_marks(neighbour: Neighbour, *, answer: bool) -> list[Mark]:
    """Mark the words a neighbour shares, in its answer or in the response."""
    return [
        Mark(start, end, NEAR)
        for shared in neighbour.shared
        for start, end in (shared.answer if answer else shared.response)
    ]


def span_pieces(text: str, spans: Sequence[SpanView]) -> tuple[Piece, ...]:
    """Mark the spans on a response."""
    return pieces(text, [Mark(span.start, span.end, SPAN, span.number) for span in spans])


def selection_pieces(text: str, selection: Selection, *, around: int = 120) -> tuple[Piece, ...]:
    """Show the selected words with a little of the response around them."""
    start, end = max(0, selection.start - around), min(len(text), selection.end + around)
    return (
        Piece(("… " if start else "") + text[start : selection.start]),
        Piece(text[selection.start : selection.end], ASKED),
        Piece(text[selection.end : end] + (" …" if end < len(text) else "")),
    )


def borrowed_view(borrowed: Borrowed) -> BorrowedView:
    """Put the borrowed summary into words."""
    return BorrowedView(
        main=_rate("Shifted", "shifted token", borrowed.shifted),
        others=(
            _rate("Shifted, without common words", "shifted content token", borrowed.shifted_content),
            _rate("Shifted and marginal", "shifted or marginal token", borrowed.moved),
            _rate("Unshifted, for comparison", "unshifted token", borrowed.unshifted),
            _rate("Unshifted, without common words", "unshifted content token", borrowed.unshifted_content),
        ),
        neighbours=borrowed.neighbours,
        instances=borrowed.instances,
        draws=borrowed.draws,
    )


def _rate(name: str, noun: str, rate: Rate) -> RateView:
    if rate.share is None or rate.expected is None:
        return RateView(name, "", "", "", "", 0.0, 0.0, rate.reason)
    return RateView(
        name=name,
        words=f"{rate.found:,} of {rate.tokens:,} {noun}{'' if rate.tokens == 1 else 's'}",
        found_percent=percent(rate.share),
        expected_percent=percent(rate.expected),
        p=p_value(rate.p),
        found_width=round(100 * rate.share, 2),
        expected_width=round(100 * rate.expected, 2),
        reason="",
    )


def percent(share: float) -> str:
    """Write a share as a percentage without pretending to more than it says."""
    return f"{100 * share:.0f} %" if share in {0.0, 1.0} or 0.01 <= share <= 0.99 else f"{100 * share:.1f} %"  # noqa: PLR2004


def p_value(p: float | None) -> str:
    """Write a p-value with its sign: `= 0.012`, `< 0.001`."""
    if p is None:
        return ""
    return f"< {_SMALLEST_P}" if p < _SMALLEST_P else f"= {p:.3f}"


def words(n: float) -> str:
    """Say how many words: scripts without spaces count two characters as one."""
    return "1 word" if n == 1 else f"{n:g} words"


def fates_rows(found: Fates) -> tuple[tuple[str, Counts], ...]:
    """Name the three fates of a token, in the order they are told."""
    return (
        ("in a verbatim span", found.verbatim),
        ("elsewhere in the nearest answers", found.near),
        ("in neither", found.nowhere),
    )


def found_words(found: Found) -> str:
    """Say how often words were found."""
    places = "once" if found.places == 1 else f"{found.places:,} times"
    return f"{places}, in {found.instances:,} instance{'' if found.instances == 1 else 's'}"
