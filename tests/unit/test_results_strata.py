"""Results by stratum are the results of its judgments alone."""

from app.results.report.found import found
from app.results.report.strata import NONE_GIVEN
from app.results.report.tables import tables_of_rows
from tests.unit.test_results_found import EVIDENCE, PREFERENCES, RATINGS, SPANS, TEXTS

KIND = {"i1": "maths", "i2": ""}


def tables(rows):
    known = {row["presentation_id"] for row in rows}
    others = {"ratings": RATINGS, "hallucinations": SPANS, "evidence": EVIDENCE}
    return tables_of_rows(
        {"preferences": rows}
        | {name: [r for r in some if r["presentation_id"] in known] for name, some in others.items()},
        TEXTS,
    )


def marked(rows=PREFERENCES):
    return [row | {"stratum": KIND[row["item_id"]]} for row in rows]


def test_each_stratum_is_computed_as_if_it_were_alone():
    whole = found(tables(marked()))
    assert whole.strata == (NONE_GIVEN, "maths")
    for item, name in (("i1", "maths"), ("i2", NONE_GIVEN)):
        alone = found(tables([row for row in PREFERENCES if row["item_id"] == item])).numbers
        prefix = f"stratum.{name}."
        ours = {key.removeprefix(prefix): one for key, one in whole.numbers.items() if key.startswith(prefix)}
        sections = ("preference.", "dimensions.", "hallucination.")
        expected = {key: one for key, one in alone.items() if key.startswith(sections)}
        # Holm's adjustment looks at all strata together, and types of spans are named though a stratum has none.
        ours_alone, alike = (
            {key: one for key, one in some.items() if "p_holm" not in key and "type.invented" not in key}
            for some in (ours, expected)
        )
        assert ours_alone == alike
        assert ours.keys() >= expected.keys()


def test_p_values_are_adjusted_over_all_strata():
    numbers = found(tables(marked())).numbers
    tests = [one for key, one in numbers.items() if key.startswith("stratum.") and key.endswith("wilcoxon.p")]
    known = [one for one in tests if one.value is not None]
    adjusted = [one for key, one in numbers.items() if key.startswith("stratum.") and key.endswith("p_holm")]
    assert len(tests) == len(adjusted) == 2
    assert [one.n for one in adjusted if one.value is not None] == [len(known)] * len(known)


def test_a_study_of_one_stratum_has_no_strata():
    for kind in ("", "maths"):
        numbers = found(tables([row | {"stratum": kind} for row in PREFERENCES]))
        assert numbers.strata == ()
        assert not [key for key in numbers.numbers if key.startswith("strat")]


def test_strata_of_one_prompt_each_cannot_be_compared():
    numbers = found(tables(marked())).numbers
    assert numbers["strata.lft~sft.judged"].value == 2
    assert "fewer than two strata" in numbers["strata.lft~sft.q"].reason


def test_a_stratum_whose_judgments_are_all_excluded_has_no_pair():
    rows = [row | ({"excluded": True} if row["item_id"] == "i1" else {}) for row in marked()]
    numbers = found(tables(rows)).numbers
    assert "stratum.maths.preference.lft~sft.n" not in numbers
    assert numbers["all.stratum.maths.preference.lft~sft.n"].value == 3


def test_mcnemars_p_values_are_adjusted_too():
    numbers = found(tables(marked())).numbers
    tests = {k: one.value for k, one in numbers.items() if k.startswith("hallucination.") and ".mcnemar.p." in k}
    adjusted = {k.replace("p_holm", "p"): one for k, one in numbers.items() if k.startswith("hall") and "p_holm" in k}
    known = sorted(value for value in tests.values() if value is not None)
    assert len(tests) == len(adjusted) == 3
    for key, value in tests.items():
        if value is not None:
            rank = known.index(value)
            assert adjusted[key].value >= min(1.0, value * (len(known) - rank))
            assert adjusted[key].n == len(known)
        else:
            assert adjusted[key].value is None
