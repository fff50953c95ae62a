"""`tuneshift stats` as a person runs it: JSON on standard output, one sentence on an error."""

import io
import json
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.cli import main
from tests.unit.test_stats_bradley_terry import FOOD, food

CODINGS = "1,2,3,3,2,1,4,1,2,,,\n1,2,3,3,2,2,4,1,2,5,,\n,3,3,3,2,3,4,2,2,5,1,3\n1,2,3,3,2,4,4,1,2,5,1,\n"


@pytest.fixture
def stats(tmp_path, monkeypatch, capsys):
    """Run `tuneshift stats`; returns exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)

    def run(command, text, *options, source="judgments.csv"):
        raw = text.encode() if isinstance(text, str) else text
        if source == "-":
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw)))
        elif text is not None:
            (tmp_path / source).write_bytes(raw)
        monkeypatch.setattr(sys, "argv", ["tuneshift", "stats", command, source, *options])
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        return end.value.code or 0, said.out, said.err

    return run


def food_csv():
    words = {1.0: "left", 0.5: "tie", 0.0: "right"}
    rows = [f"{FOOD[left]},{FOOD[right]},{words[score]}" for left, right, score in zip(*food(), strict=True)]
    return "\n".join(["left,right,winner", *rows]) + "\n"


@pytest.mark.parametrize(
    ("level", "alpha"),
    [("nominal", 904 / 1216), ("ordinal", 0.8153875), ("interval", 0.8491071), ("ratio", 0.7974028)],
)
def test_alpha_of_krippendorffs_example(stats, level, alpha):
    code, out, _ = stats("agreement", CODINGS, "--level", level)
    assert code == 0
    found = json.loads(out)
    assert list(found) == ["alpha", "ci_low", "ci_high", "n_pairable", "level"]
    assert found["alpha"] == pytest.approx(alpha, abs=5e-8)
    assert found["ci_low"] < found["alpha"] < found["ci_high"] <= 1
    assert (found["n_pairable"], found["level"]) == (40, level)
    assert stats("agreement", CODINGS, "--level", level, source="-")[1] == out
    # Saved by a spreadsheet: a byte order mark, CRLF, blanks around the numbers.
    saved = "\ufeff" + CODINGS.replace("\n", "\r\n").replace("3", " 3 ")
    assert stats("agreement", saved, "--level", level)[1] == out


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1,1,1\n1,1,1\n", "unanimous: every value is 1"),
        ("cat,cat\ncat,cat\n", "unanimous: every value is cat"),
        ("1,2,3\n", "no unit has two values"),
        ("1,,\n,2,\n", "no unit has two values"),
        ("1\n2\n2\n", "one unit"),
        (",,\n,,\n", "no data"),
    ],
)
def test_no_alpha_is_null_with_a_reason(stats, text, reason):
    code, out, _ = stats("agreement", text, "--level", "nominal")
    assert code == 0
    found = json.loads(out)
    assert list(found) == ["alpha", "reason"]
    assert found["alpha"] is None
    assert found["reason"].startswith(reason)


def test_names_are_labels_at_the_nominal_level(stats):
    numbers = json.loads(stats("agreement", CODINGS, "--level", "nominal")[1])
    words = CODINGS.translate(str.maketrans("12345", "abcde"))
    assert json.loads(stats("agreement", words, "--level", "nominal")[1]) == numbers


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1,2\n1,x\n", "judgments.csv, line 2, field 2: 'x' is not a finite number."),
        ("unit1,unit2\n1,2\n", "judgments.csv, line 1, field 1: 'unit1' is not a finite number."),
        ("1,nan\n1,2\n", "judgments.csv, line 1, field 2: 'nan' is not a finite number."),
        ("1,inf\n1,2\n", "judgments.csv, line 1, field 2: 'inf' is not a finite number."),
        ("1,2\n1,2,3\n", "judgments.csv, line 2: 3 fields, but the first row has 2."),
        ('1,2\n"1,2\n', "judgments.csv, line 2: not CSV"),
        ("", "judgments.csv has no rows."),
        (b"1,\xff\n", "judgments.csv is not UTF-8 text (byte 2)."),
    ],
)
def test_bad_ratings_are_refused_by_line_and_field(stats, text, said):
    code, out, error = stats("agreement", text, "--level", "interval")
    assert (code, out) == (2, "")
    assert said in error
    # And what would be right.
    assert len(error.strip().splitlines()) >= 2


def test_a_ratio_begins_at_zero(stats):
    code, _, error = stats("agreement", "-1,2\n1,2\n", "--level", "ratio")
    assert code == 2
    assert "a ratio scale begins at 0" in error


def test_a_missing_file_and_an_unknown_level(stats):
    assert stats("agreement", None, "--level", "nominal", source="nowhere.csv")[0] == 2
    assert stats("agreement", CODINGS, "--level", "ranked")[0] == 2


def test_food_as_evalica_has_it(stats):
    code, out, _ = stats("preference", food_csv())
    assert code == 0
    found = json.loads(out)
    assert found["warnings"] == []
    systems = {one["name"]: one for one in found["systems"]}
    assert [one["name"] for one in found["systems"]] == ["Tacos", "Sushi", "Burger", "Pasta", "Pizza"]
    strengths = {name: one["strength"] for name, one in systems.items()}
    assert strengths == pytest.approx(
        {"Tacos": 0.434290, "Sushi": 0.190600, "Burger": 0.147977, "Pasta": 0.128153, "Pizza": 0.098980}, abs=5e-7
    )
    assert sum(strengths.values()) == pytest.approx(1)
    assert sum(one["log_strength"] for one in systems.values()) == pytest.approx(0, abs=1e-12)
    tacos = systems["Tacos"]
    assert (tacos["n"], tacos["wins"], tacos["losses"], tacos["ties"]) == (13, 10, 3, 0)
    assert tacos["win_rate"] == pytest.approx(10 / 13)
    assert tacos["average_win_rate"] == pytest.approx(0.7)
    # Without clusters the interval is Wilson's.
    two = json.loads(stats("preference", "left,right,winner\n" + "a,b,left\n" * 2 + "a,b,right\n" * 8)[1])
    first = next(one for one in two["systems"] if one["name"] == "a")
    assert (first["ci_low"], first["ci_high"]) == (pytest.approx(0.056682, abs=5e-7), pytest.approx(0.509838, abs=5e-7))


def test_what_has_no_strengths_is_a_warning_and_null(stats):
    apart = json.loads(stats("preference", "left,right,winner\na,b,left\nb,a,left\nc,d,left\nd,c,left\n")[1])
    assert apart["warnings"] == ["disconnected: no comparison links {a, b} and {c, d}"]
    assert {one["strength"] for one in apart["systems"]} == {None}
    assert [one["win_rate"] for one in apart["systems"]] == [0.5] * 4
    won = json.loads(stats("preference", "left,right,winner\na,b,left\na,b,tie\nb,c,left\nb,c,left\n")[1])
    assert won["warnings"][0].startswith("separated: a, b never lost to the others and c never won")


def test_prompts_and_annotators_widen_the_interval(stats):
    rows = [f"a,b,{'left' if item % 3 else 'right'},{item},{person}" for item in range(12) for person in range(5)]
    plain = "left,right,winner\n" + "\n".join(row.rsplit(",", 2)[0] for row in rows)
    whole = "left,right,winner,item,annotator\n" + "\n".join(rows)
    narrow, wide = (json.loads(stats("preference", text)[1])["systems"][0] for text in (plain, whole))
    assert narrow["win_rate"] == wide["win_rate"] == pytest.approx(2 / 3)
    assert wide["ci_high"] - wide["ci_low"] > 1.5 * (narrow["ci_high"] - narrow["ci_low"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("left,right\na,b\n", "line 1: no column winner."),
        ("a,b,left\n", "line 1: no column"),
        ("left,right,winner\na,b,both\n", "line 2, field winner: 'both'."),
        ("left,right,winner\na,b,left\na,,left\n", "line 3, field right: empty."),
        ("left,right,winner\na,a,left\n", "line 2: a stands on both sides."),
        ("left,right,winner\na,b\n", "line 2: 2 fields, but the header has 3."),
        ("left,right,winner,left\na,b,left,c\n", "the column left stands there twice."),
        ("left,right,winner,length_left\na,b,left,3\n", "one of length_left and length_right is missing."),
        ("left,right,winner,length_left,length_right\na,b,left,3,x\n", "line 2, field length_right: 'x'"),
        ("left,right,winner,length_left,length_right\na,b,left,3,-4\n", "line 2, field length_right: -4 is negative."),
        ("left,right,winner,item\na,b,left,\n", "line 2, field item: empty."),
        ("left,right,winner\n", "has a header and no comparison."),
        ("", "has no rows."),
    ],
)
@pytest.mark.parametrize("command", ["preference", "effects"])
def test_bad_comparisons_are_refused_by_line_and_field(stats, command, text, said):
    code, out, error = stats(command, text)
    assert (code, out) == (2, "")
    assert f"judgments.csv{' ' if said.startswith('has') else ', '}" in error
    assert said in " ".join(error.split())


def effects_csv():
    generator = np.random.default_rng(4)
    rows = ["left,right,winner,item,annotator,length_left,length_right"]
    for item in range(60):
        for person in range(3):
            names = ("lft", "sft") if generator.random() < 0.5 else ("sft", "lft")
            lengths = generator.integers(50, 300, 2)
            winner = "left" if generator.random() < 0.6 + 0.2 * (lengths[0] > lengths[1]) else "right"
            rows.append(f"{names[0]},{names[1]},{winner},p{item},a{person},{lengths[0]},{lengths[1]}")
    # The first judgment is made again.
    return "\n".join([*rows, rows[1]]) + "\n"


def test_effects_are_found_without_being_asked(stats):
    code, out, _ = stats("effects", effects_csv())
    assert code == 0
    found = json.loads(out)
    assert found["n"] == 181
    assert found["position"]["left_win_rate"] > 0.55
    assert found["position"]["ci_low"] < found["position"]["left_win_rate"] < found["position"]["ci_high"]
    assert found["position"]["coefficient"]["value"] > 0
    length = found["length"]
    assert length["longer_win_rate"] > 0.5
    assert length["coefficient"]["value"] > 0
    assert length["win_rate"]["name"] == "lft"
    assert length["win_rate"]["ci_low"] < 0.5 < length["win_rate"]["ci_high"]
    assert (found["duplicates"]["repeated"], found["duplicates"]["groups"]) == (1, 1)
    assert found["duplicates"]["same"]["value"] == 1
    out_of_three = found["leave_one_annotator_out"]
    assert out_of_three["lowest_win_rate"] <= out_of_three["highest_win_rate"]


def test_effects_that_the_file_cannot_tell_say_which_column_is_missing(stats):
    found = json.loads(stats("effects", food_csv())[1])
    assert found["length"] == {"value": None, "reason": "the file has no column length_left or length_right"}
    assert found["duplicates"]["reason"] == "the file has no column item or annotator"
    assert found["leave_one_annotator_out"]["reason"] == "the file has no column annotator"
    assert found["position"]["coefficient"]["value"] == pytest.approx(-0.0995, abs=1e-4)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(alphabet='ab,"\n\r1.-xleftrightwinnertie \x00é', max_size=80))
def test_any_text_gives_json_or_one_sentence(stats, text):
    for command, options in (("agreement", ("--level", "ordinal")), ("preference", ()), ("effects", ())):
        code, out, error = stats(command, "left,right,winner\n" + text if command != "agreement" else text, *options)
        assert code in (0, 2)
        if code:
            assert not out
            assert error
            assert "Traceback" not in error
        else:
            json.loads(out, parse_constant=pytest.fail)
