"""What a guess at who wrote a response names: an arm of the study, and perhaps the side it is said to stand on."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from app.results.report.tables import Text

# What people call a model by how it was made; such a word names an arm where one arm alone is so called.
ROLES: Mapping[str, tuple[str, ...]] = {
    "base": ("base", "base model", "untuned", "pretrained", "pre-trained", "foundation model"),
    "lft": ("lft", "lora", "qlora", "low-rank", "adapter"),
    "sft": (
        "sft", "full fine-tuning", "full finetuning", "full fine tuning", "full fine-tune", "full finetune",
        "fully fine-tuned", "fully finetuned", "fully fine tuned", "full-parameter", "full tuning", "fully tuned",
    ),
}  # fmt: skip
LEFT, RIGHT = 0, 1
# A alone is mostly an article, so it is a side only where nothing else can be meant.
_SIDES = (
    (
        LEFT,
        r"\bleft\b|\b(?:response|answer|model|side)\s+a\b|(?-i:\bA\b)(?=\s*(?:[=:,)/.]|is\b|was\b|looks?\b|seems?\b))",
    ),
    (RIGHT, r"\bright\b|\b(?:response|answer|model|side)\s+b\b|(?-i:\bB\b)"),
)
_SIDE = re.compile("|".join(f"(?P<side{side}>{words})" for side, words in _SIDES), re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Guess:
    """Which arms a text names, each with the side it is said to stand on, or None where no side is named."""

    named: tuple[tuple[str, int | None], ...] = ()


def terms_of(arms: Sequence[str], texts: Mapping[tuple[str, str], Text]) -> dict[str, str]:
    """Tell which words name which arm: its name, its checkpoint's, and its role where no other arm has that role.

    An arm has the role of which a word stands in its name or in its checkpoint's. Words are lower-case. A word that
    would name two arms names none.
    """
    called: dict[str, set[str]] = {arm: {arm.casefold()} for arm in arms}
    for (_, arm), text in texts.items():
        if arm in called and text.checkpoint:
            called[arm].add(text.checkpoint.casefold())
    words = [(word, arm) for arm, names in called.items() for word in names]
    for synonyms in ROLES.values():
        having = [arm for arm, names in called.items() if any(_stands_in(synonyms, name) for name in names)]
        words += [(word, having[0]) for word in synonyms if len(having) == 1]
    owners: dict[str, set[str]] = {}
    for word, arm in words:
        owners.setdefault(word, set()).add(arm)
    exact = {arm.casefold(): arm for arm in arms}
    terms = {word: next(iter(some)) for word, some in owners.items() if len(some) == 1}
    return terms | (exact if len(exact) == len(arms) else {})


def _stands_in(words: Iterable[str], name: str) -> bool:
    parts = re.split(r"[^a-z0-9]+", name)
    return any(word in parts or (" " in word and word in name) for word in words)


def pattern_of(terms: Iterable[str]) -> re.Pattern[str]:
    """Make the pattern that finds them as words of their own, the longest first."""
    longest = sorted(terms, key=lambda term: (-len(term), term))
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest)) or '(?!)'})(?!\w)", re.IGNORECASE)


def read_guess(text: str, terms: Mapping[str, str], pattern: re.Pattern[str]) -> Guess:
    """Read a guess. One arm without a side, or arms with as many sides, in order; anything else names nothing."""
    arms = [terms[word] for word in (found.group().casefold() for found in pattern.finditer(text)) if word in terms]
    # Only what is no name can be a side: an arm may be called "right".
    rest = pattern.sub("_", text)
    sides = [LEFT if found.group("side0") else RIGHT for found in _SIDE.finditer(rest)]
    arms = list(dict.fromkeys(arms))
    sides = list(dict.fromkeys(sides))
    if len(arms) == 1 and not sides:
        return Guess(((arms[0], None),))
    if arms and len(arms) == len(sides):
        return Guess(tuple(zip(arms, sides, strict=True)))
    return Guess()


def verdict(guess: Guess, left: str, right: str, arms: int) -> tuple[int, int]:
    """Return 1 for right, -1 for wrong, 0 for no guess; and how many of the arms would have made it right.

    Without a side two arms would; a study of two arms alone can then not be guessed wrong, so nothing was guessed.
    """
    if not guess.named:
        return 0, 1
    if guess.named[0][1] is None:
        if arms <= 2:  # noqa: PLR2004  both are always shown
            return 0, 1
        return (1 if guess.named[0][0] in (left, right) else -1), 2
    stood = [(left, right)[side or 0] == arm for arm, side in guess.named]
    return (1 if all(stood) else 0 if any(stood) else -1), 1
