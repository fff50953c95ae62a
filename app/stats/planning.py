"""How many more judgments a win rate needs, from how much its prompts and judgments vary now."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from app.stats.clusters import cluster_sums
from app.stats.estimate import Floats, labels, scores

_TAIL = 0.975
_MOST_PROMPTS = 10_000_000


@dataclass(frozen=True, slots=True)
class Plan:
    """What a 95 % interval of +- `half_width` takes; `now` is the half-width of what there is.

    `by_prompts` judgments more, on `prompts` new prompts judged as often as now, or `by_overlap` judgments more on the
    prompts there are, each then judged `per_prompt` times; None where no number of judgments of the same prompts is
    enough, which `overlap_reason` says. `reason` says why nothing can be planned.
    """

    half_width: float
    now: float | None
    by_prompts: int | None
    prompts: int | None
    by_overlap: int | None
    per_prompt: float | None
    overlap_reason: str = ""
    reason: str = ""


def more_judgments(first_scores: ArrayLike, items: ArrayLike, *, half_width: float = 0.05) -> Plan:
    """Plan from the variance between prompts, and within them, of the scores seen so far.

    Raises ValueError for a half-width that is not between 0 and 0.5.
    """
    if not 0 < half_width < 0.5:  # noqa: PLR2004  an interval of +- 0.5 is everything
        raise ValueError(f"half_width is {half_width:g}; give a number between 0 and 0.5.")
    column = scores("scores", first_scores)
    item = labels("items", items, len(column))
    sums = cluster_sums(item, column, np.ones(len(column)), column**2) if len(column) else np.zeros((0, 3))
    reason = _reason(sums)
    if reason:
        return Plan(half_width, None, None, None, None, None, reason=reason)
    prompts, n = len(sums), float(sums[:, 1].sum())
    rate = float(sums[:, 0].sum() / n)
    rest = sums[:, 0] - rate * sums[:, 1]
    spread = float(np.sort(rest**2).sum() * prompts / (prompts - 1) / n**2)
    now = float(stdtrit(prompts - 1, _TAIL)) * float(np.sqrt(spread))
    wanted = _prompts(spread * prompts, half_width)
    overlap, each, why = _overlap(sums, half_width)
    more = max(0, wanted - prompts)
    return Plan(half_width, now, int(np.ceil(more * n / prompts)), more, overlap, each, why)


def _reason(sums: Floats) -> str:
    if not len(sums):
        return "no data"
    if len(sums) == 1:
        return "one prompt: how much prompts vary is not known yet"
    rate = sums[:, 0].sum() / sums[:, 1].sum()
    if np.abs(sums[:, 0] - rate * sums[:, 1]).max() <= 1e-12:  # noqa: PLR2004  nothing but rounding is left
        return "prompts do not vary yet, so nothing says how many would be enough"
    return ""


def _prompts(each: float, half_width: float) -> int:
    """Find how many prompts of variance `each` give the half-width; t shrinks as they grow."""
    low, high = 2, _MOST_PROMPTS
    while low < high:
        middle = (low + high) // 2
        if stdtrit(middle - 1, _TAIL) * np.sqrt(each / middle) <= half_width:
            high = middle
        else:
            low = middle + 1
    return low


def _overlap(sums: Floats, half_width: float) -> tuple[int | None, float | None, str]:
    """Split the variance into between and within prompts, and ask for more judgments of each prompt."""
    prompts, size = len(sums), sums[:, 1]
    n = float(size.sum())
    if n == prompts:
        return None, None, "every prompt was judged once: how much judgments of a prompt vary is not known yet"
    within = float(np.sort(sums[:, 2] - sums[:, 0] ** 2 / size).sum()) / (n - prompts)
    usual = (n - float((size**2).sum()) / n) / (prompts - 1)
    rate = float(sums[:, 0].sum() / n)
    among = float(np.sort(size * (sums[:, 0] / size - rate) ** 2).sum()) / (prompts - 1)
    between = max(0.0, (among - within) / usual)
    t = float(stdtrit(prompts - 1, _TAIL))
    room = (half_width / t) ** 2 * prompts - between
    if room <= 0:
        floor = t * float(np.sqrt(between / prompts))
        return None, None, f"{prompts:,} prompts alone leave ±{100 * floor:.1f} points, however often each is judged"
    each = within / room
    return max(0, int(np.ceil(each * prompts - n))), max(each, n / prompts), ""
