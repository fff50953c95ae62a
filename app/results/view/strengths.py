"""How the strengths of several arms read."""

from app.results.charts import dots
from app.results.report.values import part
from app.results.view.parts import Block, Part, Reading, Row, chance, fine, nice, plain, signed


def strengths_part(reading: Reading) -> Part:
    """Lay out Bradley-Terry strengths, the chance of each place, and what standing left is worth."""
    arms = [arm for arm in reading.findings.arms if reading.has(f"bradley_terry.{part(arm)}.strength")]
    rows = []
    for arm in arms:
        prefix = f"bradley_terry.{part(arm)}"
        ranks = [reading.cell(f"{prefix}.p_rank.{place}", chance) for place in range(1, len(arms) + 1)]
        cells = [
            reading.cell(f"{prefix}.{name}", write) for name, write in (("strength", fine), ("log_strength", signed))
        ]
        cells.append(reading.cell(f"{prefix}.log_strength_without_position", signed))
        cells.append(reading.cell(f"davidson.{part(arm)}.log_strength", signed))
        rows.append(Row(arm, (*cells, *ranks)))
    fixed = (
        "Arm",
        "strength, sum 1",
        "log-strength, sum 0",
        "log-strength, side taken out",
        "log-strength, ties modelled",
    )
    header = (*fixed, *(f"P(place {place})" for place in range(1, len(arms) + 1)))
    drawn = [reading.dot(arm, f"bradley_terry.{part(arm)}.log_strength", signed) for arm in arms]
    reach = nice([1.0, *(abs(end) for one in drawn for end in (one.low, one.high, one.value) if end is not None)])
    ticks = [(at * reach, signed(at * reach) if at else "0") for at in (-1.0, -0.5, 0.0, 0.5, 1.0)]
    scale = -reach, reach
    figure = dots("strengths", "Bradley-Terry log-strengths", drawn, scale=scale, ticks=ticks, reference=0.0)
    position = Block(
        "What standing left is worth, and how ready people are to call a tie",
        ("All pairs together", "value"),
        (
            Row("position coefficient, log-odds for the left side", (reading.cell("bradley_terry.position", signed),)),
            Row(
                "ties, Davidson's nu: 2 makes half of all answers of equal arms ties",
                (reading.cell("davidson.tie", plain),),
            ),
        ),
    )
    lead = (
        "All pairs together, a tie as half a win each way; intervals and places by a bootstrap over prompts. Beside "
        "them Davidson's model, in which ties are answers of their own. If arms were never compared, or one never "
        "lost, there is no strength, and the reason stands in its place."
    )
    table = Block("Bradley-Terry", header, tuple(rows))
    return Part("strengths", "Strengths", lead, (table, Block(chart=figure), position))
