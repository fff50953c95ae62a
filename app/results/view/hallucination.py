"""How hallucinated spans, their causes and their shift read."""

from app.results.charts import dots
from app.results.report.shifted import PLACES
from app.results.report.values import part
from app.results.view.parts import (
    Block,
    Part,
    Reading,
    Row,
    pair_key,
    percent,
    plain,
    points,
    probability,
    signed,
    whole,
)

_PLACES = {"all": "whole response", "first5": "first 5 % of tokens", "last95": "the rest"}
_MOVED = {"shifted": "shifted", "moved": "marginal or shifted"}
_PER_TEXT = "per 1,000 characters"
_PER = {"per_100_tokens": "per 100 tokens", "per_1000_characters": _PER_TEXT}
_CELLS = ("inside_with", "inside_without", "outside_with", "outside_without")
_TICKS = tuple((at / 4, f"{25 * at} %") for at in range(5))


def hallucination_part(reading: Reading) -> Part:
    """Lay out how often spans were marked in each arm, and what two arms differ by."""
    kinds = {"any": "any", "major": "major", "minor": "minor"}
    kinds |= {f"type.{part(name)}": name.replace("_", " ") for name in reading.findings.types}
    lead = (
        "Spans that annotators marked as hallucinated. A response judged by several people counts once for each; "
        "McNemar's test takes judgments as independent, the intervals do not: where the two disagree, believe the "
        "interval. p values are adjusted by Holm for all of them together."
    )
    blocks = [_shares(reading, kinds), _figure(reading), *(_apart(reading, *pair) for pair in reading.pairs)]
    return Part("hallucination", "Hallucination", lead, tuple(blocks))


def _arms(reading: Reading) -> list[str]:
    return sorted({arm for pair in reading.pairs for arm in pair})


def _counted(reading: Reading, *names: str) -> bool:
    """Tell whether a number is more than nothing for any arm; `names` are its key's parts around the arm's."""
    before, after = names
    keys = [f"{before}.{part(arm)}.{after}" for arm in _arms(reading)]
    return any(reading.get(key).value for key in keys if reading.has(key))


def _shares(reading: Reading, kinds: dict[str, str]) -> Block:
    rows = []
    per_what = _PER if _counted(reading, "hallucination", "per_100_tokens.any") else {"per_1000_characters": _PER_TEXT}
    for arm in _arms(reading):
        for kind, words in kinds.items():
            prefix = f"hallucination.{part(arm)}"
            if not reading.has(f"{prefix}.share.{kind}"):
                continue
            asked = {"marked": arm, "outcome": "judged"}
            if kind.startswith("type."):
                asked["type"] = next(name for name in reading.findings.types if f"type.{part(name)}" == kind)
            elif kind != "any":
                asked["severity"] = kind
            cells = [reading.cell(f"{prefix}.share.{kind}", percent, **asked), reading.n(f"{prefix}.share.{kind}")]
            if reading.has(f"{prefix}.responses.{kind}"):
                cells += [reading.cell(f"{prefix}.responses.{kind}", whole, **asked)]
                cells += [reading.cell(f"{prefix}.spans.{kind}", whole)]
                cells += [reading.cell(f"{prefix}.{per}.{kind}", plain) for per in per_what]
            rows.append(Row(f"{arm}: {words}", tuple(cells)))
    header = ("Arm and kind", "share of responses", "n", "responses", "spans", *per_what.values())
    note = "" if per_what == _PER else "No response has its tokens stored, so nothing is said per 100 tokens."
    return Block("How often something was marked", header, tuple(rows), note=note)


def _figure(reading: Reading) -> Block:
    rows = [reading.dot(arm, f"hallucination.{part(arm)}.share.any", percent) for arm in _arms(reading)]
    title = "Share of responses with a marked span"
    return Block(chart=dots("hallucinated", title, rows, scale=(0, 1), ticks=_TICKS))


