"""Check the rows of the set-up form: dimensions, comprehension questions, practice and gold items. Pure."""

import re
from collections.abc import Collection, Sequence

from app.studies.design import EXPECTED, CheckQuestion, KnownItem
from app.studies.forms import LIMITS, Row
from app.studies.questions import Dimension
from app.studies.rules import text_problem

MAX_LINE = 300
MAX_TEXT = 100_000
_CHOICES = range(2, 9)
# Names the judging page's own fields have.
_RESERVED = frozenset({"acceptable"})


def dimension_name(title: str) -> str:
    """Make a machine name of a title: lower-case letters, digits and underscores, at most 40."""
    return "_".join(re.findall(r"[a-z0-9]+", title.casefold()))[:40].strip("_")


def read_dimensions(rows: Sequence[Row], found: dict[str, str]) -> tuple[Dimension, ...]:
    """Read what is rated from 1 to 5; a name stays when its title changes, so that exports stay comparable."""
    read: list[Dimension] = []
    for at, row in enumerate(rows):
        title = row["title"].strip()
        name = row["name"] if re.fullmatch(r"[a-z0-9_]{1,40}", row["name"]) else dimension_name(title)
        anchors = [row[f"a{value}"].strip() for value in range(1, 6)]
        problem = _dimension_problem(title, name, anchors, {one.name for one in read})
        if problem:
            found[f"dimension-{at}"] = problem
            continue
        first, second, third, fourth, fifth = anchors
        read.append(Dimension(name, title, (first, second, third, fourth, fifth)))
    if len(rows) > LIMITS["dimension"]:
        found["dimensions"] = f"At most {LIMITS['dimension']} dimensions are rated."
    return tuple(read)


def _dimension_problem(title: str, name: str, anchors: list[str], taken: Collection[str]) -> str:
    checks = {
        "Give the dimension a title, or take it away.": not title,
        f"A title has at most 60 characters; this one has {len(title)}.": len(title) > 60,  # noqa: PLR2004  one line
        "A title needs a letter from a to z or a digit.": not name,
        f"Two dimensions are called {name!r}. Give one another title.": name in taken,
        f"{title!r} is taken by another question; choose another title.": name in _RESERVED,
        "Say what 1 and 5 mean.": not (anchors[0] and anchors[4]),
        f"What a value means is said in at most {MAX_LINE} characters.": any(len(one) > MAX_LINE for one in anchors),
    }
    return next((sentence for sentence, wrong in checks.items() if wrong), "")


def read_comprehension(rows: Sequence[Row], found: dict[str, str]) -> tuple[CheckQuestion, ...]:
    """Read the questions of the comprehension check; choices stand one per line."""
    read: list[CheckQuestion] = []
    for at, row in enumerate(rows):
        choices = tuple(line.strip() for line in row["choices"].split("\n") if line.strip())
        right = row["right"].strip()
        number = int(right) if right.isascii() and right.isdecimal() and len(right) <= 2 else 0  # noqa: PLR2004
        checks = {
            "Write the question, or take it away.": not row["question"].strip(),
            f"Write {_CHOICES[0]} to {_CHOICES[-1]} choices, one per line.": len(choices) not in _CHOICES,
            "Two choices are the same.": len(set(choices)) < len(choices),
            f"Say which choice is right: a number from 1 to {len(choices)}.": not 1 <= number <= len(choices),
            f"A question has at most {10 * MAX_LINE:,} characters.": _too_long(row),
        }
        problem = next((sentence for sentence, wrong in checks.items() if wrong), "")
        if problem:
            found[f"question-{at}"] = problem
        else:
            read.append(CheckQuestion(row["question"].strip(), choices, number - 1, row["why"].strip()))
    if len(rows) > LIMITS["question"]:
        found["questions"] = f"A check has at most {LIMITS['question']} questions."
    return tuple(read)


def _too_long(row: Row) -> bool:
    return max(map(len, (row["question"], row["choices"], row["why"]))) > 10 * MAX_LINE


def read_known_items(
    rows: Sequence[Row], prompts: Collection[str], found: dict[str, str], *, max_chars: int
) -> tuple[KnownItem, ...]:
    """Read practice and gold items. None may repeat another or a prompt of the study."""
    read: list[KnownItem] = []
    taken = set(prompts)
    for at, row in enumerate(rows):
        problem = known_problem(row, max_chars) or ("This prompt is in the study already." * (row["prompt"] in taken))
        if problem:
            found[f"known-{at}"] = problem
            continue
        taken.add(row["prompt"])
        read.append(
            KnownItem(row["kind"], row["prompt"], row["better"], row["worse"], row["expected"], row["why"].strip())
        )
    if len(rows) > LIMITS["known"]:
        found["known_items"] = f"A study has at most {LIMITS['known']} practice and gold items."
    return tuple(read)


def known_problem(row: Row, max_chars: int) -> str:
    """Say what is wrong with a practice or gold item by itself; nothing when it is right."""
    limits = {"prompt": max_chars, "better": MAX_TEXT, "worse": MAX_TEXT}
    for name, limit in limits.items():
        wrong = text_problem(row[name], limit)
        if wrong:
            return f"Its {'prompt' if name == 'prompt' else f'{name} response'} {wrong}."
    checks = {
        "Choose practice or gold.": row["kind"] not in ("practice", "gold"),
        f"Expected is one of {', '.join(EXPECTED)}.": row["expected"] not in EXPECTED,
        "Both responses are the same, so neither can be the better one.": row["better"] == row["worse"],
        "Say why, so that people learn from it.": row["kind"] == "practice" and not row["why"].strip(),
        "Its reason contains a character that cannot be stored.": bool(row["why"])
        and "contains" in text_problem(row["why"], MAX_TEXT),
        f"Why is said in at most {10 * MAX_LINE:,} characters.": len(row["why"]) > 10 * MAX_LINE,
    }
    return next((sentence for sentence, wrong in checks.items() if wrong), "")
