"""How exclusion rules are offered, typed and read back as sentences. Pure."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from app.monitor.exclusions import WITHDRAWN

MAX_REASON = 1_000


class BadRuleError(ValueError):
    """What was typed makes no rule; the sentence names the field and what would be right."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A number or name a rule needs. `kind` is `seconds`, `percent`, `count` or `annotator`."""

    name: str
    label: str
    kind: str
    default: str = ""


@dataclass(frozen=True, slots=True)
class RuleKind:
    """A rule as it is offered."""

    name: str
    title: str
    about: str
    settings: tuple[Setting, ...] = ()
    needs_reason: bool = False


_KINDS = (
    RuleKind(
        "min_active",
        "Judged too fast",
        "Judgments with less active time than this, of whoever made them.",
        (Setting("seconds", "Least active time, seconds", "seconds", "5"),),
    ),
    RuleKind(
        "gold_failed",
        "Failed gold items",
        "Everything from annotators who got at least this share of their gold items wrong.",
        (
            Setting("share", "Share wrong, per cent", "percent", "50"),
            Setting("min_n", "Gold items asked, at least", "count", "2"),
        ),
    ),
    RuleKind(
        "straight_lining",
        "Always the same answer",
        "Everything from annotators whose most frequent answer (A, B, or one kind of tie) makes up this share.",
        (
            Setting("share", "Share of one answer, per cent", "percent", "95"),
            Setting("min_n", "Judgments given, at least", "count", "10"),
        ),
    ),
    RuleKind(
        "recognised",
        "Recognised a model",
        "Judgments where the annotator said that they recognised a model.",
    ),
    RuleKind(
        "outdated_guidelines",
        "Outdated guidelines",
        "Judgments made under an older version of the guidelines.",
        (Setting("version", "Oldest version that counts", "count", ""),),
    ),
    RuleKind(
        "comprehension",
        "Comprehension check not passed",
        "Everything from annotators who never passed the study's comprehension check, where it has one.",
    ),
    RuleKind(
        "annotator",
        "One annotator",
        "Everything from a person you name, with the reason.",
        (Setting("annotator", "Annotator", "annotator"),),
        needs_reason=True,
    ),
)
KINDS = {kind.name: kind for kind in _KINDS}


def read_rule(name: str, typed: Mapping[str, str], *, pids: Collection[str], reason: str) -> dict[str, Any]:
    """Read the settings of a rule as they are stored: seconds and counts as numbers, per cent as a share.

    Raises BadRuleError.
    """
    kind = KINDS.get(name)
    if kind is None:
        raise BadRuleError(f"There is no rule {name[:40]!r}; there are {', '.join(KINDS)}.")
    if len(reason) > MAX_REASON:
        raise BadRuleError(f"The reason has {len(reason)} characters; the limit is {MAX_REASON}.")
    if kind.needs_reason and not reason.strip():
        raise BadRuleError("Reason: say why this person's judgments should not count.")
    return {setting.name: _read(setting, typed.get(setting.name, "").strip(), pids) for setting in kind.settings}


def _read(setting: Setting, text: str, pids: Collection[str]) -> float | int | str:
    if setting.kind == "annotator":
        if text not in pids:
            raise BadRuleError(f"{setting.label}: choose one of this study's annotators, not {text[:40]!r}.")
        return text
    if setting.kind == "count":
        if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= 1_000_000 and len(text) < 9):  # noqa: PLR2004
            raise BadRuleError(f"{setting.label}: a whole number from 1 to 1,000,000, not {text[:40]!r}.")
        return int(text)
    top = 100.0 if setting.kind == "percent" else 86_400.0
    number = _number(text)
    if not 0 < number <= top:
        raise BadRuleError(f"{setting.label}: a number above 0 and up to {top:,.0f}, not {text[:40]!r}.")
    return number / 100 if setting.kind == "percent" else number


def _number(text: str) -> float:
    try:
        number = float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        return math.nan
    return number


def title_of(name: str) -> str:
    """Name a rule for people."""
    return KINDS[name].title if name in KINDS else "Withdrawn, under a policy that excludes"


def sentence(name: str, settings: Mapping[str, Any]) -> str:
    """Say a stored rule in words."""
    words = {
        "min_active": "Judgments with less than {seconds:g} s of active time",
        "gold_failed": "Annotators with {share:.0%} or more of at least {min_n} gold items wrong",
        "straight_lining": "Annotators with {share:.0%} or more of at least {min_n} judgments the same answer",
        "recognised": "Judgments where a model was recognised",
        "outdated_guidelines": "Judgments under guidelines older than version {version}",
        "comprehension": "Annotators who did not pass the comprehension check",
        "annotator": "Annotator {annotator}",
        WITHDRAWN: "Annotators who withdrew (the study's policy)",
    }
    return words[name].format(**settings)
