"""What else may lie behind a preference, pair by pair: side, length, haste, single people, blinding, exclusions."""

import numpy as np
from numpy.typing import NDArray

from app.results.report.coded import Ints, used
from app.results.report.guesses import Guess, pattern_of, read_guess, terms_of, verdict
from app.results.report.pairs import Pair, number, put
from app.results.report.preference import clustered, rate
from app.results.report.sides import sides_of
from app.results.report.tables import Tables
from app.results.report.values import Number, Numbers, count, undefined
from app.stats.controlled import controlled
from app.stats.effects import LeaveOneOut, blinding_index, duplicates, leave_one_out, position_effect, speed
from app.stats.planning import Plan, more_judgments
from app.stats.preference import win_rate
from app.stats.rates import Share, share

HALF_WIDTH = 0.05
NOT_ASKED = "the study does not ask whether a model was recognised"

Floats = NDArray[np.float64]


def quality(tables: Tables, pairs: tuple[Pair, ...]) -> Numbers:
    """Find `quality.<pair>.*`, `quality.gold.*` and `quality.exclusions.*`."""
    numbers: Numbers = {}
    lengths = sides_of(tables).characters.reshape(-1, 2)
    for pair in pairs:
        prefix = f"quality.{pair.key}"
        _position(numbers, prefix, pair)
        _length(numbers, prefix, pair, lengths[pair.rows].astype(np.float64))
        _speed(numbers, prefix, tables, pair)
        _people(numbers, prefix, tables, pair)
        _recognised(numbers, prefix, tables, pair)
        _blinding(numbers, prefix, tables, pair)
        _repeated(numbers, prefix, tables, pair)
        _plan(numbers, prefix, more_judgments(pair.score, pair.items, half_width=HALF_WIDTH))
    _gold(numbers, tables)
    _at_end(numbers, tables)
    for at, rule in enumerate(tables.rules, start=1):
        put(
            numbers,
            f"quality.exclusions.{at}",
            judgments=count(rule.judgments),
            annotators=count(rule.annotators),
            holds=count(int(rule.holds)),
        )
    return numbers


def _position(numbers: Numbers, prefix: str, pair: Pair) -> None:
    one = position_effect(pair.score, pair.first_is_left.astype(np.float64), pair.items, pair.annotators)
    for name in ("left_rate", "when_left", "when_right", "difference", "adjusted"):
        clustered(numbers, f"{prefix}.position.{name}", getattr(one, name))
    numbers[f"{prefix}.position.first_left"] = count(np.count_nonzero(pair.first_is_left))


def _length(numbers: Numbers, prefix: str, pair: Pair, lengths: Floats) -> None:
    known = (lengths > 0).all(axis=1)
    names = ("position", "length", "win_rate")
    if not known.any():
        reason = "no judged pair has both its texts stored"
        for name in (*names, "longer"):
            numbers[f"{prefix}.controlled.{name}"] = undefined(reason, 0)
        return
    left = np.where(pair.first_is_left, 0, 1)[known]
    scores = np.where(pair.first_is_left, pair.score, 1 - pair.score)[known]
    one = controlled(
        (pair.first, pair.second),
        left,
        1 - left,
        scores,
        lengths[known, 0],
        lengths[known, 1],
        used(pair.items[known]),
        used(pair.annotators[known]),
    )
    for name in names:
        clustered(numbers, f"{prefix}.controlled.{name}", getattr(one, name))
    put(numbers, prefix, **{"controlled.longer": one.longer})


def _speed(numbers: Numbers, prefix: str, tables: Tables, pair: Pair) -> None:
    taken = tables.judgments.active_ms[pair.rows]
    known = taken >= 0
    if len(known) and not known.any():
        for name in ("faster", "slower", "difference", "median_ms", "tenth_ms", "ninetieth_ms"):
            numbers[f"{prefix}.speed.{name}"] = undefined("no judgment tells how long it took", 0)
        return
    one = speed(taken[known], pair.score[known], used(pair.items[known]), used(pair.annotators[known]))
    for name in ("faster", "slower", "difference"):
        clustered(numbers, f"{prefix}.speed.{name}", getattr(one, name))
    for name in ("median_ms", "tenth_ms", "ninetieth_ms"):
        value = getattr(one, name)
        numbers[f"{prefix}.speed.{name}"] = undefined("no data") if value is None else Number(value, n=int(known.sum()))


def _people(numbers: Numbers, prefix: str, tables: Tables, pair: Pair) -> None:
    codes = tables.judgments.annotator.codes[pair.rows]
    one = leave_one_out(pair.score, codes)
    _left_out(numbers, f"{prefix}.leave_one_out", one)


def _left_out(numbers: Numbers, prefix: str, one: LeaveOneOut) -> None:
    """Add the range, and who is left out at its ends: the place of their pseudonym among all, in alphabetical order."""
    for name, value, who in (("low", one.low, one.without_low), ("high", one.high, one.without_high)):
        numbers[f"{prefix}.{name}"] = undefined(one.reason) if value is None else Number(value)
        numbers[f"{prefix}.{name}_annotator"] = undefined(one.reason) if who is None else Number(who)