def _apart(reading: Reading, first: str, second: str) -> Block:
    rows = []
    for kind in ("any", "major", "minor"):
        prefix = f"hallucination.{pair_key(first, second)}"
        cells = [
            reading.cell(f"{prefix}.difference.{kind}", points),
            reading.cell(f"{prefix}.mcnemar.p.{kind}", probability),
            reading.cell(f"{prefix}.mcnemar.p_holm.{kind}", probability),
        ]
        if reading.has(f"{prefix}.mcnemar.both.{kind}"):
            names = ("both", "only_first", "only_second", "neither")
            cells += [reading.cell(f"{prefix}.mcnemar.{name}.{kind}", whole) for name in names]
            cells += [reading.cell(f"{prefix}.per_1000_characters.{kind}", signed)]
        rows.append(Row(f"marked {kind}" if kind == "any" else f"a {kind} one", tuple(cells)))
    header = (
        "Responses with a span",
        "difference",
        "McNemar p",
        "p by Holm",
        "in both",
        f"only {first}",
        f"only {second}",
        "in neither",
    )
    return Block(f"Marked spans: {first} less {second}", (*header, "spans per 1,000 characters"), tuple(rows))


def causal_part(reading: Reading) -> Part:
    """Lay out attribution to retrieved instances against decoys."""
    rows = []
    for arm in _arms(reading):
        prefix = f"causal.{part(arm)}"
        cells = [
            reading.cell(f"{prefix}.rate", points),
            reading.cell(f"{prefix}.true_rate", percent),
            reading.cell(f"{prefix}.decoy_rate", percent),
            *(reading.cell(f"{prefix}.{name}", whole) for name in ("spans", "spans_borrowed", "instances", "decoys")),
        ]
        rows.append(Row(arm, tuple(cells)))
    header = ("Arm", "causal rate", "retrieved judged borrowed", "decoys judged borrowed")
    more = ("spans asked about", "spans borrowed", "retrieved shown", "decoys shown")
    apart = [
        Row(f"{first} less {second}", (reading.cell(f"causal.{pair_key(first, second)}.difference", points),))
        for first, second in reading.pairs
    ]
    lead = (
        "Beside a marked span stood instances of the tuning set, some found for it, some decoys drawn at random. The "
        "causal rate is the share of found instances judged borrowed less the share of decoys judged borrowed: what is "
        "left when the readiness to see borrowing anywhere is taken away. It does not prove that tuning caused a span."
    )
    blocks: tuple[Block, ...] = (
        Block("Attribution", (*header, *more), tuple(rows)),
        Block("Difference of causal rates", ("Pair", "difference"), tuple(apart)),
    )
    if not _counted(reading, "causal", "instances"):
        blocks = (Block(note="No instance was shown beside a marked span, so nothing is said of borrowing."),)
    return Part("causal", "Borrowed from the tuning set", lead, blocks)


def shift_part(reading: Reading) -> Part:
    """Lay out whether marked tokens are more often shifted than the rest of the same responses."""
    lead = (
        "Odds that a token is shifted (base rank above 3) or moved at all (above 1), inside marked spans against the "
        "rest of the same responses. Above 1, hallucinated text is where tuning changed the choice of tokens. The "
        "stratified ratio compares within each judged response; intervals draw prompts."
    )
    rows = []
    for arm in _arms(reading):
        for name, words in _MOVED.items():
            for place in (*PLACES, "borrowed"):
                prefix = f"shift.{part(arm)}.{name}.{place}"
                where = _PLACES.get(place, "borrowed spans against not borrowed")
                cells = [reading.cell(f"{prefix}.{one}", plain) for one in ("odds_ratio", "stratified")]
                cells += [reading.cell(f"{prefix}.{one}", whole) for one in _CELLS]
                rows.append(Row(f"{arm}, {words}: {where}", tuple(cells)))
    header = (
        "Arm, class and place",
        "odds ratio",
        "stratified",
        "inside, yes",
        "inside, no",
        "outside, yes",
        "outside, no",
    )
    responses = [Row(arm, (reading.cell(f"shift.{part(arm)}.responses", whole),)) for arm in _arms(reading)]
    blocks: tuple[Block, ...] = (
        Block("Odds ratios", header, tuple(rows)),
        Block("Judged responses with a trace", ("Arm", "responses"), tuple(responses)),
    )
    if not _counted(reading, "shift", "responses"):
        blocks = (Block(note="No judged response has a trace, so nothing is said of shift. Score them to see it."),)
    return Part("shift", "Hallucination and shift", lead, blocks)
