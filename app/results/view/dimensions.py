"""How the rated dimensions read."""

from app.results.charts import dots, multiples
from app.results.report.values import part
from app.results.view.parts import Block, Part, Reading, Row, nice, pair_key, plain, probability, signed, whole

_LEVELS = ("1", "2", "3", "4", "5")


def dimensions_part(reading: Reading) -> Part:
    """Lay out each arm's ratings and what the two arms of a pair differ by."""
    names = reading.findings.dimensions
    lead = (
        "Ratings from 1 to 5 of both responses of a judgment. Differences are first arm less second within judgments; "
        "tests and effect sizes use one mean difference per prompt. p values are two-sided, and adjusted for all of "
        "these tests together by Holm's method."
    )
    if not names:
        return Part("dimensions", "Dimensions", lead, (Block(note="Nothing was rated."),))
    blocks = [_means(reading), *(_paired(reading, *pair) for pair in reading.pairs)]
    blocks += [_panels(reading), *(_figure(reading, *pair) for pair in reading.pairs)]
    return Part("dimensions", "Dimensions", lead, tuple(blocks))


def _title(reading: Reading, name: str) -> str:
    return reading.titles.get(name, name)


def _arms(reading: Reading) -> list[str]:
    return sorted({arm for pair in reading.pairs for arm in pair})


def _means(reading: Reading) -> Block:
    rows = []
    for name in reading.findings.dimensions:
        for arm in _arms(reading):
            prefix = f"dimensions.{part(name)}.{part(arm)}"
            asked = {"rated": arm, "dimension": name}
            levels = [reading.cell(f"{prefix}.level.{level}", whole, **asked, value=level) for level in _LEVELS]
            mean = reading.cell(f"{prefix}.mean", plain, **asked)
            rows.append(Row(f"{_title(reading, name)}: {arm}", (mean, reading.n(f"{prefix}.mean"), *levels)))
    header = ("Dimension and arm", "mean", "n", *(f"rated {level}" for level in _LEVELS))
    return Block("Means and distributions", header, tuple(rows))


def _panels(reading: Reading) -> Block:
    arms = _arms(reading)[:5]
    panels = [
        (
            _title(reading, name),
            [
                [int(reading.get(f"dimensions.{part(name)}.{part(arm)}.level.{at}").value or 0) for at in _LEVELS]
                for arm in arms
            ],
        )
        for name in reading.findings.dimensions
    ]
    return Block(chart=multiples("ratings", "Ratings, as shares of each arm", arms, panels, _LEVELS))


def _paired(reading: Reading, first: str, second: str) -> Block:
    rows = []
    for name in reading.findings.dimensions:
        prefix = f"dimensions.{part(name)}.{pair_key(first, second)}"
        cells = [
            reading.cell(f"{prefix}.difference", signed),
            reading.n(f"{prefix}.difference"),
            *(reading.cell(f"{prefix}.{one}", whole) for one in ("better", "equal", "worse")),
            reading.cell(f"{prefix}.wilcoxon.p", probability),
            reading.cell(f"{prefix}.wilcoxon.p_holm", probability),
            reading.cell(f"{prefix}.rank_biserial", signed),
            reading.cell(f"{prefix}.d_z", signed),
        ]
        rows.append(Row(_title(reading, name), tuple(cells)))
    header = ("Dimension", "difference", "n", "first higher", "equal", "second higher")
    more = ("Wilcoxon p", "p by Holm", "rank biserial", "d_z")
    return Block(f"Ratings: {first} less {second}", (*header, *more), tuple(rows))


def _figure(reading: Reading, first: str, second: str) -> Block:
    pair = pair_key(first, second)
    drawn = [
        reading.dot(_title(reading, name), f"dimensions.{part(name)}.{pair}.difference", signed)
        for name in reading.findings.dimensions
    ]
    reach = nice([0.5, *(abs(end) for one in drawn for end in (one.low, one.high, one.value) if end is not None)])
    ticks = [(at * reach, signed(at * reach) if at else "0") for at in (-1.0, -0.5, 0.0, 0.5, 1.0)]
    at = reading.pairs.index((first, second)) + 1
    name, title = f"differences-{at}", f"Difference in ratings, {first} less {second}"
    return Block(chart=dots(name, title, drawn, scale=(-reach, reach), ticks=ticks, reference=0.0))
