"""One instance beside a response: the runs of words both have, numbered alike, and the single words they share."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.provenance.fates import Counts
from app.provenance.index import Index
from app.provenance.marking import NEAR, SPAN, Mark, Piece, pieces
from app.provenance.neighbours import Neighbour
from app.provenance.pairwise import Range, Run, common_runs, common_words
from app.provenance.placed import PlacedTokens
from app.provenance.reading import read
from app.provenance.shared import Shared
from app.provenance.spans import is_common
from app.provenance.view import words


@dataclass(frozen=True, slots=True)
class BesideView:
    """A response and an instance, both cut into marked pieces.

    `runs` are (number, text, words, its tokens' classes). `place` is the instance's rank among the neighbours, from 1;
    `before` and `after` are the positions of the neighbours next to it, or the nearest when it is none itself.
    """

    instance: str
    position: int
    instruction: str
    response: tuple[Piece, ...]
    answers: tuple[tuple[Piece, ...], ...]
    runs: tuple[tuple[int, str, str, Counts], ...]
    shared: int
    place: int | None
    neighbours: int
    before: int | None
    after: int | None


def beside_view(
    index: Index, text: str, tokens: PlacedTokens, neighbours: Sequence[Neighbour], position: int
) -> BesideView:
    """Compare a response with the instance at a position of the set."""
    instance = index.instance(position)
    found = [(turn, run) for turn, answer in enumerate(instance.answers) for run in common_runs(text, answer)]
    own = [Mark(run.start, run.end, SPAN, number) for number, (_, run) in enumerate(found, start=1)]
    others: list[list[Mark]] = [[] for _ in instance.answers]
    for number, (turn, run) in enumerate(found, start=1):
        others[turn].append(Mark(run.other_start, run.other_end, SPAN, number))
    both = [(turn, *places) for turn, answer in enumerate(instance.answers) for places in _shared(index, text, answer)]
    both += [(turn, shared.response, shared.answer) for turn, shared in _parts(neighbours, position)]
    for turn, places, other_places in both:
        own += [Mark(start, end, NEAR) for start, end in places]
        others[turn] += [Mark(start, end, NEAR) for start, end in other_places]
    near = [neighbour.position for neighbour in neighbours]
    place = near.index(position) if position in near else None
    return BesideView(
        instance=instance.id,
        position=position,
        instruction=instance.instruction,
        response=pieces(text, own),
        answers=tuple(pieces(answer, marks) for answer, marks in zip(instance.answers, others, strict=True)),
        runs=tuple(_run(number, text, run, tokens) for number, (_, run) in enumerate(found, start=1)),
        shared=len(both),
        place=None if place is None else place + 1,
        neighbours=len(near),
        before=near[place - 1] if place else None,
        after=next(iter(near[0 if place is None else place + 1 :]), None),
    )


def _run(number: int, text: str, run: Run, tokens: PlacedTokens) -> tuple[int, str, str, Counts]:
    return number, text[run.start : run.end], words(run.words), tokens.counts(tokens.indices(run.start, run.end))


def _shared(index: Index, text: str, answer: str) -> list[tuple[Sequence[Range], Sequence[Range]]]:
    """List the words both texts have, very common ones left out, by their places in both."""
    own = read(index, text)
    rare = {
        symbol.form
        for symbol, at in zip(own.symbols, own.known, strict=True)
        if at is not None and not is_common(index, at)
    }
    return [places for form, places in common_words(text, answer).items() if form in rare]


def _parts(neighbours: Sequence[Neighbour], position: int) -> list[tuple[int, Shared]]:
    """List the parts of words a neighbour shares, each with the turn it stands in."""
    found = [neighbour for neighbour in neighbours if neighbour.position == position]
    return [(one.turn, shared) for one in found for shared in one.shared if shared.kind == "part"]
