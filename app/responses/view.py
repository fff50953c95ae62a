"""The page of a response as its templates show it: readings, lines, agreement, and what a base prompt changes."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from app.accounts.access import ACCESS
from app.engines.prompts import BASE_PROMPTS
from app.responses.asked import Asked
from app.responses.lanes import MAX_LANES, Lane, class_counts, lane_css
from app.responses.queries import Stored
from app.shift.agreement import Agreement, Choices, agreements
from app.shift.changes import CLASSES, Changes, class_changes
from app.shift.classes import Thresholds
from app.shift.trace import KlKind
from app.tokens.answer import Answer
from app.tokens.spelling import spelled
from app.tokens.store import answer_of
from app.tokens.view import ColumnView
from models import BasePrompt, Origin, Trace

MAX_LISTED = 60

_SECTIONS = (
    ("sources", "Where it comes from", "/responses/{response_id}/sources"),
    ("branches", "Branches", "/responses/{response_id}/branches"),
    ("shifted", "Most-shifted tokens", "/responses/{response_id}/shifted"),
)


@dataclass(frozen=True, slots=True)
class Reader:
    """A checkpoint beside the response. `counts` are its own ranks by class, None while it has not read it.

    `state` is `shown`, `stored`, `derived` (known from the trace of another), `unread`, or `gone` from the registry.
    `line_url` draws its line under the text, or takes it away.
    """

    name: str
    role: str
    wrote: bool
    state: str
    lane: int | None
    counts: tuple[int, int, int] | None
    mean_kl: str
    url: str
    line_url: str


@dataclass(frozen=True, slots=True)
class PromptChoice:
    """One of the prompts base may read; `stored` says whether this reading is there already."""

    value: str
    title: str
    meaning: str
    showing: bool
    stored: bool
    url: str


@dataclass(frozen=True, slots=True)
class Pick:
    """Some tokens to pick out. `mask` has one bit per token, four to a hexadecimal digit, the first token lowest."""

    words: str
    count: int
    n: int
    mask: str
    url: str
    picked: bool

    @property
    def share(self) -> str:
        """The count in per cent of the tokens both have read."""
        return f"{100 * self.count / self.n:.0f} %" if self.n else ""


@dataclass(frozen=True, slots=True)
class PairView:
    """How two checkpoints agree."""

    first: str
    second: str
    choice: Pick
    both: Pick


@dataclass(frozen=True, slots=True)
class ChangedToken:
    """A token whose class the base prompt changed."""

    index: int
    text: str
    before: str
    after: str
    rank_before: str
    rank_after: str
    url: str


@dataclass(frozen=True, slots=True)
class ChangesView:
    """Two base prompts compared: `rows` are (class before, counts per class after)."""

    before: str
    after: str
    n: int
    rows: tuple[tuple[str, tuple[int, ...]], ...]
    columns: tuple[str, ...]
    changed: tuple[ChangedToken, ...]
    unlisted: int
    kl_before: str
    kl_after: str
    pick: Pick


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page that another feature fills."""

    name: str
    title: str
    url: str


def prompt_title(base_prompt: BasePrompt) -> str:
    """Name a base prompt as the page does."""
    return next(title for value, title, _ in BASE_PROMPTS if value is base_prompt)


def origin_words(stored: Stored) -> str:
    """Say where the response came from."""
    response = stored.response
    if response.origin is Origin.PASTED:
        by = f" by {stored.author}" if stored.author else ""
        return f"Pasted{by}, tokenised by {response.run.get('tokenizer_of') or 'an unknown tokenizer'}"
    if response.origin is Origin.IMPORTED:
        return f"Imported as an answer of {response.checkpoint}" if response.checkpoint else "Imported"
    return f"Written by {response.checkpoint}"


def reading_words(stored: Stored, asked: Asked) -> str:
    """Say how the shown reading was made; nothing where there is none."""
    trace = trace_of(stored, asked.checkpoint, asked.base_prompt)
    if trace is None:
        return ""
    engine = " ".join(word for word in (trace.engine, trace.engine_version) if word)
    kl = "exact KL" if trace.kl_kind == "exact" else "KL a lower bound"
    words = (engine, trace.dtype, kl, f"{trace.created_at:%d %b %Y, %H:%M} UTC")
    return f"{trace.checkpoint} against {trace.reference}: {', '.join(word for word in words if word)}"


