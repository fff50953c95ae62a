"""What a file of finished responses, or of practice and gold items, says. Pure; every refusal names its row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from app.studies.checking_rows import MAX_TEXT, known_problem
from app.studies.design import SPECIAL_ARMS, KnownItem
from app.studies.forms import LIMITS
from app.studies.records import BadFileError, Record, read_records
from app.studies.rules import stratum_of, stratum_problem, text_problem, too_many_strata

_PROMPT, _RESPONSE, _MODEL = ("prompt", "instruction"), ("response", "output"), ("model", "generator")
_KNOWN = {"kind": "", "prompt": "", "better": "", "worse": "", "expected": "better", "why": ""}


@dataclass(frozen=True, slots=True)
class Finished:
    """Responses of one arm: texts by the study's own spelling of the prompt."""

    arm: str
    responses: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class FinishedFile:
    """What a file answers: per arm; `unasked` rows answer no prompt of the study and are left out.

    `strata` are those of the file's own prompts that have one.
    """

    arms: tuple[Finished, ...]
    prompts: tuple[str, ...]
    unasked: int
    strata: Mapping[str, str] = field(default_factory=dict)


def read_finished(text: str, *, arm: str, prompts: Sequence[str], max_chars: int) -> FinishedFile:
    """Read finished responses, by `prompt`, `response`, `model` or alpaca_eval's `instruction`, `output`, `generator`.

    Without `prompts` the file's own become the study's. `arm` names the arm of a file of one model; a file of several
    makes an arm of each. Raises BadFileError naming every wrong row; or when nothing in it answers a prompt.
    """
    problems: list[str] = []
    known = {_plain(prompt): prompt for prompt in prompts}
    found: dict[str, dict[str, str]] = {}
    rows: dict[tuple[str, str], int] = {}
    unasked, strata = 0, dict[str, str]()
    for record in read_records(text):
        prompt, response, model = (_field(record, names) for names in (_PROMPT, _RESPONSE, _MODEL))
        problem = _finished_problem(prompt, response, model, max_chars) or stratum_problem(stratum_of(record.fields))
        if problem:
            problems.append(f"Row {record.row} {problem}.")
            continue
        asked = known.get(_plain(str(prompt)), "" if prompts else str(prompt))
        if not asked:
            unasked += 1
            continue
        place = (str(model or ""), _plain(asked))
        if place in rows:
            problems.append(f"Row {record.row} answers the same prompt as row {rows[place]}.")
            continue
        rows[place] = record.row
        spelt = known.setdefault(_plain(asked), asked)
        found.setdefault(place[0], {})[spelt] = str(response)
        if not prompts:
            strata.setdefault(spelt, str(stratum_of(record.fields) or "").strip())
    if not problems and not found:
        problems.append("No row answers a prompt of this study. Prompts are matched as written, but for outer blanks.")
    arms = _arms(found, arm, problems)
    problems += too_many_strata(strata)
    if problems:
        raise BadFileError(problems)
    return FinishedFile(arms, tuple(known.values()), unasked, strata)


def finished_of(answers: Mapping[str, Mapping[str, str]]) -> FinishedFile:
    """Make a file's answers, by prompt and model, the responses of an arm each. Raises BadFileError for wrong names."""
    found: dict[str, dict[str, str]] = {}
    for prompt, texts in answers.items():
        for model, text in texts.items():
            found.setdefault(model, {})[prompt] = text
    problems: list[str] = []
    arms = _arms(found, "", problems)
    if problems:
        raise BadFileError(problems)
    return FinishedFile(arms, tuple(answers), 0)


def _plain(prompt: str) -> str:
    return prompt.replace("\r\n", "\n").strip()


def _field(record: Record, names: tuple[str, str]) -> object:
    return next((record.fields[name] for name in names if record.fields.get(name) is not None), None)


def _finished_problem(prompt: object, response: object, model: object, max_chars: int) -> str:
    if not isinstance(prompt, str):
        return "has no text under `prompt` or `instruction`"
    if not isinstance(response, str):
        return "has no text under `response` or `output`"
    if model is not None and not isinstance(model, str):
        return "names its model with something that is no text"
    wrong = text_problem(prompt, max_chars)
    if wrong:
        return f"has a prompt that {wrong}"
    wrong = text_problem(response, MAX_TEXT)
    return f"has a response that {wrong}" if wrong else ""


def _arms(found: Mapping[str, Mapping[str, str]], arm: str, problems: list[str]) -> tuple[Finished, ...]:
    arm = arm.strip()
    several = len(found) > 1
    arms = [Finished((model if several else arm or model).strip(), responses) for model, responses in found.items()]
    for one in arms:
        if not one.arm and several:
            problems.append("Some rows name a model and some do not. Name it in all of them, or in none.")
        elif not one.arm:
            problems.append("The file names no model, so say what the arm is called.")
        elif one.arm in SPECIAL_ARMS:
            problems.append(f"{one.arm!r} is the name of an arm of practice items; choose another.")
        elif text_problem(one.arm, 200):
            problems.append(f"{one.arm[:60]!r} cannot be the name of an arm: it {text_problem(one.arm, 200)}.")
    if len(arms) > LIMITS["arm"]:
        problems.append(
            f"The file names {len(arms)} models; a study has at most {LIMITS['arm']} arms. Of judgments, "
            "`tuneshift judgments pick` keeps those of some models."
        )
    if len({one.arm for one in arms}) < len(arms):
        problems.append("Two models of the file differ only in outer blanks.")
    return tuple(arms)


def read_known(text: str, *, prompts: Sequence[str], max_chars: int) -> tuple[KnownItem, ...]:
    """Read practice and gold items from `kind`, `prompt`, `better`, `worse`, `expected`, `why`.

    `prompts` are those the study has already, of either sort. Raises BadFileError naming every wrong row.
    """
    problems: list[str] = []
    items: list[KnownItem] = []
    taken = dict.fromkeys(prompts, "is in the study already")
    for record in read_records(text):
        values = {name: record.fields.get(name) or start for name, start in _KNOWN.items()}
        row = {name: value for name, value in values.items() if isinstance(value, str)}
        if len(row) < len(values):
            wrong = ", ".join(sorted(values.keys() - row.keys()))
            problems.append(f"Row {record.row} has something that is no text under {wrong}.")
            continue
        problem = known_problem(row, max_chars) or f"Its prompt {taken.get(row['prompt'], '')}."
        if problem != "Its prompt .":
            problems.append(f"Row {record.row}: {problem}")
            continue
        taken[row["prompt"]] = f"repeats row {record.row}"
        items.append(KnownItem(**row))
    if len(items) > LIMITS["known"]:
        problems.append(f"There are {len(items)} items; a study has at most {LIMITS['known']} practice and gold items.")
    if problems:
        raise BadFileError(problems)
    return tuple(items)
