"""Build the index of a tuning set in a folder beside its place, then move it there in one step."""

import json
import shutil
import tempfile
import time
from array import array
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydivsufsort import divsufsort

from app.provenance.arrays import group, save, save_sorted
from app.provenance.index import META, VERSION, Encoder, Instance, Progress, index_folder, read_meta, sums_of
from app.provenance.subwords import grams_of, rarity
from app.provenance.words import fold, surfaces, visible, weigh

_REPORT_EVERY = 1_000
_BUILDING = ".building-"
_ABANDONED_S = 86_400
_MOST_COUNTED = np.iinfo(np.uint16).max


class _Vocabulary(dict[str, int]):
    """Symbols as written -> provisional id of their folded form, in order of appearance from 1."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: dict[str, int] = {}

    def __missing__(self, surface: str) -> int:
        found = self.forms.setdefault(fold(surface), len(self.forms) + 1)
        self[surface] = found
        return found


class _Texts:
    """Texts written to a file as they come; lone surrogates become U+FFFD, which keeps every offset."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name
        self._file = (folder / f"{name}.partial").open("wb")
        self._ends, self._position = array("q"), 0

    def add(self, text: str) -> None:
        self._position += self._file.write(visible(text).encode())
        self._ends.append(self._position)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self._file.close()
        partial = self._folder / f"{self._name}.partial"
        save(self._folder, f"{self._name}.bytes", np.fromfile(partial, dtype=np.uint8))
        save(self._folder, f"{self._name}.ends", np.asarray(self._ends, dtype=np.int64))
        partial.unlink()


def build_index(
    root: Path,
    sha256: str,
    instances: Iterable[Instance],
    *,
    encoder: Encoder | None = None,
    progress: Progress | None = None,
) -> Path:
    """Build the index of `instances` and return its folder; nothing appears there before it is complete.

    An instance without an answer keeps an empty one, so that positions in the tuning set stay true.
    """
    root.mkdir(parents=True, exist_ok=True)
    _clear_abandoned(root)
    target = index_folder(root, sha256, encoder)
    building = Path(tempfile.mkdtemp(prefix=_BUILDING, dir=root))
    report = progress or (lambda _done, _message: None)
    try:
        read = _read(building, instances, report)
        size = _write(building, *read, encoder, report)
        meta = {"version": VERSION, "sha256": sha256, "encoder": encoder and encoder.fingerprint, **size}
        (building / META).write_text(json.dumps(meta | {"sums": sums_of(building)}), encoding="utf-8")
        _publish(building, target)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return target


def _read(
    folder: Path, instances: Iterable[Instance], report: Progress
) -> "tuple[_Vocabulary, array[int], array[int], array[int]]":
    """Write the texts; return the vocabulary, all symbols (0 after each passage), passage ends and owners."""
    vocabulary = _Vocabulary()
    corpus, ends, owners = array("i"), array("q"), array("i")
    position = -1
    with _Texts(folder, "ids") as ids, _Texts(folder, "instructions") as said, _Texts(folder, "answers") as answers:
        for position, instance in enumerate(instances):
            ids.add(instance.id)
            said.add(instance.instruction)
            for answer in instance.answers or ("",):
                answers.add(answer)
                corpus.extend(map(vocabulary.__getitem__, surfaces(answer)))
                corpus.append(0)
                ends.append(len(corpus))
                owners.append(position)
            if position % _REPORT_EVERY == 0:
                report(position, "reading answers")
    report(position + 1, "sorting")
    return vocabulary, corpus, ends, owners


def _write(
    folder: Path,
    vocabulary: _Vocabulary,
    raw: "array[int]",
    ends: "array[int]",
    owners: "array[int]",
    encoder: Encoder | None,
    report: Progress,
) -> dict[str, int]:
    forms, corpus = _number(vocabulary, raw)
    starts = np.concatenate([[0], np.asarray(ends, dtype=np.int64)])
    weights = np.fromiter((0, *map(weigh, forms)), np.uint8, len(forms) + 1)
    with ThreadPoolExecutor(1) as beside:
        # The sorter holds no lock, so the postings are made meanwhile.
        suffixes = beside.submit(_suffixes, corpus)
        _write_postings(folder, corpus, starts, weights)
        _write_grams(folder, forms, weights, encoder)
        save(folder, "suffixes", suffixes.result())
    report(len(set(owners)), "writing")
    save(folder, "corpus", corpus.astype(">u4"))
    save(folder, "starts", starts)
    save(folder, "weights", weights)
    save(folder, "counts", np.bincount(corpus, minlength=len(forms) + 1).astype(np.int64))
    owner = np.asarray(owners, dtype=np.int32)
    firsts = np.flatnonzero(np.diff(owner, prepend=-1)).astype(np.int64)
    save(folder, "owners", owner)
    save(folder, "firsts", firsts)
    save_sorted(folder, "vocabulary", [form.encode() for form in forms])
    return {"instances": len(firsts), "passages": len(owner), "symbols": len(corpus), "vocabulary": len(forms)}


