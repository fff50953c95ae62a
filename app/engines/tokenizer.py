"""Text to token ids and back, bytes first, on the `tokenizers` library alone.

No engine's decoded strings are trusted: one id maps to fixed bytes, and text is those bytes decoded in order.
"""

import codecs
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import tokenizers

from app.engines.chat_template import Render, compile_template, find_template
from app.errors import ConfigurationError, InvalidInputError

Template = Literal["chat", "alpaca", "none"]
TEMPLATES: tuple[Template, ...] = get_args(Template)

# The frame of the Alpaca release, for checkpoints tuned without a chat template.
ALPACA_FRAME = (
    "Below is an instruction that describes a task. "
    "Write a response that appropriately completes the request.\n\n### Instruction:\n{prompt}\n\n### Response:"
)

_SPECIAL_NAMES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
_BYTE_FALLBACK = re.compile(r"<0x([0-9A-Fa-f]{2})>")


@dataclass(frozen=True, slots=True)
class Piece:
    """What one token adds to a response: `text` it completes (may be empty) and the bytes it stands for."""

    id: int
    text: str
    bytes: bytes


@dataclass(frozen=True, slots=True, eq=False)
class Tokenizer:
    """One tokenizer folder, read once. `size` is one more than the largest id; ids above have no text."""

    folder: Path
    fingerprint: str
    size: int
    eos_ids: frozenset[int]
    default_template: Template
    vocabulary: Mapping[str, int]
    special_ids: frozenset[int]
    _bytes: tuple[bytes, ...]
    _chat: Render | None
    _inner: tokenizers.Tokenizer

    def encode(self, text: str) -> tuple[int, ...]:
        """Turn text into ids, adding nothing. Raises InvalidInputError for a lone surrogate."""
        return tuple(self._inner.encode(_checked(text), add_special_tokens=False).ids)

    def render(self, prompt: str, *, template: Template) -> tuple[int, ...]:
        """Turn one user prompt into the ids a model continues: `chat`, `alpaca`, or `none` for the raw text.

        Raises InvalidInputError for a lone surrogate, ConfigurationError when there is no chat template.
        """
        if template == "chat":
            return self.encode(self._chat_text(_checked(prompt)))
        text = ALPACA_FRAME.format(prompt=_checked(prompt)) if template == "alpaca" else _checked(prompt)
        # Without a chat template the tokenizer itself adds what its model expects at the start.
        return tuple(self._inner.encode(text).ids)

    def token_bytes(self, token_id: int) -> bytes:
        """Return the bytes one id stands for: for a special token or an id without text, its literal name."""
        if 0 <= token_id < self.size:
            return self._bytes[token_id]
        return _nameless(token_id)

    def is_special(self, token_id: int) -> bool:
        """Tell whether an id adds nothing to the text of a response (specials, ids without a token)."""
        return token_id in self.special_ids or not 0 <= token_id < self.size

    def pieces(self, ids: Iterable[int]) -> tuple[Piece, ...]:
        """Split a whole response into pieces; their texts joined are its text."""
        decoder = Pieces(self)
        pieces = [decoder.push(token_id) for token_id in ids]
        if pieces and (rest := decoder.finish()):
            last = pieces[-1]
            pieces[-1] = Piece(id=last.id, text=last.text + rest, bytes=last.bytes)
        return tuple(pieces)

    def text(self, ids: Iterable[int]) -> str:
        """Return the text of a response; bytes that are not UTF-8 become U+FFFD."""
        return "".join(piece.text for piece in self.pieces(ids))

    def _chat_text(self, prompt: str) -> str:
        if self._chat is None:
            raise ConfigurationError(
                f"{self.folder} has no chat template.", remedy='Set template to "alpaca" or "none" in the registry.'
            )
        return self._chat(prompt)


