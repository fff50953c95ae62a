"""Turn the set-up form into a design, and find everything that is wrong with it, each beside its field. Pure.

What is wrong is left at a default in the design, so that a preview can be drawn of a form that is not finished.
"""

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time

from app.studies.checking_rows import read_comprehension, read_dimensions, read_known_items
from app.studies.design import SPECIAL_ARMS, Design, NewArm, every_pair
from app.studies.forms import LIMITS, SetupForm, pair_value
from app.studies.questions import EvidenceQuestion, Questions
from app.studies.rules import BadPromptsError, is_slug, read_strata, slug_of

MAX_OVERLAP = 100
MAX_GUIDELINES = 50_000
MAX_COUNT = 1_000_000
_LARGEST = 2**31 - 1
_WITHDRAWAL = ("keep", "exclude")
_RECOGNISED = ("item", "end", "")


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the form is checked against: checkpoints and tuning sets there are, the server's limits, the time.

    `imported` are the study's arms that answer without a checkpoint.
    """

    checkpoints: Collection[str]
    tuning_sets: Collection[str]
    max_prompt_chars: int
    max_tokens: int
    now: datetime
    imported: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Checked:
    """A design as far as it could be read, and what is wrong, by the name of the field."""

    design: Design
    problems: Mapping[str, str]


def check_form(form: SetupForm, bounds: Bounds) -> Checked:
    """Check a whole form. Nothing of a form with problems may be stored."""
    found: dict[str, str] = {}
    design = _about(form, bounds, found)
    arms = _arms(form, bounds, found)
    design = replace(
        design,
        arms=arms,
        pairs=_pairs(form, [arm.name for arm in arms], found),
        questions=_questions(form, bounds, found),
        comprehension=read_comprehension(form.rows["question"], found),
        known_items=read_known_items(
            form.rows["known"], design.prompts or (), found, max_chars=bounds.max_prompt_chars
        ),
    )
    return Checked(_work(form, design, bounds, found), found)


def check_name(text: str, found: dict[str, str]) -> str:
    """Read a study's name."""
    name = text.strip()
    if not name:
        found["name"] = "A study needs a name."
    elif len(name) > 200:  # noqa: PLR2004  the column's width
        found["name"] = f"A name has at most 200 characters; this one has {len(name)}."
    return name


def check_guidelines(text: str, found: dict[str, str]) -> str:
    """Read the guidelines."""
    if len(text) > MAX_GUIDELINES:
        found["guidelines"] = f"They have {len(text):,} characters; the limit is {MAX_GUIDELINES:,}."
    return text.strip()


def check_number(text: str, field: str, found: dict[str, str], *, low: int = 1, high: int = MAX_COUNT) -> int | None:
    """Read a whole number from `low` to `high`; an empty field is None."""
    text = text.strip()
    if not text:
        return None
    if text.isascii() and text.isdecimal() and len(text) <= 10 and low <= int(text) <= high:  # noqa: PLR2004
        return int(text)
    found[field] = f"A whole number from {low} to {high:,} is needed, not {text[:20]!r}."
    return None


