"""The index on disk: whole or absent, opened without reading, built again only when content or version changes."""

import json
import os
import threading
import time

import numpy as np
import pytest

from app.engines.tokenizer import load_tokenizer
from app.errors import NotFoundError
from app.provenance import build, index
from app.provenance.build import build_index
from app.provenance.index import META, Instance, ensure_index, index_folder, is_built, open_index
from app.provenance.spans import verbatim_spans
from tests.unit.provenance_sets import SHA, index_of
from tests.unit.tiny_models import write_tokenizer

INSTANCES = [
    Instance("a", "Question?", ("First answer.", "Second ✓ answer.")),
    Instance("b", "", ()),
    Instance("日", "Frage\r\n", ("Antwort \ud800 half",)),
]


def test_instances_come_back_as_they_went_in(tmp_path):
    build_index(tmp_path, SHA, INSTANCES)
    found = open_index(tmp_path, SHA)
    assert len(found) == 3
    assert found.passages == 4
    assert found.instance(0) == INSTANCES[0]
    # No answer is an empty one; half a surrogate pair, which no file can hold, is U+FFFD.
    assert found.instance(1) == Instance("b", "", ("",))
    assert found.instance(2) == Instance("日", "Frage\r\n", ("Antwort \ufffd half",))
    assert [found.find_id(one) for one in ("a", "b", "日", "c")] == [0, 1, 2, None]
    assert [list(found.turns(position)) for position in range(3)] == [[0, 1], [2], [3]]


def test_postings_and_lengths_count_words(tmp_path):
    found = index_of(tmp_path, ["red, Red. blue", "", "blue"])
    passages, counts = found.postings(found.symbol("red"))
    assert (passages.tolist(), counts.tolist()) == ([0], [2])
    assert found.lengths.tolist() == [3, 0, 1]
    assert found.frequency(found.symbol("blue")) == 2
    assert found.symbols(["blue", "green", ","]) == [found.symbol("blue"), None, found.symbol(",")]
    # A mark is a symbol, but no word.
    assert found.frequency(found.symbol(",")) == 0


def test_long_and_strange_words_are_told_apart(tmp_path):
    long = "a" * 40
    found = index_of(tmp_path, [f"{long}b {long}c {long} \x00 a"])
    ids = found.symbols([f"{long}b", f"{long}c", long, f"{long}d", "\x00", "a", "aa"])
    assert ids[3] is None
    assert ids[6] is None
    assert len({*ids}) == 6
    for form, symbol in zip([f"{long}b", f"{long}c", long], ids, strict=False):
        assert found.vocabulary.strings.text(symbol - 1) == form


def test_suffixes_are_sorted(tmp_path):
    found = index_of(tmp_path, ["b a b", "a b a a", ""])
    corpus = found.corpus.tolist()
    assert found.suffixes.tolist() == sorted(range(len(corpus)), key=lambda at: corpus[at:])


def test_built_once_and_again_for_another_version(tmp_path, monkeypatch):
    calls = []

    def instances():
        calls.append(1)
        return iter(INSTANCES)

    for _ in range(2):
        ensure_index(tmp_path, SHA, instances)
    assert len(calls) == 1
    newer = index.VERSION + 1
    for module in (index, build):
        monkeypatch.setattr(module, "VERSION", newer)
    assert not is_built(tmp_path, SHA)
    assert len(ensure_index(tmp_path, SHA, instances)) == 3
    assert len(calls) == 2
    assert [path.name for path in tmp_path.iterdir()] == [SHA]


def test_a_build_that_fails_leaves_nothing(tmp_path):
    def broken():
        yield INSTANCES[0]
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        ensure_index(tmp_path / "root", SHA, broken)
    assert list((tmp_path / "root").iterdir()) == []
    with pytest.raises(NotFoundError):
        open_index(tmp_path / "root", SHA)


def test_what_a_killed_builder_left_goes_after_a_day(tmp_path):
    for name, age in (("old", 90_000), ("new", 60)):
        (tmp_path / f".building-{name}").mkdir()
        os.utime(tmp_path / f".building-{name}", (time.time() - age,) * 2)
    build_index(tmp_path, SHA, INSTANCES)
    assert {path.name for path in tmp_path.iterdir()} == {".building-new", SHA}


def test_a_damaged_index_counts_as_absent(tmp_path):
    folder = build_index(tmp_path, SHA, INSTANCES)
    (folder / META).write_text("{")
    assert not is_built(tmp_path, SHA)
    assert len(ensure_index(tmp_path, SHA, lambda: INSTANCES)) == 3


def test_an_open_index_survives_being_built_again(tmp_path):
    answers = [f"answer number {n} of a long list of things" for n in range(2000)]
    before = index_of(tmp_path, answers)
    (before.folder / META).unlink()
    assert len(index_of(tmp_path, ["something else"])) == 1
    assert before.instance(1999).answers == (answers[1999],)
    assert verbatim_spans(before, "number 7 of a long list of")[0].instances == 1


def test_two_builders_at_once(tmp_path):
    failures = []

    def work():
        try:
            assert len(ensure_index(tmp_path, SHA, lambda: INSTANCES)) == 3
        except Exception as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert [path.name for path in tmp_path.iterdir()] == [SHA]


def test_large_arrays_are_mapped_not_read(tmp_path):
    found = index_of(tmp_path, [f"answer {n} with words" for n in range(20_000)])
    for array in (found.corpus, found.suffixes, found.posting_passages):
        assert isinstance(array.base, np.memmap)
        assert not array.flags.writeable
    assert json.loads((index_folder(tmp_path, SHA) / META).read_text())["instances"] == 20_000


def test_progress_is_told(tmp_path):
    heard = []
    build_index(tmp_path, SHA, INSTANCES, progress=lambda done, message: heard.append((done, message)))
    assert heard[-1] == (3, "writing")
    assert [done for done, _ in heard] == sorted(done for done, _ in heard)


def test_a_tokenizer_has_an_index_of_its_own(tmp_path):
    (tmp_path / "model").mkdir()
    write_tokenizer(tmp_path / "model")
    tokenizer = load_tokenizer(tmp_path / "model")
    build_index(tmp_path / "root", SHA, INSTANCES)
    build_index(tmp_path / "root", SHA, INSTANCES, encoder=tokenizer)
    assert len(list((tmp_path / "root").iterdir())) == 2
    cut, plain = open_index(tmp_path / "root", SHA, tokenizer), open_index(tmp_path / "root", SHA)
    assert cut.meta["encoder"] == tokenizer.fingerprint
    assert plain.meta["encoder"] is None
    assert len(cut.grams) > 0
