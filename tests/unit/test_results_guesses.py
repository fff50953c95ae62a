"""Guesses at who wrote a response: what they name, and whether they are right, wrong, or no guess at all."""

import numpy as np
import pytest

from app.results.report.found import found
from app.results.report.guesses import Guess, pattern_of, read_guess, terms_of, verdict
from app.results.report.tables import Text, tables_of_rows
from tests.unit.test_results_found import judgment

ARMS = ("base", "kettle-LoRA", "sft-2")
TEXTS = {("i1", "base"): Text(5, checkpoint="SmolLM2-135M"), ("i1", "sft-2"): Text(5, checkpoint="kettle/full")}


def named(text, arms=ARMS, texts=TEXTS):
    terms = terms_of(arms, texts)
    return read_guess(text, terms, pattern_of(terms)).named


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("surely BASE", (("base", None),)),
        ("smollm2-135m!", (("base", None),)),
        ("the LoRA one, by its length", (("kettle-LoRA", None),)),
        ("Full Fine-Tuning", (("sft-2", None),)),
        ("A is the base model", (("base", 0),)),
        ("B: lora", (("kettle-LoRA", 1),)),
        ("the right one is SFT", (("sft-2", 1),)),
        ("left base, right lora", (("base", 0), ("kettle-LoRA", 1))),
        ("B = base, A = sft", (("base", 1), ("sft-2", 0))),
        ("a base model", (("base", None),)),
        ("base or lora", ()),
        ("left, or was it base on the right?", ()),
        ("it was based on lists", ()),
        ("the plain one", ()),
        ("", ()),
        ("İ, base left", (("base", 0),)),
    ],
)
def test_what_a_guess_names(text, expected):
    assert named(text) == expected


def test_a_word_for_two_arms_names_neither():
    arms = ("lora-8", "lora-64", "base")
    assert named("the lora", arms, {}) == ()
    assert named("lora-64", arms, {}) == (("lora-64", None),)
    # A longer name is not the shorter one it holds.
    assert named("base-instruct", ("base", "base-instruct"), {}) == (("base-instruct", None),)


def test_an_arm_may_be_called_as_a_side_is():
    assert named("right", ("right", "other", "third"), {}) == (("right", None),)


@pytest.mark.parametrize(
    ("guess", "arms", "expected"),
    [
        ((("lft", 0),), 2, (1, 1)),
        ((("lft", 1),), 2, (-1, 1)),
        ((("lft", None),), 2, (0, 1)),
        ((("lft", None),), 3, (1, 2)),
        ((("base", None),), 3, (-1, 2)),
        ((("lft", 0), ("sft", 1)), 3, (1, 1)),
        ((("sft", 0), ("lft", 1)), 3, (-1, 1)),
        ((("lft", 0), ("base", 1)), 3, (0, 1)),
        ((), 3, (0, 1)),
    ],
)
def test_a_guess_is_right_wrong_or_none(guess, arms, expected):
    assert verdict(Guess(guess), "lft", "sft", arms) == expected


def findings(*guesses):
    rows = [
        judgment(at, f"i{at}", f"a{at}", "left", recognised_model=bool(text), recognised_guess=text)
        for at, text in enumerate(guesses)
    ]
    return found(tables_of_rows({"preferences": rows})).numbers


def test_a_model_recognised_and_no_guess_do_not_contradict_each_other():
    numbers = findings("the smaller one", "lft", "", "")
    assert numbers["quality.lft~sft.recognised"].value == 0.5
    blinding = numbers["quality.lft~sft.blinding"]
    assert blinding.value is None
    assert (
        blinding.reason == "2 judgments say that a model was recognised, and no guess names an arm that it could miss"
    )
    assert numbers["quality.lft~sft.blinding_unclear"].value == 2
    assert numbers["quality.lft~sft.blinding_unsure"].value == 2
    nobody = findings("", "", "")["quality.lft~sft.blinding"]
    assert (nobody.value, "none of 3 names an arm" in nobody.reason) == (0, True)


def test_by_chance_two_arms_give_nothing():
    numbers = findings(*["left is LFT", "left is SFT"] * 10)
    assert numbers["quality.lft~sft.blinding"].value == pytest.approx(0)
    assert np.sign(numbers["quality.lft~sft.blinding"].low) == -1