def check_day(text: str, now: datetime, found: dict[str, str]) -> datetime | None:
    """Read a last day as its last second, UTC."""
    if not text.strip():
        return None
    try:
        day = datetime.strptime(text.strip(), "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        found["ends_on"] = f"A day is written like 2030-01-31, not {text[:20]!r}."
        return None
    if day.date() < now.date():
        found["ends_on"] = f"{day:%Y-%m-%d} is over. Choose today or later, or leave it empty."
    return datetime.combine(day, time(23, 59, 59), tzinfo=UTC)


def _about(form: SetupForm, bounds: Bounds, found: dict[str, str]) -> Design:
    typed = form.typed
    name = check_name(typed["name"], found)
    slug = typed["slug"].strip() or slug_of(name)
    if name and not is_slug(slug):
        found["slug"] = f"{slug[:80]!r} cannot be an address: use lower-case letters, digits and single hyphens."
    if not re.fullmatch(r"[\x21-\x7e]{0,64}", typed["seed"].strip()):
        found["seed"] = "A seed has at most 64 letters, digits or signs, without blanks."
    code = typed["completion_code"].strip()
    if len(code) > 80:  # noqa: PLR2004  the column's width
        found["completion_code"] = f"A code has at most 80 characters; this one has {len(code)}."
    if typed["withdrawal"] not in _WITHDRAWAL:
        found["withdrawal"] = "Choose what becomes of the judgments of somebody who withdraws."
    strata = _prompts(form, bounds, found)
    return Design(
        name=name,
        slug=slug,
        seed=typed["seed"].strip(),
        preset=typed["preset"][:40],
        prompts=None if strata is None else tuple(strata),
        strata=strata or {},
        guidelines=check_guidelines(typed["guidelines"], found),
        withdrawal=typed["withdrawal"],
        completion_code=code,
        allow_holes=form.on("allow_holes"),
    )


def _prompts(form: SetupForm, bounds: Bounds, found: dict[str, str]) -> dict[str, str] | None:
    """Read the prompts typed, each with its stratum; None keeps those stored."""
    text = form.typed["prompts"]
    if not text.strip():
        return None if form.typed["prompts_kept"] else {}
    try:
        return read_strata(text, max_chars=bounds.max_prompt_chars)
    except BadPromptsError as error:
        found["prompts"] = str(error)
        return {}


def _arms(form: SetupForm, bounds: Bounds, found: dict[str, str]) -> tuple[NewArm, ...]:
    arms: list[NewArm] = []
    for at, row in enumerate(form.rows["arm"]):
        name = row["name"].strip() or row["checkpoint"]
        problem = _arm_problem(name, row["checkpoint"], [arm.name for arm in arms], bounds)
        if problem:
            found[f"arm-{at}"] = problem
            continue
        decoding = _decoding(row, at, bounds, found) if row["checkpoint"] else {}
        arms.append(NewArm(name, row["checkpoint"], decoding))
    if len(form.rows["arm"]) > LIMITS["arm"]:
        found["arms"] = f"A study has at most {LIMITS['arm']} arms."
    return tuple(arms)


def _arm_problem(name: str, checkpoint: str, taken: Collection[str], bounds: Bounds) -> str:
    checks = {
        "Choose a checkpoint, or take this row away.": not checkpoint and name not in bounds.imported,
        f"There is no checkpoint {checkpoint[:80]!r}.": bool(checkpoint) and checkpoint not in bounds.checkpoints,
        f"A name has at most 200 characters; this one has {len(name)}.": len(name) > 200,  # noqa: PLR2004  the column
        f"Two arms are called {name[:80]!r}. Give one another name.": name in taken,
        f"{name!r} is the name of an arm of practice items; choose another.": name in SPECIAL_ARMS,
    }
    return next((sentence for sentence, wrong in checks.items() if wrong), "")


def _decoding(row: Mapping[str, str], at: int, bounds: Bounds, found: dict[str, str]) -> dict[str, float | int]:
    tokens = check_number(row["max_tokens"], f"arm_max_tokens-{at}", found, high=bounds.max_tokens)
    if not row["max_tokens"].strip():
        found[f"arm_max_tokens-{at}"] = f"A whole number from 1 to {bounds.max_tokens} is needed."
    seed = check_number(row["seed"], f"arm_seed-{at}", found, low=0, high=_LARGEST)
    try:
        temperature = float(row["temperature"].strip() or "0")
    except ValueError:
        temperature = math.nan
    if not 0 <= temperature <= 2:  # noqa: PLR2004  what the engines take
        found[f"arm_temperature-{at}"] = f"A number from 0 to 2 is needed, not {row['temperature'][:20]!r}."
        temperature = 0.0
    return {"max_tokens": tokens or 1, "temperature": temperature, "seed": seed or 0}


def _pairs(form: SetupForm, names: list[str], found: dict[str, str]) -> tuple[tuple[str, str], ...]:
    every = every_pair(names)
    how = form.typed["pairing"]
    if how == "all":
        return tuple(every)
    if how == "against":
        against = form.typed["against"] or (names[0] if names else "")
        if names and against not in names:
            found["against"] = f"No arm is called {against[:80]!r}. Choose one of the arms above."
        return tuple(pair for pair in every if against in pair)
    if how == "chosen":
        return tuple(pair for pair in every if pair_value(*pair) in form.chosen)
    found["pairing"] = "Choose which arms are shown against each other."
    return ()


def _questions(form: SetupForm, bounds: Bounds, found: dict[str, str]) -> Questions:
    evidence = None
    if form.on("evidence"):
        evidence = _evidence(form, bounds, found)
        if not form.on("spans"):
            found["evidence"] = "Evidence is asked for marked passages, so let them be marked too."
    if form.typed["recognised"] not in _RECOGNISED:
        found["recognised"] = "Choose when to ask whether a model was recognised."
    return Questions(
        dimensions=read_dimensions(form.rows["dimension"], found),
        strength=form.on("strength"),
        acceptability=form.on("acceptability"),
        spans=form.on("spans"),
        evidence=evidence,
        recognised=form.typed["recognised"],
    )


def _evidence(form: SetupForm, bounds: Bounds, found: dict[str, str]) -> EvidenceQuestion:
    set_id = form.typed["evidence_set"]
    if not set_id:
        found["evidence_set"] = "Choose the tuning set that instances are taken from."
    elif set_id not in bounds.tuning_sets:
        found["evidence_set"] = "That tuning set is not here, or not imported yet."
    k = check_number(form.typed["evidence_k"], "evidence_k", found, high=10)
    decoys = check_number(form.typed["evidence_decoys"], "evidence_decoys", found, low=0, high=10)
    return EvidenceQuestion(set_id, k=3 if k is None else k, decoys=3 if decoys is None else decoys)


def _work(form: SetupForm, design: Design, bounds: Bounds, found: dict[str, str]) -> Design:
    typed = form.typed
    overlap = check_number(typed["overlap"], "overlap", found, high=MAX_OVERLAP)
    if not typed["overlap"].strip():
        found["overlap"] = f"A whole number from 1 to {MAX_OVERLAP} is needed."
    sample_n = check_number(typed["sample_n"], "sample_n", found, low=0, high=10_000)
    sample_overlap = check_number(typed["sample_overlap"], "sample_overlap", found, high=MAX_OVERLAP)
    if sample_n and sample_overlap is None and "sample_overlap" not in found:
        found["sample_overlap"] = "Say how often the items of the sample are judged."
    if sample_n and design.prompts is not None and sample_n > len(design.prompts):
        found["sample_n"] = f"There are only {len(design.prompts)} prompts to draw from."
    return replace(
        design,
        overlap=overlap or 1,
        sample_n=sample_n or 0,
        sample_overlap=(sample_overlap or 0) if sample_n else 0,
        per_annotator=check_number(typed["per_annotator"], "per_annotator", found),
        repeat_items=form.on("repeat_items"),
        target=check_number(typed["target"], "target", found),
        ends_at=check_day(typed["ends_on"], bounds.now, found),
    )
