"""Judgments in the formats of other tools. Pure: judgments with their texts in, lines of a file out."""

from collections.abc import Sequence

from app.results.formats.alpaca_eval import alpaca_eval
from app.results.formats.base import Format
from app.results.formats.battles import ARENA, COMPARISONS, EVALICA
from app.results.formats.label_studio import JSON_MIN
from app.results.formats.llm_comparator import llm_comparator
from app.results.formats.trl import CONVERSATIONAL, PREFERENCE, UNPAIRED


def formats_for(study: str, pairs: Sequence[tuple[str, str]]) -> list[Format]:
    """List every format of a study called `study`; each of `pairs` names its arms in alphabetical order."""
    compared = [llm_comparator(at, *pair, source=study) for at, pair in enumerate(pairs, start=1)]
    return [PREFERENCE, CONVERSATIONAL, UNPAIRED, ARENA, alpaca_eval(study), JSON_MIN, *compared, EVALICA, COMPARISONS]
