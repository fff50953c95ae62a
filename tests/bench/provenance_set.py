"""A tuning set as large as wanted: public sets multiplied, each copy with words replaced by words of the same sets.

Perturbation: in copy c > 0 of an instance every word is replaced, with probability 0.3, by a word drawn from all words
of the sets as often as they occur (numpy Generator seeded with `[seed, c, source]`, `source` the instance's place in
the sets). Numbers are replaced by numbers of the same length. Copy 0 is the text as it stands.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from app.provenance.index import Instance
from app.tuning_sets.read import read_data

SETS = (
    "filtered_alpaca_1k_score.json",
    "filtered_alpaca_1k_longest.json",
    "refined_alpaca_1k_longest.json",
    "filtered_evol_instruct_1k_score.json",
)
REPLACED = 0.3
_WORD = re.compile(r"[^\W\d_]+|\d+")


def read_sets(folder: Path) -> list[Instance]:
    """Read the public sets; raises FileNotFoundError naming what is absent."""
    absent = [name for name in SETS if not (folder / name).is_file()]
    if absent:
        raise FileNotFoundError(", ".join(absent))
    return [
        Instance(
            id=f"{name}:{example.id}",
            instruction="\n\n".join(m.content for m in example.messages if m.role == "user"),
            answers=tuple(m.content for m in example.messages if m.role == "assistant"),
        )
        for name in SETS
        for example in read_data(folder / name).examples
    ]


def multiply(instances: list[Instance], size: int, *, seed: int = 0) -> Iterator[Instance]:
    """Yield `size` instances: the sets again and again, every copy after the first perturbed."""
    words = np.array(_WORD.findall(" ".join(answer for instance in instances for answer in instance.answers)))
    words = words[np.char.isalpha(words)]
    for position in range(size):
        copy, source = divmod(position, len(instances))
        instance = instances[source]
        if not copy:
            yield instance
            continue
        random = np.random.default_rng([seed, copy, source])
        answers = tuple(perturb(answer, words, random) for answer in instance.answers)
        yield Instance(f"{copy}:{instance.id}", instance.instruction, answers)


def perturb(text: str, words: np.ndarray, random: np.random.Generator) -> str:
    """Replace about REPLACED of the words and numbers of a text."""
    places = [match.span() for match in _WORD.finditer(text)]
    chosen = random.random(len(places)) < REPLACED
    drawn = iter(words[random.integers(len(words), size=int(chosen.sum()))].tolist())
    parts, last = [], 0
    for (start, end), replaced in zip(places, chosen.tolist(), strict=True):
        if replaced:
            other = next(drawn)
            if text[start].isdigit():
                other = str(random.integers(10 ** (end - start - 1), 10 ** min(end - start, 18)))
            parts += [text[last:start], other]
            last = end
    return "".join([*parts, text[last:]])
