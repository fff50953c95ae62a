"""All findings of a study from its tables: `found(tables)`. Same tables, same numbers, to the last bit."""

from app.results.report.agreement import agreement
from app.results.report.causal import causal
from app.results.report.dimensions import dimensions
from app.results.report.findings import ALL, Findings
from app.results.report.hallucination import hallucination
from app.results.report.pairs import Pair, Section, pairs_of
from app.results.report.preference import preference
from app.results.report.quality import quality
from app.results.report.shifted import shifted
from app.results.report.strata import strata, strata_of
from app.results.report.strengths import strengths
from app.results.report.tables import Tables
from app.results.report.values import Numbers, count

SECTIONS: tuple[Section, ...] = (
    preference,
    strengths,
    dimensions,
    hallucination,
    causal,
    shifted,
    agreement,
    quality,
    strata,
)


def found(tables: Tables) -> Findings:
    """Compute every number of the results page."""
    excluded = tables.judgments.excluded
    counted = tables.keep(~excluded) if excluded.any() else tables
    numbers = _numbers(counted, pairs_of(counted))
    numbers["judgments.all"] = count(len(tables.judgments))
    numbers["judgments.excluded"] = count(int(excluded.sum()))
    everything = pairs_of(tables)
    if excluded.any():
        numbers |= {f"{ALL}{name}": one for name, one in _numbers(tables, everything).items()}
    return Findings(
        arms=tables.arms,
        pairs=tuple((pair.first, pair.second) for pair in everything),
        dimensions=tables.ratings.dimensions,
        types=tables.spans.type.names,
        annotators=tables.judgments.annotator.names,
        rules=tuple(rule.name for rule in tables.rules),
        strata=strata_of(tables),
        numbers=numbers,
    )


def _numbers(tables: Tables, pairs: tuple[Pair, ...]) -> Numbers:
    numbers: Numbers = {}
    for section in SECTIONS:
        numbers |= section(tables, pairs)
    return numbers
