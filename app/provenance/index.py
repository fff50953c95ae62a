"""The index of one tuning set: where it lies, how it is built once, opened lazily and read.

    Instance(id, instruction, answers)                         what goes in; answers: one text per assistant turn
    Encoder                             .fingerprint, .encode(text), .token_bytes(id): an engines' Tokenizer fits
    index_folder(root, sha256, encoder=None) -> Path           where the index of that content lies
    is_built(root, sha256, encoder=None) -> bool               there, complete and of this version
    ensure_index(root, sha256, instances, *, encoder=None, progress=None) -> Index
                                                               open it, or build it first (progress(done, message));
                                                               `instances` is a callable, called only to build
    open_index(root, sha256, encoder=None) -> Index            raises NotFoundError when it was never built, and
                                                               DamagedError when its files are not those that were built
    open_sound(root, sha256, encoder=None) -> Index | None     None for either; a damaged one is absent from then on
    index.instance(position) -> Instance                       one instance, decoded from disk
    index.find_id(id) -> int | None                            its position in the tuning set
    len(index)                                                 number of instances

    app.provenance.trace.trace(index, response, tokens=(), *, k=10) -> Trace      everything below in one call
    app.provenance.spans.verbatim_spans(index, text, *, min_words=5, max_instances=50, sources=10) -> tuple[Span, ...]
    app.provenance.neighbours.nearest(index, text, tokens=(), *, k=10) -> tuple[Neighbour, ...]
    app.provenance.borrowed.borrowed(index, text, tokens, positions, *, draws=200, seed=0) -> Borrowed
    app.provenance.tokens.TokenRange(start, end, shift)        a token of the response: code points and ShiftClass
    app.provenance.tokens.place(texts, classes) -> tuple[TokenRange, ...]     from token texts in order

Offsets are Unicode code points of the original text, on both sides: `text[start:end]` is the quote.
"""

import json
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from app.errors import DamagedError, NotFoundError
from app.provenance.arrays import Sorted, Strings, load, load_sorted, load_strings

# Raise it when the files change: an index of another version is built again.
VERSION = 2
META = "index.json"
# Larger indexes are compared by the sizes of their files: reading a gigabyte takes seconds.
_SUMMED_BYTES = 256 * 2**20
_READ_BYTES = 2**20
_SORTED, _TEXTS = ("vocabulary", "grams"), ("ids", "instructions", "answers")
_ARRAYS = (
    *("corpus", "suffixes", "starts", "owners", "firsts", "weights", "counts", "lengths"),
    *("posting_offsets", "posting_passages", "posting_counts", "gram_offsets", "gram_words", "gram_totals"),
)

Progress = Callable[[float, str], None]