def shown_answer(stored: Stored, asked: Asked, roles: Mapping[str, str], *, index: int | None = None) -> Answer:
    """Return the response as the chosen checkpoint reads it; without that reading its tokens are pending.

    With an `index` only that token is read.
    """
    answer = answer_of(stored.response, trace_of(stored, asked.checkpoint, asked.base_prompt), index=index)
    texts = answer.texts
    if len(texts) != len(answer.ids):
        # A run record that does not tell which token adds what: the text stands whole on the first one.
        texts = (stored.response.text, *[""] * (len(answer.ids) - 1)) if answer.ids else ()
    # The role in the run record is the writer's; this is whose view is shown.
    return replace(answer, checkpoint=asked.checkpoint, role=roles.get(asked.checkpoint, ""), texts=texts)


def trace_of(stored: Stored, checkpoint: str, base_prompt: BasePrompt) -> Trace | None:
    """Return one reading of those loaded."""
    return next((one for one in stored.traces if one.checkpoint == checkpoint and one.base_prompt == base_prompt), None)


def readers(
    stored: Stored,
    asked: Asked,
    roles: Mapping[str, str],
    views: Sequence[Choices],
    shown: Sequence[Lane],
    thresholds: Thresholds,
) -> tuple[Reader, ...]:
    """List every checkpoint that has read the response or could: first as in the registry, then those that left it."""
    read = [trace.checkpoint for trace in stored.traces]
    others = dict.fromkeys([*(view.name for view in views), *read])
    names = [*roles, *[name for name in others if name not in roles]]
    choices, numbers = {view.name: view for view in views}, {lane.name: lane.number for lane in shown}
    result = []
    for name in names:
        trace = trace_of(stored, name, asked.base_prompt)
        result.append(
            Reader(
                name=name,
                role=roles.get(name, ""),
                wrote=bool(name) and name == stored.response.checkpoint,
                state=_state(name, trace, asked, roles, choices),
                lane=numbers.get(name),
                counts=class_counts(choices[name].ranks, thresholds) if name in choices else None,
                mean_kl=mean_kl(trace.mean_kl_tuned_base, trace.kl_kind) if trace else "",
                url=asked.url(page(stored), checkpoint=name, against=None, pick=None, of=None),
                line_url=_line_url(stored, asked, name, list(numbers)) if name in choices else "",
            )
        )
    return tuple(result)


def _line_url(stored: Stored, asked: Asked, name: str, drawn: list[str]) -> str:
    """Address the page with one line more or less; the last line stays, and no more are drawn than fit."""
    wanted = [one for one in drawn if one != name] if name in drawn else [*drawn, name]
    if not wanted or len(wanted) > MAX_LANES:
        return ""
    return asked.url(page(stored), lane=wanted) + "#tokens"


def _state(name: str, trace: Trace | None, asked: Asked, roles: Collection[str], choices: Mapping[str, Choices]) -> str:
    if trace is not None:
        return "shown" if name == asked.checkpoint else "stored"
    if name not in roles:
        return "gone"
    return "derived" if name in choices else "unread"


def rank_words(thresholds: Thresholds) -> tuple[str, str, str]:
    """Say which ranks each class holds; the page's script says the same when they are edited."""
    first, last = thresholds.unshifted, thresholds.marginal
    middle = f"Rank {last:,}" if last == first + 1 else f"Rank {first + 1:,}\u2013{last:,}"
    return ("Rank 1" if first == 1 else f"Rank 1\u2013{first:,}", middle, f"Above {last:,}")


def mean_kl(value: float | None, kl_kind: KlKind | str) -> str:
    """Write a mean KL; nothing where no token has one."""
    return "none" if value is None else f"{'' if kl_kind == 'exact' else '≥ '}{value:.3f}"


def prompt_choices(stored: Stored, asked: Asked) -> tuple[PromptChoice, ...]:
    """Offer the prompts base may read; those already read are links."""
    return tuple(
        PromptChoice(
            value=value.value,
            title=title,
            meaning=meaning,
            showing=value is asked.base_prompt,
            stored=trace_of(stored, asked.checkpoint, value) is not None,
            url=asked.url(
                page(stored),
                checkpoint=asked.checkpoint,
                base_prompt=value.value,
                against=asked.base_prompt.value,
                pick=None,
                of=None,
            ),
        )
        for value, title, meaning in BASE_PROMPTS
    )


def pair_views(stored: Stored, asked: Asked, views: Sequence[Choices]) -> tuple[PairView, ...]:
    """Show how every two checkpoints agree."""
    return tuple(_pair_view(stored, asked, pair) for pair in agreements(views))


def _pair_view(stored: Stored, asked: Asked, pair: Agreement) -> PairView:
    total, two = len(stored.response.token_ids), (pair.first, pair.second)

    def pick(kind: str, words: str, positions: tuple[int, ...]) -> Pick:
        return Pick(
            words=words,
            count=len(positions),
            n=pair.n,
            mask=mask(positions, total),
            url=asked.url(page(stored), pick=kind, of=two) + "#tokens",
            picked=asked.pick == kind and asked.of == two,
        )

    return PairView(
        pair.first,
        pair.second,
        pick("choice", f"{pair.first} and {pair.second} have the same first choice", pair.same_choice),
        pick("first", f"{pair.first} and {pair.second} both rank the written token first", pair.both_first),
    )


