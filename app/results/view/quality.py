"""How the quality of judgments reads: beside each rate what else may lie behind it, and what more would give."""

from app.results.charts import dots
from app.results.report.findings import ALL
from app.results.view.parts import (
    NOTHING,
    Block,
    Cell,
    Part,
    Reading,
    Row,
    half_width,
    pair_key,
    percent,
    plain,
    points,
    seconds,
    signed,
    whole,
    words,
)

_GUESSES = (("right", "that are right"), ("wrong", "that are wrong"), ("unclear", "that name no arm they could miss"))
_TICKS = tuple((at / 4, f"{25 * at} %") for at in range(5))


def beside(reading: Reading) -> Block:
    """Lay out, pair by pair, the win rate under everything that might explain it away."""
    rows = []
    for first, second in reading.pairs:
        pair = pair_key(first, second)
        prefix = f"quality.{pair}"
        cells = [
            reading.cell(f"preference.{pair}.win_rate.half", percent),
            reading.cell(f"{prefix}.position.adjusted", percent),
            reading.cell(f"{prefix}.controlled.win_rate", percent),
            _unrecognised(reading, prefix, first, second),
            reading.cell(f"{prefix}.speed.faster", percent),
            reading.cell(f"{prefix}.speed.slower", percent),
            _range(reading, f"{prefix}.leave_one_out"),
            *_robustness(reading, pair),
        ]
        rows.append(Row(f"{first} against {second}", tuple(cells)))
    header = ("The same win rate", "as shown", "sides balanced", "equal length, no side", "no model recognised")
    more = ("faster half", "slower half", "any one annotator left out")
    last = ("excluded counted too",) if rows and len(rows[0].cells) > len((*header, *more)) - 1 else ()
    return Block("What may explain the win rates away", (*header, *more, *last), tuple(rows))


def _unrecognised(reading: Reading, prefix: str, first: str, second: str) -> Cell:
    return reading.cell(
        f"{prefix}.win_rate_unrecognised", percent, first=first, second=second, outcome="judged", recognised="no"
    )


def _range(reading: Reading, key: str) -> Cell:
    low, high = reading.get(f"{key}.low"), reading.get(f"{key}.high")
    if low.value is None or high.value is None:
        return Cell("none", reason=low.reason, key=reading.key(f"{key}.low"))
    people = reading.findings.annotators
    who = [
        people[int(reading.get(f"{key}.{end}_annotator").value or 0)] if people else NOTHING for end in ("low", "high")
    ]
    shown = f"{percent(low.value)} to {percent(high.value)}"
    return Cell(shown, reason=f"without {who[0]}, without {who[1]}", key=reading.key(f"{key}.low"))


def _robustness(reading: Reading, pair: str) -> list[Cell]:
    key = f"{ALL}preference.{pair}.win_rate.half"
    if reading.everything or key not in reading.findings.numbers:
        return []
    return [reading.cell(key, percent)]


def quality_part(reading: Reading) -> Part:
    """Lay out side, length, speed, blinding, repeats, gold and exclusions."""
    blocks: list[Block] = []
    for first, second in reading.pairs:
        blocks.append(_effects(reading, first, second))
    blocks += [_figure(reading), _gold(reading), _exclusions(reading), _plans(reading)]
    lead = (
        "Votes carry side, length and haste; reports rarely say so. Length is compared in code points, as tanh of the "
        "difference over its standard deviation, with the side in one logistic model. The blinding index looks at "
        "guesses that name an arm of the study by its name, its checkpoint's, or how it was made (base, LoRA, full "
        "fine-tuning), with the side it stood on, or, among three arms or more, without. Who recognised a model and "
        "named none is counted as no guess; so is naming one of two arms without its side, which cannot be wrong."
    )
    return Part("quality", "Quality of the judgments", lead, tuple(blocks))


