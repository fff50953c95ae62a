"""Files that are large, foreign or broken: streamed in constant memory, or refused with place and remedy."""

import json
import tracemalloc

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.tuning_sets import records
from app.tuning_sets.read import DataError, answer_of, answers_of, instruction_of, iter_examples, read_data

PAIR = {"instruction": "Why?", "output": "Because."}
DEEP = 100_000
ANY = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


def lines(*values: object) -> bytes:
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


def ids(path) -> list[str]:
    return [example.id for example in iter_examples(path)]


@pytest.fixture
def file(tmp_path):
    def write(content: bytes, name: str = "set.jsonl"):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


def refused(path, **options) -> DataError:
    with pytest.raises(DataError) as error:
        list(iter_examples(path, **options))
    assert error.value.remedy
    return error.value


def test_parquet_gives_the_same_examples_in_every_shape(tmp_path):
    turns = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Because."}]
    tables = {
        "alpaca": [{"id": 7, "instruction": "Why?", "input": None, "output": "Because."}],
        "dolly": [{"id": 7, "instruction": "Why?", "context": "", "response": "Because.", "category": "open_qa"}],
        "messages": [{"id": 7, "messages": turns, "instruction": None}],
    }
    for name, rows in tables.items():
        path = tmp_path / f"{name}.parquet"
        pq.write_table(pa.Table.from_pylist(rows), path)
        (example,) = iter_examples(path)
        assert (example.id, instruction_of(example), answer_of(example)) == ("7", "Why?", "Because.")


def test_parquet_names_the_row_and_damage_is_a_refusal(tmp_path, file):
    path = tmp_path / "set.parquet"
    pq.write_table(pa.Table.from_pylist([{"instruction": "Why?", "output": text} for text in ["Because.", None]]), path)
    assert str(refused(path, name="mine.parquet")).startswith('mine.parquet, row 1: field "output" is missing.')
    pq.write_table(pa.Table.from_pylist([{"instruction": 3, "output": "x"}]), path)
    assert 'row 0: field "instruction" is int' in str(refused(path))
    assert "not a readable Parquet file" in str(refused(file(b"PAR1" + bytes(40), "cut.parquet")))
    damaged = bytearray(path.read_bytes())
    damaged[10:40] = bytes(30)
    assert "Parquet" in str(refused(file(bytes(damaged), "damaged.parquet")))


def test_shapes_may_be_mixed_and_each_is_named(file):
    path = file(
        lines(
            PAIR,
            {"instruction": "Why?", "context": "It rains.", "response": "Because."},
            {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]},
            {"conversations": ["Why?", "Because."], "source": "lima"},
        )
    )
    assert [example.shape for example in iter_examples(path)] == ["Alpaca", "Dolly", "messages", "ShareGPT"]
    assert [answer_of(example) for example in iter_examples(path)] == ["Because.", "Because.", "b", "Because."]


def test_answers_of_all_turns_are_joined_by_a_blank_line(file):
    turns = [("system", "Be short."), ("human", "One?"), ("gpt", "1 \U0001f34e"), ("human", "Two?"), ("gpt", "2")]
    (example,) = iter_examples(file(lines({"conversations": [{"from": who, "value": text} for who, text in turns]})))
    assert instruction_of(example) == "One?\n\nTwo?"
    assert answers_of(example) == ("1 \U0001f34e", "2")
    # The second turn starts after 3 code points and one blank line: 3 + 2 * 1 = 5.
    assert answer_of(example)[5:] == "2"


