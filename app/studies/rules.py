"""Reading prompts that a researcher pasted, and checking what a study is called. Pure; every refusal names its row."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

MAX_PROMPTS = 10_000
MAX_ERRORS_SHOWN = 8
MAX_STRATA = 40
MAX_STRATUM_CHARS = 80
# What results call the prompts that have no stratum where others have one.
NO_STRATUM = "(none)"
_STRATUM = ("stratum", "category")

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


class BadRowsError(ValueError):
    """What somebody sent cannot be used; `problems` names each row and why. Nothing of it was kept."""

    def __init__(self, problems: list[str]) -> None:
        """Keep the first problems apart for a list, joined for a sentence."""
        shown = problems[:MAX_ERRORS_SHOWN]
        if len(problems) > len(shown):
            shown.append(f"{len(problems) - len(shown)} more rows have problems.")
        super().__init__(" ".join(shown))
        self.problems = shown


class BadPromptsError(BadRowsError):
    """Pasted prompts cannot be used."""


@dataclass(frozen=True, slots=True)
class _Row:
    number: int
    prompt: object
    stratum: object = None


def read_prompts(text: str, *, max_chars: int) -> list[str]:
    """Read prompts as `read_strata` does, without their strata."""
    return list(read_strata(text, max_chars=max_chars))


def read_strata(text: str, *, max_chars: int) -> dict[str, str]:
    """Read prompts from JSON Lines (`{"prompt": …}`), CSV with a `prompt` column, or one per line; blanks are skipped.

    Returns the stratum of each, from `stratum` or else `category`; empty where there is none. Raises BadPromptsError
    naming every row that is empty, too long, no text, or a repetition.
    """
    if "\n" not in text:
        text = text.replace("\r", "\n")
    problems: list[str] = []
    seen: dict[str, int] = {}
    strata: dict[str, str] = {}
    for row in _reader(text)(text, problems):
        problem = _problem(row, seen, max_chars) or stratum_problem(row.stratum)
        if problem:
            problems.append(f"Row {row.number} {problem}.")
        else:
            seen[str(row.prompt)] = row.number
            strata[str(row.prompt)] = str(row.stratum or "").strip()
    if not problems and not seen:
        problems.append("There are no prompts. Paste at least one.")
    if len(seen) > MAX_PROMPTS:
        problems.append(f"There are {len(seen)} prompts; a study takes at most {MAX_PROMPTS}.")
    problems += too_many_strata(strata)
    if problems:
        raise BadPromptsError(problems)
    return strata


def stratum_of(fields: Mapping[str, object]) -> object:
    """Return what a record says its stratum is; None where it says nothing."""
    return next((fields[name] for name in _STRATUM if fields.get(name)), None)


def stratum_problem(stratum: object) -> str:
    """Say what is wrong with a prompt's stratum, as the end of a sentence; nothing when it is right or missing."""
    if stratum is None or (isinstance(stratum, str) and not stratum.strip()):
        return ""
    if not isinstance(stratum, str):
        return "has something that is no text under `stratum`"
    problem = text_problem(stratum.strip(), MAX_STRATUM_CHARS)
    if stratum.strip() == NO_STRATUM:
        problem = "is what results call having none"
    return f"has a stratum that {problem}" if problem else ""


def too_many_strata(strata: Mapping[str, str]) -> list[str]:
    """Complain where there are more strata than results can be given for."""
    several = len(set(strata.values()))
    if several <= MAX_STRATA:
        return []
    sentence = f"There are {several} strata; a study takes at most {MAX_STRATA}. Merge some, or leave the column out."
    return [sentence]


def _problem(row: _Row, seen: dict[str, int], max_chars: int) -> str:
    prompt = row.prompt
    if not isinstance(prompt, str):
        return "has no text under `prompt`"
    return text_problem(prompt, max_chars) or (f"repeats row {seen[prompt]}" if prompt in seen else "")