def _number(vocabulary: _Vocabulary, raw: "array[int]") -> tuple[list[str], NDArray[np.int32]]:
    """Give symbols ids in the order of their UTF-8, so that a form is found by bisection on disk."""
    forms = sorted(vocabulary.forms, key=str.encode)
    final = np.zeros(len(forms) + 1, dtype=np.int32)
    final[[vocabulary.forms[form] for form in forms]] = np.arange(1, len(forms) + 1, dtype=np.int32)
    return forms, final[np.frombuffer(raw, dtype=np.int32)] if raw else np.zeros(0, np.int32)


def _suffixes(corpus: NDArray[np.int32]) -> NDArray[np.int32]:
    return np.asarray(divsufsort(corpus), dtype=np.int32) if len(corpus) else np.zeros(0, np.int32)


def _write_postings(
    folder: Path, corpus: NDArray[np.int32], starts: NDArray[np.int64], weights: NDArray[np.uint8]
) -> None:
    passages = len(starts) - 1
    passage = np.repeat(np.arange(passages), np.diff(starts))
    is_word = weights[corpus] > 0
    save(folder, "lengths", np.bincount(passage[is_word], minlength=passages).astype(np.int32))
    pairs = corpus[is_word].astype(np.int64) * passages + passage[is_word]
    pairs.sort()
    new = np.flatnonzero(np.diff(pairs, prepend=-1))
    counts = np.minimum(np.diff(new, append=len(pairs)), _MOST_COUNTED)
    words, holders = np.divmod(pairs[new], max(passages, 1))
    save(folder, "posting_offsets", group(words, len(weights)))
    save(folder, "posting_passages", holders.astype(np.int32))
    save(folder, "posting_counts", counts.astype(np.uint16))


def _write_grams(folder: Path, forms: list[str], weights: NDArray[np.uint8], encoder: Encoder | None) -> None:
    holders: dict[bytes, array[int]] = {}
    for word, grams in _grams(forms, weights, encoder):
        for gram in grams:
            holders.setdefault(gram, array("i")).append(word)
    ordered = sorted(holders)
    save_sorted(folder, "grams", ordered)
    save(folder, "gram_offsets", np.cumsum([0, *(len(holders[gram]) for gram in ordered)], dtype=np.int64))
    lists = [np.frombuffer(holders[gram], dtype=np.int32) for gram in ordered]
    totals = np.zeros(len(weights))
    for words in lists:
        totals[words] += rarity(len(forms), len(words))
    save(folder, "gram_totals", totals)
    save(folder, "gram_words", np.concatenate(lists) if lists else np.zeros(0, np.int32))


def _grams(
    forms: list[str], weights: NDArray[np.uint8], encoder: Encoder | None
) -> Iterator[tuple[int, frozenset[bytes]]]:
    for position, form in enumerate(forms, start=1):
        if weights[position]:
            yield position, frozenset(gram.key for gram in grams_of(form, encoder))


def _clear_abandoned(root: Path) -> None:
    """Remove what builders left that were killed: no build takes a day."""
    for folder in root.glob(f"{_BUILDING}*"):
        # Another builder may finish and move its folder away just now.
        with suppress(FileNotFoundError):
            if time.time() - folder.stat().st_mtime > _ABANDONED_S:
                shutil.rmtree(folder, ignore_errors=True)


def _publish(building: Path, target: Path) -> None:
    """Move a finished folder to its place, unless another builder put the same content there meanwhile."""
    if read_meta(target) is not None:
        return
    outdated = building.with_name(f"{building.name}.old")
    if target.exists():
        target.rename(outdated)
    try:
        building.rename(target)
    except OSError:
        if read_meta(target) is None:
            raise
    shutil.rmtree(outdated, ignore_errors=True)
