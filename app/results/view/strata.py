"""How the results of several strata of prompts read beside each other."""

from app.results.charts import dots
from app.results.report.strata import prefix_of
from app.results.report.values import part
from app.results.view.parts import (
    NOTHING,
    Block,
    Cell,
    Part,
    Reading,
    Row,
    fine,
    pair_key,
    percent,
    points,
    probability,
    signed,
    whole,
)

_TICKS = tuple((at / 4, f"{25 * at} %") for at in range(5))


def strata_part(reading: Reading) -> Part:
    """Lay out each pair's win rate, ratings and marked spans by stratum, and whether the win rates differ."""
    names = reading.findings.strata
    if not names:
        return Part("strata", "Strata", "", ())
    numbers = (2 + len(reading.findings.dimensions)) * len(names) * len(reading.pairs)
    lead = (
        f"The prompts come in {len(names)} strata, and each number here is of one of them alone. That is {numbers:,} "
        "intervals, none of which is adjusted for being many: of twenty true ones about one misses, and to pick the "
        "stratum that stands out is to pick chance. Whether the strata differ at all is asked once per pair by "
        "Cochran's Q; without an answer there, read the differences between strata as noise. p values of ratings, "
        "shown for a stratum chosen above, are adjusted by Holm over all strata, dimensions and pairs."
    )
    blocks = [*(_rates(reading, *pair) for pair in reading.pairs), *(_figure(reading, *pair) for pair in reading.pairs)]
    return Part("strata", "Strata", lead, (_differ(reading), *blocks))


def _differ(reading: Reading) -> Block:
    rows = []
    for first, second in reading.pairs:
        prefix = f"strata.{pair_key(first, second)}"
        cells = [
            reading.cell(f"{prefix}.{name}", write)
            for name, write in (("q", fine), ("p", probability), ("i2", percent))
        ]
        rows.append(Row(f"{first} against {second}", (*cells, reading.n(f"{prefix}.q"))))
    header = (
        "Do the win rates differ between strata?",
        "Q",
        "p",
        "of the variation, more than chance",
        "strata compared",
    )
    return Block("Differences between strata", header, tuple(rows))


def _rates(reading: Reading, first: str, second: str) -> Block:
    pair, rows = pair_key(first, second), []
    for name in reading.findings.strata:
        prefix = prefix_of(name)
        if not reading.has(f"{prefix}preference.{pair}.n"):
            rows.append(Row(name, (Cell(NOTHING),) * (4 + len(reading.findings.dimensions))))
            continue
        of = {"first": first, "second": second, "stratum": name, "outcome": "judged"}
        cells = [
            reading.cell(f"{prefix}preference.{pair}.items", whole),
            reading.cell(f"{prefix}preference.{pair}.n", whole, **of),
            reading.cell(f"{prefix}preference.{pair}.win_rate.half", percent, **of),
            reading.cell(f"{prefix}hallucination.{pair}.difference.any", points, **of),
            *(
                reading.cell(f"{prefix}dimensions.{part(one)}.{pair}.difference", signed, **of)
                for one in reading.findings.dimensions
            ),
        ]
        rows.append(Row(name, tuple(cells)))
    titles = [reading.titles.get(one, one).lower() for one in reading.findings.dimensions]
    header = ("Stratum", "prompts", "judgments", f"win rate of {first}", "responses with a span, difference", *titles)
    return Block(f"By stratum: {first} against {second}", header, tuple(rows))


def _figure(reading: Reading, first: str, second: str) -> Block:
    pair = pair_key(first, second)
    drawn = [
        reading.dot(name, f"{prefix_of(name)}preference.{pair}.win_rate.half", percent)
        for name in reading.findings.strata
        if reading.has(f"{prefix_of(name)}preference.{pair}.n")
    ]
    at, title = reading.pairs.index((first, second)) + 1, f"Win rate of {first} against {second} by stratum"
    return Block(chart=dots(f"strata-{at}", title, drawn, scale=(0, 1), ticks=_TICKS, reference=0.5))
