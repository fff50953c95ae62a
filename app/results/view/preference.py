"""How preferences read."""

from app.results.charts import ENDS, dots, stacked
from app.results.view.parts import NOTHING, Block, Part, Reading, Row, pair_key, percent, signed, whole, words
from app.results.view.quality import beside

_COUNTS = (
    ("wins", "first preferred"),
    ("ties_good", "tie, both good"),
    ("ties_bad", "tie, both bad"),
    ("losses", "second preferred"),
)
_RATES = (
    ("half", "a tie is half a win"),
    ("dropped", "ties dropped"),
    ("davidson", "ties modelled (Davidson)"),
)
_STRENGTHS = ("first_3", "first_2", "first_1", "tie", "second_1", "second_2", "second_3")
_TICKS = tuple((at / 4, f"{25 * at} %") for at in range(5))


def preference_part(reading: Reading) -> Part:
    """Lay out who was preferred, pair by pair."""
    named = [(first, second, pair_key(first, second)) for first, second in reading.pairs]
    blocks = [_counts(reading, named), _rates(reading, named), _bars(reading, named), _figure(reading, named)]
    if not reading.stratum:
        blocks.append(beside(reading))
    blocks.append(_strength(reading, named))
    lead = (
        "Each pair is read from its first arm: above 50 %, the first arm was preferred more often. The interval shown "
        "is the wider of two bootstraps, over prompts and over annotators. Wilson's stands beside them: it takes "
        "judgments as independent, which they are not."
    )
    return Part("preference", "Preference", lead, tuple(blocks))


_Named = list[tuple[str, str, str]]


def _title(first: str, second: str) -> str:
    return f"{first} against {second}"


def _counts(reading: Reading, named: _Named) -> Block:
    rows = []
    for first, second, pair in named:
        prefix, of = f"preference.{pair}", {"first": first, "second": second}
        cells = [
            reading.cell(f"{prefix}.n", whole, **of, outcome="judged"),
            reading.cell(f"{prefix}.wins", whole, **of, outcome="first"),
            reading.cell(f"{prefix}.losses", whole, **of, outcome="second"),
            reading.cell(f"{prefix}.ties_good", whole, **of, outcome="tie_good"),
            reading.cell(f"{prefix}.ties_bad", whole, **of, outcome="tie_bad"),
            reading.cell(f"{prefix}.cannot_judge", whole, **of, outcome="cannot_judge"),
            reading.cell(f"{prefix}.changed", whole, **of, outcome="changed"),
            reading.cell(f"{prefix}.items", whole),
            reading.cell(f"{prefix}.annotators", whole),
        ]
        rows.append(Row(_title(first, second), tuple(cells)))
    header = ("Pair", "judgments", "first preferred", "second preferred", "tie, both good", "tie, both bad")
    more = ("could not judge", "answer changed later", "prompts", "annotators")
    return Block("What was answered", (*header, *more), tuple(rows))


def _bars(reading: Reading, named: _Named) -> Block:
    rows = [
        (_title(first, second), [int(reading.get(f"preference.{pair}.{name}").value or 0) for name, _ in _COUNTS])
        for first, second, pair in named
    ]
    return Block(chart=stacked("answers", "Answers by pair", [title for _, title in _COUNTS], rows, ENDS))


def _rates(reading: Reading, named: _Named) -> Block:
    rows = []
    for first, second, pair in named:
        for name, meaning in _RATES:
            key = f"preference.{pair}.win_rate.{name}"
            shown = reading.cell(key, percent, first=first, second=second, outcome="judged")
            others = [reading.bounds(f"{key}.{by}", percent) for by in ("by_prompt", "by_annotator", "wilson")]
            rows.append(Row(f"{_title(first, second)}: {meaning}", (shown, *others, reading.n(key))))
    header = ("Win rate of the first arm", "shown", "by prompt", "by annotator", "Wilson", "n")
    return Block("Win rates, ties read three ways", header, tuple(rows))


def _figure(reading: Reading, named: _Named) -> Block:
    rows = [
        reading.dot(
            f"{_title(first, second)}" if len(named) > 1 else meaning, f"preference.{pair}.win_rate.{name}", percent
        )
        for first, second, pair in named
        for name, meaning in (_RATES if len(named) == 1 else _RATES[:1])
    ]
    return Block(chart=dots("win-rates", "Win rate of the first arm", rows, scale=(0, 1), ticks=_TICKS, reference=0.5))


def _strength(reading: Reading, named: _Named) -> Block:
    rows = []
    for first, second, pair in named:
        prefix = f"preference.{pair}.strength"
        mean = reading.cell(f"{prefix}.mean", signed)
        counts = [reading.cell(f"{prefix}.{name}", whole) for name in _STRENGTHS if reading.has(f"{prefix}.{name}")]
        rows.append(Row(_title(first, second), (*(counts or [words(NOTHING)] * len(_STRENGTHS)), mean)))
    header = (
        "How strongly",
        "first much",
        "clearly",
        "slightly",
        "tie",
        "second slightly",
        "clearly",
        "much",
        "mean from 3 to \N{MINUS SIGN}3",
    )
    return Block("Strength", header, tuple(rows))
