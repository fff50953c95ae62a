"""The patterns of the leak scan, read from `patterns.toml`, and those made of a study's own names. Pure."""

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

_FILE = Path(__file__).with_name("patterns.toml")
_SHORTEST = 3


@dataclass(frozen=True, slots=True)
class Pattern:
    """A regular expression, tried only where one of `needs` stands in the lowered text.

    With `unless_prompted`, what the prompt says too is no sign of who answered.
    """

    compiled: re.Pattern[str]
    needs: tuple[str, ...]
    detail: str
    unless_prompted: bool = False


@cache
def load_patterns() -> dict[str, tuple[Pattern, ...]]:
    """Read the patterns that ship, by the kind of flag they raise."""
    data = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    names = {"{models}": data["models"], "{developers}": data["developers"]}
    return {kind: tuple(_pattern(entry, names) for entry in data[kind]) for kind in ("self_identification", "template")}


def _pattern(entry: dict[str, Any], names: dict[str, list[str]]) -> Pattern:
    source = entry["pattern"]
    for placeholder, alternatives in names.items():
        source = source.replace(placeholder, _either(alternatives))
    needs = [need for one in entry["needs"] for need in names.get(one, [one])]
    return Pattern(
        compiled=re.compile(source, re.IGNORECASE | re.MULTILINE),
        needs=tuple(need.lower() for need in needs),
        detail=entry["detail"],
        unless_prompted=entry.get("unless_prompted", False),
    )


def _either(names: Iterable[str]) -> str:
    return "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))


def names_pattern(names: Iterable[str]) -> tuple[Pattern, ...]:
    """Make patterns of a study's own names; those that are also in the prompt are no sign of who answered.

    A name with a digit or a sign in it, or without a vowel (`sft`), is found wherever it stands. One that could be a
    word (`base`) is found only where the response says that it is it.
    """
    known = sorted({name.strip() for name in names if len(name.strip()) >= _SHORTEST})
    plain = [name for name in known if _is_word(name)]
    telling = [name for name in known if not _is_word(name)]
    found = []
    if telling:
        found.append(_own(rf"(?<!\w)(?:{_either(telling)})(?!\w)", telling, "a name of this study"))
    if plain:
        said = rf"\b(?:i(?:['\u2019]m| am)|my name is|as)(?: the| an?)? (?:{_either(plain)}) (?:model|checkpoint|arm)\b"
        found.append(_own(said, plain, "says which arm it is"))
    return tuple(found)


def _own(source: str, names: list[str], detail: str) -> Pattern:
    needs = tuple(name.lower() for name in names)
    return Pattern(re.compile(source, re.IGNORECASE), needs, detail, unless_prompted=True)


def _is_word(name: str) -> bool:
    return name.isalpha() and re.search(r"[aeiouy]", name, re.IGNORECASE) is not None
