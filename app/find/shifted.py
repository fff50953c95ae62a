"""The tokens of one response that tuning shifted most, told apart by what they do in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from sqlmodel import Session

from app.errors import NotFoundError
from app.shift.classes import ShiftClass
from app.shift.lexicon import Category, LexiconWords, categorise
from app.shift.measures import BY_NAME, value
from app.shift.packing import open_packed
from app.shift.trace import TokenShift
from app.tokens.spelling import spelled
from app.tokens.store import get_response, texts_of, traces_of
from models import BasePrompt, Response, Trace

SHOWN = 12
TITLES = {
    Category.INITIATION: ("Response initiation", "how the answer opens, within its first tokens"),
    Category.STYLE: ("Style and discourse", "function words, connectives, hedges, courtesy"),
    Category.FORMAT: ("Format", "layout, punctuation, digits, Markdown"),
    Category.CONTENT: ("Content", "everything else: what the answer is about"),
}


@dataclass(frozen=True, slots=True)
class ShiftedToken:
    """One shifted token; `url` leads to it in its response. Numbers are written out; empty where there is none."""

    index: int
    spelled: str
    base_rank: int
    difference: str
    kl: str
    url: str


@dataclass(frozen=True, slots=True)
class Group:
    """One category. `share` is its share of the shifted tokens, per cent; `tokens` the furthest, `more` the rest."""

    category: str
    title: str
    meaning: str
    shifted: int
    total: int
    share: float
    tokens: tuple[ShiftedToken, ...]
    more: int


@dataclass(frozen=True, slots=True)
class Shifted:
    """The shifted tokens of a response as one checkpoint reads it."""

    response_id: str
    checkpoint: str
    reference: str
    base_prompt: str
    n: int
    shifted: int
    groups: tuple[Group, ...]
    lower_bound: bool
    readings: tuple[tuple[str, str], ...]


def shifted_of(
    session: Session, response_id: str, words: LexiconWords, *, checkpoint: str = "", base_prompt: str = ""
) -> Shifted | None:
    """Group the shifted tokens of a response; None while no checkpoint has read it.

    Raises NotFoundError for a response, or a reading of it, that is not there.
    """
    response = get_response(session, response_id)
    traces = traces_of(session, response_id)
    if not traces:
        return None
    trace = _reading(response, traces, checkpoint, base_prompt)
    packed = open_packed(trace.tokens)
    tokens, names = packed.tokens(), packed.names()
    texts = texts_of(response)
    kinds = categorise(texts, words)
    shown = [
        ShiftedToken(
            index=index,
            spelled=spelled(texts[index], names.get(token.id), token.id),
            base_rank=token.base_rank,
            difference=_number(token, "logprob_difference", "+.2f"),
            kl=_number(token, "kl_tuned_base", ".3f"),
            url=_url(trace, index),
        )
        for index, token in _furthest(tokens[: len(texts)])
    ]
    return Shifted(
        response_id=response_id,
        checkpoint=trace.checkpoint,
        reference=trace.reference,
        base_prompt=trace.base_prompt.value,
        n=trace.n,
        shifted=len(shown),
        groups=tuple(_group(category, shown, kinds) for category in Category),
        lower_bound=trace.kl_kind != "exact",
        readings=tuple((one.checkpoint, one.base_prompt.value) for one in traces),
    )


def _reading(response: Response, traces: list[Trace], checkpoint: str, base_prompt: str) -> Trace:
    """Choose the reading asked for, or the writer's own with the same ids, or the first there is."""
    wanted = [
        trace
        for trace in traces
        if (not checkpoint or trace.checkpoint == checkpoint) and (not base_prompt or trace.base_prompt == base_prompt)
    ]
    if not wanted:
        raise NotFoundError(
            "No such reading of this response is stored.", remedy="Choose a checkpoint on the response's page."
        )
    same = BasePrompt.SAME_IDS
    return min(wanted, key=lambda trace: (trace.checkpoint != response.checkpoint, trace.base_prompt != same))


def _furthest(tokens: Sequence[TokenShift]) -> list[tuple[int, TokenShift]]:
    shifted = [(index, token) for index, token in enumerate(tokens) if token.shift_class is ShiftClass.SHIFTED]
    return sorted(shifted, key=lambda pair: (-pair[1].base_rank, pair[0]))


def _group(category: Category, shown: list[ShiftedToken], kinds: Sequence[Category]) -> Group:
    mine = [token for token in shown if kinds[token.index] is category]
    title, meaning = TITLES[category]
    return Group(
        category=category.value,
        title=title,
        meaning=meaning,
        shifted=len(mine),
        total=sum(kind is category for kind in kinds),
        share=round(100 * len(mine) / len(shown), 1) if shown else 0.0,
        tokens=tuple(mine[:SHOWN]),
        more=max(0, len(mine) - SHOWN),
    )


def _number(token: TokenShift, name: str, how: str) -> str:
    number = value(BY_NAME[name], token)
    return "" if number is None else format(number, how)


def _url(trace: Trace, index: int) -> str:
    said = {"checkpoint": trace.checkpoint, "base_prompt": trace.base_prompt.value, "pin": f"0-{index}"}
    return f"/responses/{trace.response_id}?{urlencode(said)}"