class Encoder(Protocol):
    """What cuts words into sub-words: a tokenizer, told from others by its fingerprint."""

    @property
    def fingerprint(self) -> str:
        """Name the tokenizer."""

    def encode(self, text: str) -> tuple[int, ...]:
        """Turn text into token ids, adding nothing."""

    def token_bytes(self, token_id: int) -> bytes:
        """Return the bytes one id stands for."""


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance of a tuning set: `answers` holds the text of each assistant turn, in order."""

    id: str
    instruction: str
    answers: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Index:
    """An opened index. Passage = one answer; symbol ids count from 1, 0 ends a passage.

    corpus (S,) big-endian uint32, so that bytes sort as numbers do; suffixes (S,) positions in sorted order;
    starts (P + 1,) first symbol of each passage; owners (P,) its instance; firsts (n,) an instance's first passage;
    weights, counts (V + 1,) by symbol id; posting_* lists (passage, count) of word i at offsets[i]:offsets[i + 1];
    lengths (P,) words per passage; gram_* lists the words
    holding a sub-word, gram_totals (V + 1,) the rarities of a word's sub-words, summed.
    """

    folder: Path
    meta: dict[str, Any]
    corpus: NDArray[np.uint32]
    suffixes: NDArray[np.int32]
    starts: NDArray[np.int64]
    owners: NDArray[np.int32]
    firsts: NDArray[np.int64]
    weights: NDArray[np.uint8]
    counts: NDArray[np.int64]
    lengths: NDArray[np.int32]
    posting_offsets: NDArray[np.int64]
    posting_passages: NDArray[np.int32]
    posting_counts: NDArray[np.uint16]
    gram_offsets: NDArray[np.int64]
    gram_words: NDArray[np.int32]
    gram_totals: NDArray[np.float64]
    vocabulary: Sorted
    grams: Sorted
    ids: Strings
    instructions: Strings
    answers: Strings
    encoder: Encoder | None

    def __len__(self) -> int:
        return len(self.firsts)

    @property
    def passages(self) -> int:
        """Number of answers, over all instances."""
        return len(self.owners)

    def turns(self, position: int) -> range:
        """Return the passages of an instance."""
        following = self.firsts[position + 1] if position + 1 < len(self) else self.passages
        return range(int(self.firsts[position]), int(following))

    def instance(self, position: int) -> Instance:
        """Read one instance by its position in the tuning set."""
        return Instance(
            id=self.ids.text(position),
            instruction=self.instructions.text(position),
            answers=tuple(self.answers.text(passage) for passage in self.turns(position)),
        )

    def find_id(self, wanted: str) -> int | None:
        """Return the position of the instance with this id, or None. Reads every id: for a page, not for a loop."""
        raw = wanted.encode(errors="replace")
        return next((position for position in range(len(self)) if self.ids[position] == raw), None)

    def symbol(self, form: str) -> int | None:
        """Return the id of one folded symbol."""
        return self.symbols([form])[0]

    def symbols(self, forms: Sequence[str]) -> list[int | None]:
        """Return the ids of folded symbols, None for one that the tuning set never has."""
        found = self.vocabulary.find([form.encode(errors="replace") for form in forms])
        return [None if at is None else at + 1 for at in found]

    def words_with(self, grams: Sequence[bytes]) -> list[NDArray[np.int32]]:
        """Return, for each sub-word that the tuning set has, the words that hold it, ascending."""
        rows = [row for row in self.grams.find(grams) if row is not None]
        return [self.gram_words[self.gram_offsets[row] : self.gram_offsets[row + 1]] for row in rows]

    def postings(self, symbol: int) -> tuple[NDArray[np.int32], NDArray[np.uint16]]:
        """Return the passages that hold a word, ascending, and how often each does."""
        rows = slice(self.posting_offsets[symbol], self.posting_offsets[symbol + 1])
        return self.posting_passages[rows], self.posting_counts[rows]

    def passages_of(self, symbols: NDArray[np.int64]) -> NDArray[np.int32]:
        """Return the passages that hold any of several words, word by word."""
        starts = self.posting_offsets[symbols]
        lengths = self.posting_offsets[symbols + 1] - starts
        before = np.cumsum(lengths) - lengths
        rows: NDArray[np.int64] = np.arange(lengths.sum()) + np.repeat(starts - before, lengths)
        return self.posting_passages[rows]

    def frequency(self, symbol: int) -> int:
        """Count the passages that hold a word."""
        return int(self.posting_offsets[symbol + 1] - self.posting_offsets[symbol])


def index_folder(root: Path, sha256: str, encoder: Encoder | None = None) -> Path:
    """Name the folder of an index: the content's hash, and the tokenizer's when it cuts the sub-words."""
    return root / (sha256 if encoder is None else f"{sha256}-{encoder.fingerprint[:12]}")


def is_built(root: Path, sha256: str, encoder: Encoder | None = None) -> bool:
    """Tell whether a complete index of this version lies under `root`."""
    return read_meta(index_folder(root, sha256, encoder)) is not None


def sums_of(folder: Path) -> dict[str, list[int]]:
    """Return the size and the checksum of each file of an index but its own description."""
    return {path.name: [path.stat().st_size, _sum(path)] for path in sorted(folder.glob("*.npy"))}


def _sum(path: Path) -> int:
    checked = 0
    with path.open("rb") as file:
        while piece := file.read(_READ_BYTES):
            checked = zlib.crc32(piece, checked)
    return checked


def _check(folder: Path, sums: dict[str, list[int]]) -> None:
    """Compare files with what was built: small ones byte for byte, by their sum, and all by their size."""
    total = sum(size for size, _ in sums.values())
    for name, (size, checked) in sums.items():
        path = folder / name
        if not path.exists() or path.stat().st_size != size or (total <= _SUMMED_BYTES and _sum(path) != checked):
            raise DamagedError(f"The index of the tuning set is damaged: {name}.", remedy="It is built anew by itself.")


def open_index(root: Path, sha256: str, encoder: Encoder | None = None) -> Index:
    """Open an index without reading it. Raises NotFoundError when it was not built, DamagedError when damaged."""
    folder = index_folder(root, sha256, encoder)
    meta = read_meta(folder)
    if meta is None:
        raise NotFoundError(f"The tuning set {sha256[:12]} has no index.", remedy="Build it first.")
    _check(folder, meta.get("sums", {}))
    try:
        files: dict[str, Any] = {name: load(folder, name) for name in _ARRAYS}
        files |= {name: load_sorted(folder, name) for name in _SORTED}
        files |= {name: load_strings(folder, name) for name in _TEXTS}
    except (FileNotFoundError, ValueError, EOFError) as error:
        raise DamagedError(f"The index of the tuning set is damaged: {error}.", remedy="Remove it.") from error
    return Index(folder=folder, meta=meta, encoder=encoder, **files)


def open_sound(root: Path, sha256: str, encoder: Encoder | None = None) -> Index | None:
    """Open an index that is there and whole; a damaged one is marked as absent, so that it is built anew."""
    if not is_built(root, sha256, encoder):
        return None
    try:
        return open_index(root, sha256, encoder)
    except DamagedError:
        (index_folder(root, sha256, encoder) / META).unlink(missing_ok=True)
        return None


def ensure_index(
    root: Path,
    sha256: str,
    instances: Callable[[], Iterable[Instance]],
    *,
    encoder: Encoder | None = None,
    progress: Progress | None = None,
) -> Index:
    """Open the index of a content, building it first when there is none of this version.

    `progress(done, message)` hears of instances read, then of the last steps. Two builders at once are safe: one wins.
    """
    if (found := open_sound(root, sha256, encoder)) is not None:
        return found
    from app.provenance.build import build_index  # noqa: PLC0415  the sorter is for those who build

    build_index(root, sha256, instances(), encoder=encoder, progress=progress)
    return open_index(root, sha256, encoder)


def read_meta(folder: Path) -> dict[str, Any] | None:
    """Return what a complete index of this version says about itself, or None."""
    try:
        meta = json.loads((folder / META).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return meta if isinstance(meta, dict) and meta.get("version") == VERSION else None