def text_problem(text: str, max_chars: int) -> str:
    """Say what is wrong with a text that is to be stored, as the end of a sentence; nothing when it is right."""
    if not text.strip():
        return "is empty"
    if _UNSTORABLE.search(text):
        return "contains a NUL character or half of a surrogate pair"
    if len(text) > max_chars:
        return f"has {len(text)} characters; the limit is {max_chars}"
    return ""


def _reader(text: str) -> Callable[[str, list[str]], Iterator[_Row]]:
    head = text.lstrip("\ufeff \t\r\n")
    if head.startswith("{"):
        return _json_lines
    try:
        first = next(csv.reader([head.split("\n", 1)[0]]), []) if head else []
    except csv.Error:
        # No header is as long as csv's limit for a field, or holds a bare carriage return.
        first = []
    return _csv if "prompt" in (name.strip() for name in first) else _plain


def _json_lines(text: str, problems: list[str]) -> Iterator[_Row]:
    # Not splitlines(): a JSON string may hold U+2028 and its like unescaped.
    for number, line in enumerate(text.lstrip("\ufeff").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            problems.append(f"Row {number} is not JSON: {error}.")
            continue
        fields = record if isinstance(record, dict) else {}
        yield _Row(number, fields.get("prompt"), stratum_of(fields))


def _csv(text: str, problems: list[str]) -> Iterator[_Row]:
    reader = csv.DictReader(io.StringIO(text.lstrip("\ufeff \t\r\n"), newline=""), strict=True)
    try:
        reader.fieldnames = [name.strip() for name in reader.fieldnames or []]
        for number, record in enumerate(reader, start=2):
            yield _Row(number, record["prompt"], stratum_of(record))
    except csv.Error as error:
        problems.append(f"The CSV breaks off after line {reader.line_num}: {error}.")


def _plain(text: str, _problems: list[str]) -> Iterator[_Row]:
    for number, line in enumerate(text.lstrip("\ufeff").replace("\r\n", "\n").split("\n"), start=1):
        if line.strip():
            yield _Row(number, line.strip())


def prompts_text(prompts: Sequence[str], strata: Mapping[str, str] | None = None) -> str:
    """Write prompts so that `read_strata` gives them back.

    That is one per line, or JSON Lines where one has several lines or a stratum.
    """
    plain = "\n".join(prompts)
    known = {prompt: stratum for prompt, stratum in (strata or {}).items() if stratum}
    try:
        if not known and tuple(read_prompts(plain, max_chars=len(plain) + 1)) == tuple(prompts):
            return plain
    except BadPromptsError:
        pass
    rows = ({"prompt": one} | ({"stratum": known[one]} if one in known else {}) for one in prompts)
    return "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)


def slug_of(name: str) -> str:
    """Make an address out of a name: lower-case letters, digits and single hyphens, at most 80."""
    words = re.findall(r"[a-z0-9]+", name.casefold())
    return "-".join(words)[:80].strip("-")


def is_slug(text: str) -> bool:
    """Tell whether a text can be a study's address."""
    return len(text) <= 80 and _SLUG.fullmatch(text) is not None  # noqa: PLR2004  the column's width


def named_arms(text: str, names: Iterable[str]) -> list[str]:
    """List the names that stand in a text as words of their own; such a text would tell annotators who wrote what."""
    return [name for name in names if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text, re.IGNORECASE)]


DEFAULT_GUIDELINES = """\
Read the prompt, then both responses to the end. Judge what is written, not how long it is or who might have written it.

**Rate each response** on its own from 1 (worst) to 5 (best):

* **Helpfulness**: does it do what was asked?
* **Clarity**: is it well ordered and easy to follow?
* **Factuality**: are its claims right, as far as you can tell? You may look things up.
* **Depth**: does it go as deep as the question deserves?
* **Engagement**: is it natural and pleasant to read?

**Mark every passage** that is wrong, invented or contradicts the prompt. Minor: it hardly misleads. Major: it does.

**Only then say which response is better.** If both are about equal, say whether both are good or both are bad. \
If you cannot judge, say why; that is a useful answer too."""