def changes_view(stored: Stored, asked: Asked, answer: Answer, thresholds: Thresholds) -> ChangesView | None:
    """Compare the shown reading with the one under another base prompt; None where there is nothing to compare."""
    if asked.against is None:
        return None
    trace = trace_of(stored, asked.checkpoint, asked.against)
    earlier = answer_of(stored.response, trace)
    # A reading of an answer that broke off may end before the other one.
    both = min(len(earlier.scored), len(answer.scored))
    found = class_changes(earlier.scored[:both], answer.scored[:both], thresholds)
    return ChangesView(
        before=prompt_title(asked.against),
        after=prompt_title(asked.base_prompt),
        n=found.n,
        rows=tuple((name.value, counts) for name, counts in zip(CLASSES, found.table, strict=True)),
        columns=tuple(name.value for name in CLASSES),
        changed=_changed(stored, asked, answer, found),
        unlisted=max(0, len(found.changed) - MAX_LISTED),
        kl_before=mean_kl(found.kl_before, earlier.kl_kind),
        kl_after=mean_kl(found.kl_after, answer.kl_kind),
        pick=Pick(
            words=f"their class changed from {prompt_title(asked.against)} to {prompt_title(asked.base_prompt)}",
            count=len(found.changed),
            n=found.n,
            mask=mask([change.index for change in found.changed], len(answer.ids)),
            url=asked.url(page(stored), pick="changed", of=None) + "#tokens",
            picked=asked.pick == "changed",
        ),
    )


def _changed(stored: Stored, asked: Asked, answer: Answer, found: Changes) -> tuple[ChangedToken, ...]:
    return tuple(
        ChangedToken(
            index=change.index,
            text=spelled(answer.texts[change.index], answer.name(answer.ids[change.index]), answer.ids[change.index]),
            before=change.before.value,
            after=change.after.value,
            rank_before=f"{change.rank_before:,}",
            rank_after=f"{change.rank_after:,}",
            url=asked.url(
                f"{page(stored)}/tokens/{change.index}",
                checkpoint=asked.checkpoint,
                base_prompt=asked.base_prompt.value,
                against=None,
                pick=None,
                of=None,
            ),
        )
        for change in found.changed[:MAX_LISTED]
    )


def marked(
    column: ColumnView, shown: Sequence[Lane], picked: str, thresholds: Thresholds, *, finish: str
) -> ColumnView:
    """Draw the lines and the picked tokens into a column, and say how the response ended."""
    tokens = tuple(
        replace(token, css=_joined(token.css, lane_css(shown, index, thresholds), "picked" if bit else ""))
        for index, (token, bit) in enumerate(zip(column.tokens, bits(picked, len(column.tokens)), strict=True))
    )
    n = len(tokens)
    ended = {"stop": " · end of sequence", "length": " · reached max tokens", "stopped": " · stopped"}.get(finish, "")
    words = f"{n:,} token{'' if n == 1 else 's'}{ended}"
    if not column.checkpoint:
        return replace(column, tokens=tokens, words=words, checkpoint="Not read yet")
    return replace(column, tokens=tokens, words=f"as {column.checkpoint} reads it · {words}")


def _joined(*words: str) -> str:
    return " ".join(word for word in words if word)


def mask(positions: Sequence[int], n: int) -> str:
    """Write positions below `n` as bits, four to a hexadecimal digit, the first position lowest."""
    digits = [0] * -(-n // 4)
    for position in positions:
        digits[position // 4] |= 1 << position % 4
    return "".join(f"{digit:x}" for digit in digits)


def bits(text: str, n: int) -> list[bool]:
    """Read a mask back; "" is nothing."""
    digits = [int(digit, 16) for digit in text] or [0] * -(-n // 4)
    return [bool(digits[position // 4] >> position % 4 & 1) for position in range(n)]


def sections(stored: Stored, asked: Asked) -> tuple[Section, ...]:
    """List the parts that other features fill, as far as they are there; each looks at the reading that is shown."""
    read = trace_of(stored, asked.checkpoint, asked.base_prompt) is not None
    reading = {"checkpoint": asked.checkpoint, "base_prompt": asked.base_prompt.value} if read else {}
    query = f"?{urlencode(reading)}" if reading else ""
    return tuple(
        Section(name, title, path.format(response_id=stored.response.id) + query)
        for name, title, path in _SECTIONS
        if ("GET", path) in ACCESS
    )


def page(stored: Stored) -> str:
    """Return the address of the response."""
    return f"/responses/{stored.response.id}"
