"""Bradley-Terry strengths of several arms from judgments of pairs, with intervals by prompt and P(rank); Elo beside."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from app.stats import bt_fit
from app.stats.bootstrap import DRAWS, SEED
from app.stats.clusters import cell_sums, draw_sums, grouped, interval
from app.stats.estimate import Estimate, Floats, Ints, labels, scores, undefined

_SAME = 1e-9
_MOST_REGULARISED = 0.1


@dataclass(frozen=True, slots=True)
class BradleyTerry:
    """Strengths of the arms, in the order of `names`.

    `strengths` sum to 1, `log_strengths` to 0; `p_rank[i][r]` is the share of draws in which arm i came in place r + 1.
    `position` is the advantage of standing left, in logits, fitted together with the strengths; `adjusted` are the
    log-strengths of that fit. `regularised` of the draws were separated and got a tenth of a tie between arms that met;
    where these are more than a tenth there is no interval. Where the comparisons cannot tell, `reason` says why:
    `parts` names the groups never compared with one another, `undefeated` and `winless` who never lost or won.
    """

    names: tuple[str, ...]
    strengths: tuple[Estimate, ...]
    log_strengths: tuple[Estimate, ...]
    p_rank: tuple[tuple[float, ...], ...]
    position: Estimate
    adjusted: tuple[float, ...]
    parts: tuple[tuple[str, ...], ...]
    undefeated: tuple[str, ...]
    winless: tuple[str, ...]
    n: int
    regularised: int = 0
    reason: str = ""


def win_table(left: Ints, right: Ints, left_scores: Floats, arms: int) -> Floats:
    """Count wins `[arms, arms]`, winners in rows; a tie is half a win each way."""
    table = np.zeros((arms, arms))
    np.add.at(table, (left, right), left_scores)
    np.add.at(table, (right, left), 1 - left_scores)
    return table


def average_win_rates(wins: Floats) -> tuple[float, ...]:
    """Give each arm's mean win rate over the opponents it met, each counting alike, as evalica does."""
    met = wins + wins.T
    rates = np.divide(wins, met, out=np.zeros_like(wins), where=met > 0)
    return tuple((rates.sum(axis=1) / np.maximum((met > 0).sum(axis=1), 1)).tolist())


def bradley_terry(
    names: Sequence[str],
    left: ArrayLike,
    right: ArrayLike,
    left_scores: ArrayLike,
    items: ArrayLike,
    *,
    draws: int = DRAWS,
    seed: int = SEED,
) -> BradleyTerry:
    """Fit strengths to judgments: `left` and `right` number the arms shown, `left_scores` is 1, 0.5 or 0 for the left.

    Intervals and P(rank) draw whole prompts (`items`). Raises ValueError for an arm outside `names` or against itself.
    """
    column = scores("left_scores", left_scores)
    one, other = _arms("left", left, len(names), len(column)), _arms("right", right, len(names), len(column))
    prompt = labels("items", items, len(column))
    same = np.flatnonzero(one == other)
    if same.size:
        raise ValueError(f"row {same[0]} compares {names[one[same[0]]]} with itself.")
    if not len(column):
        return _refused(names, bt_fit.graph_of(np.zeros((len(names), len(names)))), 0, "no data")
    cells, sums = _cell_sums(one, other, column, prompt, len(names))
    left_wins, right_wins = _tables(cells, sums.sum(axis=0)[None], len(names))
    graph = bt_fit.graph_of(left_wins[0] + right_wins[0].T)
    reason = in_words(graph, names)
    if reason:
        return _refused(names, graph, len(column), reason)
    return _fitted(names, cells, sums, len(column), draws=draws, seed=seed)


def _arms(name: str, column: ArrayLike, arms: int, rows: int) -> Ints:
    found = labels(name, column, rows)
    if rows and int(found.max()) >= arms:
        raise ValueError(f"{name} is {found.max()} in row {int(found.argmax())}; the {arms} arms are numbered from 0.")
    return found


def _cell_sums(left: Ints, right: Ints, column: Floats, items: Ints, arms: int) -> tuple[Ints, Floats]:
    """Add up each prompt's scores in each pair of sides that occurs: `[prompts, 2 * cells]`, left's scores first."""
    place = left * arms + right
    seen = np.bincount(place, minlength=arms * arms) > 0
    cells = np.flatnonzero(seen)
    return cells, cell_sums(items, (np.cumsum(seen) - 1)[place], len(cells), column, 1 - column)


