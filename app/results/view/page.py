"""All sections of the results, in order."""

from collections.abc import Callable
from dataclasses import replace

from app.results.charts import Chart
from app.results.report.findings import Findings
from app.results.view.agreement import agreement_part
from app.results.view.dimensions import dimensions_part
from app.results.view.hallucination import causal_part, hallucination_part, shift_part
from app.results.view.parts import Part, Reading, pair_key
from app.results.view.preference import preference_part
from app.results.view.quality import quality_part
from app.results.view.strata import strata_part
from app.results.view.strengths import strengths_part

_PARTS: tuple[Callable[[Reading], Part], ...] = (
    preference_part,
    strengths_part,
    dimensions_part,
    hallucination_part,
    causal_part,
    shift_part,
    strata_part,
    quality_part,
    agreement_part,
)
# What there is of a stratum by itself.
_OF_STRATUM = (preference_part, dimensions_part, hallucination_part)


def reading_of(
    findings: Findings,
    study_id: str,
    *,
    pair: str = "",
    everything: bool = False,
    base: str = "",
    titles: dict[str, str],
    stratum: str = "",
) -> Reading:
    """Read findings as asked: all pairs or one, by its key; excluded judgments too where `everything`.

    Of a stratum there are the pairs that were judged in it; of one that is unknown there is none.
    """
    pairs = tuple(one for one in findings.pairs if pair in {"", pair_key(*one)})
    reading = Reading(findings, study_id, pairs, everything=everything, base=base, titles=titles, stratum=stratum)
    judged = tuple(one for one in pairs if reading.has(f"preference.{pair_key(*one)}.n"))
    return replace(reading, pairs=judged) if stratum else reading


def parts_of(reading: Reading) -> tuple[Part, ...]:
    """Lay out every section; nothing where nothing was judged."""
    parts = (part(reading) for part in (_OF_STRATUM if reading.stratum else _PARTS)) if reading.pairs else ()
    return tuple(part for part in parts if part.blocks)


def charts_of(parts: tuple[Part, ...]) -> dict[str, Chart]:
    """Index the figures by name."""
    return {block.chart.name: block.chart for part in parts for block in part.blocks if block.chart}