def _effects(reading: Reading, first: str, second: str) -> Block:
    prefix = f"quality.{pair_key(first, second)}"
    of = {"first": first, "second": second}
    lines = [
        ("left side preferred", reading.cell(f"{prefix}.position.left_rate", percent)),
        (f"win rate with {first} left", reading.cell(f"{prefix}.position.when_left", percent)),
        (f"win rate with {first} right", reading.cell(f"{prefix}.position.when_right", percent)),
        ("difference of the two: the position effect", reading.cell(f"{prefix}.position.difference", points)),
        ("left side, in logits at equal length", reading.cell(f"{prefix}.controlled.position", signed)),
        ("longer response, in logits", reading.cell(f"{prefix}.controlled.length", signed)),
        ("longer response preferred", reading.cell(f"{prefix}.controlled.longer", percent)),
        ("faster half less slower half", reading.cell(f"{prefix}.speed.difference", points)),
        ("median active time", reading.cell(f"{prefix}.speed.median_ms", seconds)),
        ("a tenth was faster than", reading.cell(f"{prefix}.speed.tenth_ms", seconds)),
        ("a model recognised", reading.cell(f"{prefix}.recognised", percent, **of, outcome="judged", recognised="yes")),
        ("blinding index (Bang), 0 for chance, 1 for unblinded", reading.cell(f"{prefix}.blinding", signed)),
        *(
            (f"guesses {said}", reading.cell(f"{prefix}.blinding_{name}", whole))
            for name, said in _GUESSES
            if reading.has(f"{prefix}.blinding_{name}")
        ),
        ("judged again by the same person", reading.cell(f"{prefix}.duplicates.repeated", whole)),
        ("of these, agreeing", reading.cell(f"{prefix}.duplicates.agreement", percent)),
    ]
    rows = tuple(Row(head, (cell, reading_n(cell, reading))) for head, cell in lines)
    return Block(f"Side, length, speed: {first} against {second}", ("What", "value", "n"), rows)


def reading_n(cell: Cell, reading: Reading) -> Cell:
    """Write what the number of a cell rests on."""
    n = reading.findings.numbers[cell.key].n
    return words("") if n is None else Cell(whole(n))


def _figure(reading: Reading) -> Block:
    rows = []
    for first, second in reading.pairs:
        prefix, name = f"quality.{pair_key(first, second)}", f"{first}, {second}" if len(reading.pairs) > 1 else ""
        for key, said in (("when_left", "left"), ("when_right", "right")):
            label = f"{name}: {said}" if name else f"{first} {said}"
            rows.append(reading.dot(label, f"{prefix}.position.{key}", percent))
    title = "Win rate of the first arm by its side"
    return Block(chart=dots("sides", title, rows, scale=(0, 1), ticks=_TICKS, reference=0.5))


def _gold(reading: Reading) -> Block:
    gold, end = reading.cell("quality.gold.right", percent), reading.cell("quality.recognised_at_end", percent)
    rows = (
        Row("gold items answered as expected", (gold, reading_n(gold, reading))),
        Row("people who at the end had recognised a model", (end, reading_n(end, reading))),
    )
    return Block("Gold items, and the question at the end", ("Of all annotators", "share", "n"), rows)


def _exclusions(reading: Reading) -> Block:
    rows, at = [], 1
    while reading.has(f"quality.exclusions.{at}.judgments"):
        prefix = f"quality.exclusions.{at}"
        holds = "holds" if reading.get(f"{prefix}.holds").value else "revoked"
        cells = (reading.cell(f"{prefix}.judgments", whole), reading.cell(f"{prefix}.annotators", whole), words(holds))
        rows.append(Row(reading.findings.rules[at - 1].replace("_", " "), cells))
        at += 1
    if not rows:
        return Block(note="No exclusion rule was ever added: every judgment counts.")
    return Block(
        "Exclusion rules, and what each meets by itself", ("Rule", "judgments", "annotators", "state"), tuple(rows)
    )


def _plans(reading: Reading) -> Block:
    rows = []
    for first, second in reading.pairs:
        prefix = f"quality.{pair_key(first, second)}.planning"
        cells = [
            reading.cell(f"{prefix}.half_width_now", half_width),
            reading.cell(f"{prefix}.by_prompts", whole),
            reading.cell(f"{prefix}.prompts", whole),
            reading.cell(f"{prefix}.by_overlap", whole),
            reading.cell(f"{prefix}.per_prompt", plain),
        ]
        rows.append(Row(f"{first} against {second}", tuple(cells)))
    header = ("Planning: for an interval of \N{PLUS-MINUS SIGN}5 points", "half-width now")
    more = ("more judgments, on new prompts", "new prompts", "or more judgments of these prompts", "then per prompt")
    return Block("How many more judgments", (*header, *more), tuple(rows))
