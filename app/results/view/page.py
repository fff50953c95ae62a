"""All sections of the results, in order."""

from collections.abc import Callable

from app.results.charts import Chart
from app.results.report.found import Findings
from app.results.view.agreement import agreement_part
from app.results.view.dimensions import dimensions_part
from app.results.view.hallucination import causal_part, hallucination_part, shift_part
from app.results.view.parts import Part, Reading, pair_key
from app.results.view.preference import preference_part
from app.results.view.quality import quality_part
from app.results.view.strengths import strengths_part

_PARTS: tuple[Callable[[Reading], Part], ...] = (
    preference_part,
    strengths_part,
    dimensions_part,
    hallucination_part,
    causal_part,
    shift_part,
    quality_part,
    agreement_part,
)


def reading_of(
    findings: Findings,
    study_id: str,
    *,
    pair: str = "",
    everything: bool = False,
    base: str = "",
    titles: dict[str, str],
) -> Reading:
    """Read findings as asked: all pairs or one, by its key; excluded judgments too where `everything`."""
    pairs = tuple(one for one in findings.pairs if pair in {"", pair_key(*one)})
    return Reading(findings, study_id, pairs, everything=everything, base=base, titles=titles)


def parts_of(reading: Reading) -> tuple[Part, ...]:
    """Lay out every section; nothing where nothing was judged."""
    return tuple(part(reading) for part in _PARTS) if reading.pairs else ()


def charts_of(parts: tuple[Part, ...]) -> dict[str, Chart]:
    """Index the figures by name."""
    return {block.chart.name: block.chart for part in parts for block in part.blocks if block.chart}