def _tables(cells: Ints, sums: Floats, arms: int) -> tuple[Floats, Floats]:
    """Spread sums `[draws, 2 * cells]` over tables `[draws, arms, arms]` of left's and right's wins."""
    half = len(cells)
    tables = np.zeros((2, len(sums), arms * arms))
    tables[0][:, cells], tables[1][:, cells] = sums[:, :half], sums[:, half:]
    return tables[0].reshape(-1, arms, arms), tables[1].reshape(-1, arms, arms)


def in_words(graph: bt_fit.Graph, names: Sequence[str]) -> str:
    """Say why a graph of comparisons gives no strengths; empty where it does."""
    if graph.fits:
        return ""
    if len(graph.parts) > 1:
        groups = " and ".join("{" + ", ".join(names[at] for at in part) + "}" for part in graph.parts)
        return f"disconnected: no comparison links {groups}"
    sides = [
        f"{', '.join(names[at] for at in group)} never {what}"
        for group, what in ((graph.undefeated, "lost to the others"), (graph.winless, "won against the others"))
        if group
    ]
    return f"separated: {' and '.join(sides)}, so no finite strength tells how far apart they are"


def _refused(names: Sequence[str], graph: bt_fit.Graph, n: int, reason: str) -> BradleyTerry:
    none = tuple(undefined(reason, n) for _ in names)
    parts = tuple(tuple(names[at] for at in part) for part in graph.parts)
    undefeated = tuple(names[at] for at in graph.undefeated)
    winless = tuple(names[at] for at in graph.winless)
    return BradleyTerry(
        tuple(names), none, none, (), undefined(reason, n), (), parts, undefeated, winless, n, 0, reason
    )


def _fitted(names: Sequence[str], cells: Ints, sums: Floats, n: int, *, draws: int, seed: int) -> BradleyTerry:
    arms, prompts = len(names), len(sums)
    whole = _tables(cells, sums.sum(axis=0)[None], arms)
    log = bt_fit.fit(*whole, position=False)[0][0]
    beside, place = bt_fit.fit(*whole, position=True)
    drawn, places, extra = np.zeros((0, arms)), np.zeros(0), 0
    if prompts > 1:
        tables = _tables(cells, draw_sums(grouped(sums, seed), draws=draws, seed=seed), arms)
        drawn, _, extra = bt_fit.fit_draws(*tables, position=False)
        places = bt_fit.fit_draws(*tables, position=True)[1]
    known = np.where(extra > _MOST_REGULARISED * draws, np.nan, drawn)
    if np.isfinite(place[0]):
        position = interval(float(place[0]), places, prompts, n)
    else:
        position = undefined("position cannot be told apart from the strengths: too few arms changed sides", n)
    adjusted = tuple(beside[0].tolist()) if np.isfinite(place[0]) else ()
    return BradleyTerry(
        tuple(names),
        tuple(interval(float(soft(log)[at]), soft(known)[:, at], prompts, n) for at in range(arms)),
        tuple(interval(float(log[at]), known[:, at], prompts, n) for at in range(arms)),
        p_rank(drawn),
        position,
        adjusted,
        (tuple(names),),
        (),
        (),
        n,
        extra,
    )


def soft(log_strengths: Floats) -> Floats:
    """Turn log-strengths into strengths that sum to 1."""
    weight = np.exp(log_strengths - log_strengths.max(axis=-1, keepdims=True))
    return np.asarray(weight / weight.sum(axis=-1, keepdims=True))


def p_rank(drawn: Floats) -> tuple[tuple[float, ...], ...]:
    """Share of draws `[draws, arms]` in which each arm takes each place; equal strengths share their places."""
    if not len(drawn):
        return ()
    arms = drawn.shape[1]
    apart = drawn[:, None, :] - drawn[:, :, None]
    ahead = (apart > _SAME).sum(axis=2)
    level = (np.abs(apart) <= _SAME).sum(axis=2)
    place = np.arange(arms)
    inside = (place >= ahead[..., None]) & (place < (ahead + level)[..., None])
    shares = (inside / level[..., None]).mean(axis=0)
    return tuple(tuple(row) for row in shares.tolist())


def elo(
    arms: int,
    left: ArrayLike,
    right: ArrayLike,
    left_scores: ArrayLike,
    *,
    k: float = 4.0,
    initial: float = 1000.0,
    scale: float = 400.0,
) -> tuple[float, ...]:
    """Rate arms by Elo, judgment by judgment; unlike all else here it depends on the order of the rows."""
    column = scores("left_scores", left_scores)
    one, other = _arms("left", left, arms, len(column)), _arms("right", right, arms, len(column))
    rating = [initial] * arms
    for a, b, score in zip(one.tolist(), other.tolist(), column.tolist(), strict=True):
        gain = k * (score - 1 / (1 + 10 ** ((rating[b] - rating[a]) / scale)))
        rating[a] += gain
        rating[b] -= gain
    return tuple(rating)