def test_an_empty_answer_is_kept_only_when_asked_for(file):
    path = file(lines(PAIR, PAIR | {"output": ""}))
    assert [answer_of(example) for example in iter_examples(path, empty_answers=True)] == ["Because.", ""]
    assert 'line 2: field "output" is empty' in str(refused(path))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (json.dumps(PAIR).encode("utf-16"), "line 1: not UTF-8 (it looks like UTF-16)"),
        (json.dumps(PAIR).encode("utf-16-le"), "looks like UTF-16"),
        (lines(PAIR) + '{"instruction": "caf\u00e9", "output": "x"}'.encode("latin-1"), "line 2: not UTF-8"),
        (b'[{"instruction": "a",\n "output": "\xe9"}]', "line 2: not UTF-8"),
        (lines(PAIR) + b"[" * DEEP + b"]" * DEEP, "line 2: nested too deeply"),
        (b"[" + b'{"a":' * DEEP, "record 0: nested too deeply"),
        (b'{"instruction": ' + b"9" * 5_000 + b"}", "line 1: holds a number with too many digits"),
        (b'[{"instruction": ' + b"9" * 5_000 + b"}]", "record 0: holds a number with too many digits"),
        (lines(PAIR | {"output": "\ud83d"}), "half of a surrogate pair"),
        (lines({"id": "x" * 401, **PAIR}), 'field "id" is longer than 400'),
        (lines({"\ud800": 1}), "unknown shape with fields \ufffd"),
        (lines({"messages": [{"role": "\ud800" * 200}]}), 'field "role" is'),
        (b"[]", "holds no instance"),
        (b"", "holds no instance"),
        (b"\xef\xbb\xbf  \n", "holds no instance"),
        (b"[1, 2]", "record 0: record is int"),
        (b'[{"instruction": "a", "output": "b"},]', "line 1, column 38: not JSON (Expecting value)"),
        (b'[{"instruction": "a", "output": "b"}] x', "line 1, column 39: not JSON (Extra data after the list)"),
        (b'[{"instruction": "a", "output": "b"}', "line 1, column 37: not JSON (Expecting ',' delimiter)"),
        (b'[\n{"instruction": "a", "output": "b', "line 2, column 32: not JSON (Unterminated string"),
        (b"PK\x03\x04 a zip", "line 1, column 1: not JSON"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "line 1: not UTF-8"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(file, content, said):
    error = refused(file(content))
    assert said in str(error)
    str(error).encode()


def test_a_line_without_an_end_is_refused_before_it_fills_the_memory(file, monkeypatch):
    monkeypatch.setattr(records, "MAX_RECORD_BYTES", 2 << 20)
    for content in (b'{"instruction": "' + b"a" * (40 << 20), b'[{"instruction": "' + b"a" * (40 << 20)):
        path = file(content)
        tracemalloc.start()
        error = refused(path)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert "longer than 2 MiB" in str(error)
        # The line itself, decoded and doubled while growing, and never the 40 MiB of the file.
        assert peak < 20 << 20


@pytest.mark.parametrize("kind", ["jsonl", "json"])
def test_a_large_file_is_read_in_constant_memory(file, kind):
    record = json.dumps(PAIR | {"output": "word " * 2_000}).encode()
    separator, (before, after) = (b"\n", (b"", b"")) if kind == "jsonl" else (b",\n", (b"[", b"]"))
    path = file(before + separator.join([record] * 3_000) + after)
    assert path.stat().st_size > 25 << 20
    tracemalloc.start()
    ends = [example.end for example in iter_examples(path)]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(ends) == 3_000
    assert ends == sorted(ends)
    assert ends[-1] == path.stat().st_size
    assert peak < 4 << 20


@given(
    values=st.lists(st.dictionaries(st.text(max_size=3), ANY, max_size=3), max_size=6),
    chunk=st.integers(1, 9),
    indent=st.none() | st.integers(0, 2),
    escaped=st.booleans(),
)
def test_a_list_is_cut_into_its_values_wherever_the_blocks_end(tmp_path_factory, values, chunk, indent, escaped):
    text = json.dumps(values, indent=indent, ensure_ascii=escaped)
    path = tmp_path_factory.mktemp("lists") / "set.json"
    path.write_text(text, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records, "_CHUNK", chunk)
        assert [record.value for record in records.iter_records(path, "x")] == values


def test_ids_are_the_records_own_or_their_position(file):
    assert ids(file(lines({"id": 12, **PAIR}, PAIR, {"id": True, **PAIR}, {"id": "", **PAIR}))) == ["12", "1", "2", "3"]
    path = file(lines({"id": "1", **PAIR}, PAIR))
    assert str(refused(path, name="a.jsonl")).startswith('a.jsonl, line 2: id "1" was used at a.jsonl, line 1.')


def test_other_languages_and_right_to_left_text_pass_unchanged(file):
    text = "\u0627\u0644\u0633\u0645\u0627\u0621 \u0632\u0631\u0642\u0627\u0621\n"
    text += "\u5929\u7a7a\u662f\u85cd\u8272\u7684 \U0001f327\ufe0f"
    (example,) = read_data(file(lines(PAIR | {"output": text}))).examples
    assert answer_of(example) == text