def _recognised(numbers: Numbers, prefix: str, tables: Tables, pair: Pair) -> None:
    knew = tables.judgments.recognised[pair.rows]
    if not tables.asked.recognised:
        numbers[f"{prefix}.recognised"] = undefined(NOT_ASKED)
        numbers[f"{prefix}.win_rate_unrecognised"] = undefined(NOT_ASKED)
        return
    _share(numbers, f"{prefix}.recognised", share(knew, pair.items, pair.annotators))
    kept = ~knew
    if not kept.any():
        numbers[f"{prefix}.win_rate_unrecognised"] = undefined("a model was recognised in every judgment", 0)
        return
    rest = win_rate(pair.score[kept], used(pair.items[kept]), used(pair.annotators[kept]))
    rate(numbers, f"{prefix}.win_rate_unrecognised", rest)


def _blinding(numbers: Numbers, prefix: str, tables: Tables, pair: Pair) -> None:
    """Add Bang's index of what was guessed; who recognised a model and names none has not guessed."""
    if not tables.asked.recognised:
        numbers[f"{prefix}.blinding"] = undefined(NOT_ASKED)
        return
    knew = tables.judgments.recognised[pair.rows]
    said, shown = _verdicts(tables, pair, knew)
    several = max(2, len(tables.arms))
    one = blinding_index(said, pair.annotators, arms=several, shown=shown)
    unclear = int(np.count_nonzero(knew & (said == 0)))
    index = number(one.shown)
    if knew.any() and not said.any():
        told = f"{unclear:,} judgment{'s say' if unclear > 1 else ' says'} that a model was recognised"
        index = undefined(f"{told}, and no guess names an arm that it could miss", 0)
    numbers[f"{prefix}.blinding"] = index
    put(
        numbers,
        prefix,
        blinding_right=count(one.right),
        blinding_wrong=count(one.wrong),
        blinding_unclear=count(unclear),
        blinding_unsure=count(one.unsure - unclear),
    )


def _verdicts(tables: Tables, pair: Pair, knew: NDArray[np.bool_]) -> tuple[Ints, Ints]:
    """Judge every guess of a pair's judgments; each text is read once for either order of the two arms."""
    terms = terms_of(tables.arms, tables.texts)
    pattern = pattern_of(terms)
    read = [read_guess(text, terms, pattern) for text in tables.judgments.guess.names] or [Guess()]
    orders = (pair.second, pair.first), (pair.first, pair.second)
    worth = np.asarray([[verdict(one, *order, len(tables.arms)) for one in read] for order in orders], np.int64)
    found = worth[pair.first_is_left.astype(np.int64), tables.judgments.guess.codes[pair.rows]]
    return np.where(knew, found[:, 0], 0), np.where(knew, found[:, 1], 1)


def _at_end(numbers: Numbers, tables: Tables) -> None:
    """Add the share of annotators who said at the end that they had recognised a model."""
    said = [knew for _, knew in sorted(tables.recognised.items()) if knew is not None]
    if not said:
        numbers["quality.recognised_at_end"] = undefined("nobody was asked at the end, or nobody answered", 0)
        return
    who = np.arange(len(said))
    _share(numbers, "quality.recognised_at_end", share(np.asarray(said, np.float64), who, who))


def _share(numbers: Numbers, prefix: str, one: Share) -> None:
    numbers[prefix] = number(one.shown)
    put(numbers, prefix, found=count(one.found), wilson=one.wilson, by_annotator=one.by_annotator)


def _repeated(numbers: Numbers, prefix: str, tables: Tables, pair: Pair) -> None:
    """Count judgments by one person of one prompt's text twice, be it one item or two."""
    people = tables.judgments.annotator.codes[pair.rows]
    prompts = tables.judgments.prompt.codes[pair.rows]
    first, second = np.zeros(len(pair.rows), np.int64), np.ones(len(pair.rows), np.int64)
    one = duplicates(people, prompts, first, second, pair.score)
    put(
        numbers,
        f"{prefix}.duplicates",
        repeated=count(one.repeated),
        groups=count(one.groups),
        agreement=one.agreement.strict,
    )


def _plan(numbers: Numbers, prefix: str, plan: Plan) -> None:
    now = undefined(plan.reason) if plan.now is None else Number(plan.now)
    numbers[f"{prefix}.planning.half_width_now"] = now
    for name in ("by_prompts", "prompts"):
        value = getattr(plan, name)
        numbers[f"{prefix}.planning.{name}"] = undefined(plan.reason) if value is None else count(value)
    why = plan.overlap_reason or plan.reason
    for name in ("by_overlap", "per_prompt"):
        value = getattr(plan, name)
        numbers[f"{prefix}.planning.{name}"] = undefined(why) if value is None else Number(value)


def _gold(numbers: Numbers, tables: Tables) -> None:
    asked = sum(one[0] for one in tables.gold.values())
    if not asked:
        numbers["quality.gold.right"] = undefined("no gold item was judged", 0)
        return
    people, right = [], []
    for at, pid in enumerate(sorted(tables.gold)):
        times, hits = tables.gold[pid]
        people += [at] * times
        right += [1.0] * hits + [0.0] * (times - hits)
    who = np.asarray(people, np.int64)
    _share(numbers, "quality.gold.right", share(np.asarray(right), who, who))
