"""How agreement reads."""

from app.results.charts import dots
from app.results.report.agreement import LEAST_SHARED, MOST_PEOPLE
from app.results.report.values import part
from app.results.view.parts import NOTHING, Block, Cell, Part, Reading, Row, fine, pair_key, percent, whole

_SPREAD = ("median", "lowest", "tenth", "ninetieth", "highest")
_TICKS = ((0.0, "0"), (0.25, "0.25"), (0.5, "0.5"), (0.75, "0.75"), (1.0, "1"))


def agreement_part(reading: Reading) -> Part:
    """Lay out alpha per question, agreement of pairs of judgments, kappa of pairs of people, and of spans."""
    lead = (
        "Krippendorff's alpha: 1 is full agreement, 0 what chance would give, below 0 worse. Nominal for preferences, "
        "ordinal and interval for ratings; intervals draw prompts. What is rated nearly always alike has a low alpha "
        "however much people agree, so the distribution of labels stands beside it."
    )
    blocks = [_alphas(reading), _figure(reading), _pairs(reading), _kappas(reading), _spans(reading)]
    return Part("agreement", "Agreement", lead, tuple(blocks))


def _questions(reading: Reading) -> list[tuple[str, str, str]]:
    """List what was asked: its words, its keys' prefix, and the level that is shown first."""
    found = [
        (f"preference, {first} against {second}", f"agreement.preference.{pair_key(first, second)}", "nominal")
        for first, second in reading.pairs
    ]
    found += [
        (reading.titles.get(name, name), f"agreement.dimensions.{part(name)}", "ordinal")
        for name in reading.findings.dimensions
    ]
    return [*found, ("acceptability", "agreement.acceptability", "nominal")]


def _alphas(reading: Reading) -> Block:
    rows = []
    for said, prefix, level in _questions(reading):
        second = f"{prefix}.alpha_interval"
        cells = [
            reading.cell(f"{prefix}.alpha_{level}", fine),
            reading.cell(second, fine) if reading.has(second) else Cell(NOTHING),
            reading.cell(f"{prefix}.n_pairable", whole),
            reading.cell(f"{prefix}.units", whole),
            Cell(_labels(reading, prefix)),
        ]
        rows.append(Row(f"{said} ({level})", tuple(cells)))
    header = ("Question", "alpha", "alpha, interval", "pairable values", "units", "labels and how often")
    return Block("Krippendorff's alpha", header, tuple(rows))


def _labels(reading: Reading, prefix: str) -> str:
    meaning = {"1": "first", "0": "tie", "-1": "second"} if "preference" in prefix else {}
    meaning = {"1": "yes", "0": "no"} if "acceptability" in prefix else meaning
    counted = []
    for label in ("-1", "0", "1", "2", "3", "4", "5"):
        if reading.has(f"{prefix}.label.{label}"):
            times = whole(reading.get(f"{prefix}.label.{label}").value or 0)
            counted.append(f"{meaning.get(label, label)}: {times}")
    return ", ".join(counted) or NOTHING


def _figure(reading: Reading) -> Block:
    rows = [reading.dot(said, f"{prefix}.alpha_{level}", fine) for said, prefix, level in _questions(reading)]
    low = min([0.0, *(one.low if one.low is not None else one.value or 0.0 for one in rows)])
    ticks = ((low, fine(low)), *_TICKS) if low < -0.1 else _TICKS  # noqa: PLR2004  closer, the labels would touch
    return Block(chart=dots("alphas", "Krippendorff's alpha", rows, scale=(low, 1.0), ticks=ticks, reference=0.0))


def _pairs(reading: Reading) -> Block:
    rows = []
    for first, second in reading.pairs:
        prefix = f"agreement.preference.{pair_key(first, second)}"
        cells = [reading.cell(f"{prefix}.{name}", percent) for name in ("strict", "relaxed")]
        rows.append(Row(f"{first} against {second}", (*cells, reading.cell(f"{prefix}.pairs", whole))))
    header = ("Two judgments of one prompt", "the same answer", "not opposite (a tie agrees with either)", "pairs")
    return Block("Agreement of pairs of judgments", header, tuple(rows))


def _kappas(reading: Reading) -> Block:
    rows = []
    for first, second in reading.pairs:
        prefix = f"agreement.preference.{pair_key(first, second)}.kappa"
        cells = [reading.cell(f"{prefix}.{name}", fine) for name in _SPREAD]
        counts = [reading.cell(f"{prefix}.{name}", whole) for name in ("pairs", "people")]
        rows.append(Row(f"{first} against {second}", (*cells, *counts)))
        people = reading.findings.annotators
        for at, one in enumerate(people):
            for other in people[at + 1 :]:
                key = f"{prefix}.{part(one)}~{part(other)}"
                if reading.has(key):
                    nothing = [Cell(NOTHING)] * (len(_SPREAD) - 1)
                    rows.append(
                        Row(f"{one} and {other}", (reading.cell(key, fine), *nothing, reading.n(key), Cell("2")))
                    )
    header = ("Cohen's kappa of two annotators", "median, or value", "lowest", "a tenth is below", "a tenth is above")
    more = ("highest", "pairs, or shared prompts", "annotators")
    note = f"With more than {MOST_PEOPLE} annotators, of those {MOST_PEOPLE} who judged most; alpha holds all of them."
    caption = f"Kappa, where two share {LEAST_SHARED} prompts or more"
    return Block(
        caption, (*header, *more), tuple(rows), note=note if len(reading.findings.annotators) > MOST_PEOPLE else ""
    )


def _spans(reading: Reading) -> Block:
    cells = [reading.cell(f"agreement.spans.{name}", fine) for name in ("alpha", "f1")]
    more = [("marked", percent), ("responses", whole)]
    cells += [
        reading.cell(f"agreement.spans.{name}", write) if reading.has(f"agreement.spans.{name}") else Cell(NOTHING)
        for name, write in more
    ]
    header = ("Which characters are marked", "alpha, nominal", "F1 of two annotators", "share marked", "responses")
    return Block("Agreement on spans", header, (Row("every code point a unit", tuple(cells)),))
