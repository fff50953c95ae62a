"""Keys people choose: only known actions, one printable character each, never two meanings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import InvalidInputError
from app.judging.shortcuts import DEFAULT_KEYS, checked_shortcuts


def test_the_defaults_are_valid_themselves():
    assert checked_shortcuts({}) == {}
    assert checked_shortcuts(DEFAULT_KEYS) == DEFAULT_KEYS


def test_two_actions_may_trade_their_keys():
    assert checked_shortcuts({"guidelines": "f", "flag": "g"}) == {"flag": "g", "guidelines": "f"}


@pytest.mark.parametrize(
    "key",
    [
        "", "ab", " ", "\n", "\t", "\0", "\x1b", "\u200b", "\u202e", "1", "5", "٣", "Enter", "<b>", "\ud800",
        3, None, ["x"],
    ],
)  # fmt: skip
def test_a_key_is_one_printable_character_and_no_digit(key):
    with pytest.raises(InvalidInputError, match="flag"):
        checked_shortcuts({"flag": key})


@pytest.mark.parametrize("action", ["submit", "", "__proto__", "constructor", "<img src=x onerror=alert(1)>", "FLAG"])
def test_an_action_that_has_no_shortcut_is_refused(action):
    with pytest.raises(InvalidInputError, match="has no shortcut"):
        checked_shortcuts({action: "x"})


@pytest.mark.parametrize("sent", [{"flag": "g"}, {"flag": "G"}, {"flag": "x", "mark": "x"}, {"flag": "x", "mark": "X"}])
def test_no_key_has_two_meanings(sent):
    with pytest.raises(InvalidInputError, match="already that of"):
        checked_shortcuts(sent)


@pytest.mark.parametrize("sent", [[], None, "flag", 3, [["flag", "x"]]])
def test_what_is_no_map_is_refused(sent):
    with pytest.raises(InvalidInputError):
        checked_shortcuts(sent)


@given(st.dictionaries(st.sampled_from([*DEFAULT_KEYS, "other"]), st.one_of(st.characters(), st.text(max_size=3))))
def test_what_is_accepted_gives_every_action_its_own_key(sent):
    try:
        kept = checked_shortcuts(sent)
    except InvalidInputError:
        return
    assert kept == sent
    keys = [key.casefold() for key in (DEFAULT_KEYS | kept).values()]
    assert len(set(keys)) == len(keys)
    assert all(len(key) == 1 and key.isprintable() for key in kept.values())
