"""Blind by construction: the types an annotator's page is built from have no place for a checkpoint."""

import ast
import dataclasses
import types
import typing

from app.judging import blind
from app.judging.desk import Desk
from app.settings import ROOT

ALLOWED = {str, int, bool, float, type(None)}
TELLING = ("arm", "model", "checkpoint", "response_id", "engine", "seed", "pair", "item_id", "pid", "sha", "decoding")


def fields_below(kind):
    for field_name, hint in typing.get_type_hints(kind).items():
        yield field_name, hint
        for part in (hint, *typing.get_args(hint)):
            if dataclasses.is_dataclass(part):
                yield from fields_below(part)


def test_a_blind_item_has_no_field_that_could_name_a_model():
    names = {name for name, _ in fields_below(blind.BlindItem)}
    telling = {name for name in names if any(word in name for word in TELLING)}
    # Whether the annotator believes to have recognised one is their own answer.
    assert telling == {"recognised_model"}


def test_a_blind_item_holds_plain_values_only():
    for name, hint in fields_below(blind.BlindItem):
        parts = {hint, *typing.get_args(hint)} - {Ellipsis}
        plain = all(
            part in ALLOWED
            or dataclasses.is_dataclass(part)
            or typing.get_origin(part) in {dict, tuple, types.UnionType}
            for part in parts
        )
        assert plain, (name, hint)


def test_a_desk_counts_and_nothing_else():
    names = {field.name for field in dataclasses.fields(Desk)}
    assert not {name for name in names if any(word in name for word in TELLING if word != "pid")}


def test_arms_are_touched_to_draw_the_sides_and_to_explain_practice_and_nowhere_else():
    touching = {}
    for file in sorted((ROOT / "app" / "judging").glob("*.py")):
        tree = ast.parse(file.read_text())
        for function in ast.walk(tree):
            if not isinstance(function, ast.FunctionDef):
                continue
            words = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
            words |= {node.attr for node in ast.walk(function) if isinstance(node, ast.Attribute)}
            if words & {"Arm", "ItemResponse", "left_arm_id", "right_arm_id", "checkpoint", "side_order_key"}:
                touching.setdefault(file.name, []).append(function.name)
    assert touching == {"claims.py": ["_hand_out"], "feedback.py": ["_right_answer"]}


def test_masking_hides_characters_one_for_one():
    text = "I am Zebra 🦓, a model."
    assert blind.masked(text, [(5, 10), (11, 12)]) == "I am █████ █, a model."
    assert blind.masked(text, []) == text
    assert blind.masked("abc", [(0, 3), (1, 2), (2, 9)]) == "███"


def test_an_outbox_name_belongs_to_one_person_and_item():
    one = blind.outbox_name("secret", user_id="u1", token="t1")
    assert one == blind.outbox_name("secret", user_id="u1", token="t1")
    others = {
        blind.outbox_name("secret", user_id="u2", token="t1"),
        blind.outbox_name("secret", user_id="u1", token="t2"),
        blind.outbox_name("other", user_id="u1", token="t1"),
    }
    assert one not in others
    assert len(others) == 3


def test_every_ending_but_a_finished_one_looks_the_same():
    assert blind.is_complete("stop")
    assert blind.is_complete("given")
    assert not any(blind.is_complete(finish) for finish in ("length", "stopped", "failed", ""))