class Pieces:
    """Decode a response while it streams: a character split over several tokens appears on the last of them."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        """Start before the first token of a response."""
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push(self, token_id: int) -> Piece:
        """Take the next id and return the text it completes."""
        raw = self._tokenizer.token_bytes(token_id)
        text = "" if self._tokenizer.is_special(token_id) else self._decoder.decode(raw)
        return Piece(id=token_id, text=text, bytes=raw)

    def finish(self) -> str:
        """Return what an unfinished character leaves at the end: U+FFFD or nothing. It belongs to the last token."""
        return self._decoder.decode(b"", final=True)


def load_tokenizer(folder: Path) -> Tokenizer:
    """Read `tokenizer.json` and its companions from a folder. Raises ConfigurationError naming the file."""
    file = folder / "tokenizer.json"
    if not file.is_file():
        raise ConfigurationError(
            f"{file} does not exist.", remedy="Save the tokenizer in the fast format (save_pretrained writes it)."
        )
    raw = file.read_bytes()
    try:
        inner = tokenizers.Tokenizer.from_buffer(raw)
        spec = json.loads(raw)
    except Exception as error:  # the library raises bare Exception
        raise ConfigurationError(
            f"{file} is not a readable tokenizer: {error}.", remedy="Copy the file again from its source."
        ) from error
    # A length limit saved with the tokenizer would cut prompts without a word.
    inner.no_truncation()
    inner.no_padding()
    return _assemble(folder, inner, spec, fingerprint=hashlib.sha256(raw).hexdigest())


def _assemble(folder: Path, inner: tokenizers.Tokenizer, spec: dict[str, Any], *, fingerprint: str) -> Tokenizer:
    config = read_json(folder / "tokenizer_config.json")
    names = _special_names(config)
    source = find_template(folder, config)
    vocabulary = inner.get_vocab(with_added_tokens=True)
    added = {token["id"]: token for token in spec.get("added_tokens", [])}
    table, nameless = _byte_table(vocabulary, added, spec)
    return Tokenizer(
        folder=folder,
        fingerprint=fingerprint,
        size=len(table),
        eos_ids=_eos_ids(folder, names, vocabulary),
        default_template="none" if source is None else "chat",
        vocabulary=vocabulary,
        special_ids=frozenset(token_id for token_id, token in added.items() if token.get("special")) | nameless,
        _bytes=table,
        _chat=None if source is None else compile_template(source, names, where=folder),
        _inner=inner,
    )


def read_json(file: Path) -> dict[str, Any]:
    """Read a JSON object, or {} when the file does not exist. Raises ConfigurationError naming the file."""
    if not file.is_file():
        return {}
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigurationError(f"{file} is not JSON: {error}.", remedy="Copy it again from its source.") from error
    if not isinstance(value, dict):
        raise ConfigurationError(f"{file} does not hold a JSON object.", remedy="Copy it again from its source.")
    return value


def _special_names(config: Mapping[str, Any]) -> dict[str, str]:
    names = {}
    for key in _SPECIAL_NAMES:
        value = config.get(key)
        text = value.get("content") if isinstance(value, dict) else value
        if isinstance(text, str):
            names[key] = text
    return names


def _eos_ids(folder: Path, names: Mapping[str, str], vocabulary: Mapping[str, int]) -> frozenset[int]:
    ids: set[int] = set()
    for file in ("generation_config.json", "config.json"):
        value = read_json(folder / file).get("eos_token_id")
        if value is not None:
            ids.update(value if isinstance(value, list) else [value])
            break
    if names.get("eos_token") in vocabulary:
        ids.add(vocabulary[names["eos_token"]])
    return frozenset(ids)


def _byte_table(
    vocabulary: Mapping[str, int], added: Mapping[int, Any], spec: Mapping[str, Any]
) -> tuple[tuple[bytes, ...], frozenset[int]]:
    """Return the bytes of every id up to the largest, and the ids that have no token."""
    to_bytes = _token_reader(spec)
    table: list[bytes | None] = [None] * (max(vocabulary.values(), default=-1) + 1)
    for token, token_id in vocabulary.items():
        table[token_id] = token.encode() if token_id in added else to_bytes(token)
    nameless = frozenset(token_id for token_id, raw in enumerate(table) if raw is None)
    return tuple(_nameless(token_id) if raw is None else raw for token_id, raw in enumerate(table)), nameless


def _nameless(token_id: int) -> bytes:
    return f"<id {token_id}>".encode()


def _token_reader(spec: Mapping[str, Any]) -> Callable[[str], bytes]:
    """Choose how a vocabulary entry spells bytes, from the decoder the tokenizer names."""
    kinds = {part.get("type") for part in _flatten(spec.get("decoder"))}
    if "ByteLevel" in kinds:
        return _read_byte_level
    if kinds & {"ByteFallback", "Metaspace"} or spec["model"].get("byte_fallback"):
        return _read_sentencepiece
    return str.encode


def _flatten(part: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    if not part:
        return []
    return [part, *(leaf for inner in part.get("decoders", ()) for leaf in _flatten(inner))]


def _byte_level_alphabet() -> dict[str, int]:
    """Invert GPT-2's table: printable Latin-1 bytes spell themselves, the others code points from 256 up."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + n): byte for n, byte in enumerate(others)}


_ALPHABET = _byte_level_alphabet()


def _read_byte_level(token: str) -> bytes:
    try:
        return bytes(_ALPHABET[char] for char in token)
    except KeyError:
        # An entry outside the byte alphabet was added by hand and spells itself.
        return token.encode()


def _read_sentencepiece(token: str) -> bytes:
    fallback = _BYTE_FALLBACK.fullmatch(token)
    return bytes([int(fallback[1], 16)]) if fallback else token.replace("\u2581", " ").encode()


def _checked(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInputError(
            f"The text has half of a surrogate pair at character {error.start + 1}, which no model can read.",
            remedy="Remove that character and try again.",
        ) from error
    return text


PROBE = (
    "Hello, W\u00f6rld! 12345 na\u00efve 3.14\u2026 \u5317\u4eac \U0001f642\n\n"
    "\tdef f(x):  return x ** 2\u2014it's done."
)


def compare(base: Tokenizer, tuned: Tokenizer, *, names: tuple[str, str] = ("base", "this checkpoint")) -> str | None:
    """Say how two tokenizers differ on text both should read alike, or None. Extra ids of `tuned` are fine.

    They are compared by what they do: ids of a probe string, then every shared vocabulary entry. `names` says whose
    they are.
    """
    if base.fingerprint == tuned.fingerprint:
        return None
    first, second = names
    ours, theirs = base.encode(PROBE), tuned.encode(PROBE)
    if ours != theirs:
        return f"the probe text becomes {_shown(ours)} under {first} and {_shown(theirs)} under {second}"
    for token, token_id in base.vocabulary.items():
        other = tuned.vocabulary.get(token)
        if other != token_id and not base.is_special(token_id):
            return (
                f"the probe text becomes {_shown(ours)} under both, "
                f"but the token {token!r} is id {token_id} under {first} and {other} under {second}"
            )
    return None


def mismatch(one: Tokenizer, other: Tokenizer, *, names: tuple[str, str]) -> str | None:
    """Say why ids of one mean something else to the other, or None. Extra ids are fine, whichever side has them."""
    return compare(one, other, names=names) and compare(other, one, names=(names[1], names[0]))


def _shown(ids: tuple[int, ...]) -> str:
    head = ", ".join(map(str, ids[:12]))
    return f"{len(ids)} ids ({head}{', ...' if len(ids) > 12 else ''})"  # noqa: PLR2004 - enough to tell two apart
