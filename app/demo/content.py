"""The words the demo study ships with: prompts, guidelines and the tuning set."""

import json
from dataclasses import dataclass
from pathlib import Path

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class DemoPrompt:
    """One item of the demo study.

    `kind` is "paper" (one of the eight prompts of the study's poster), "near" (a concept beside a family of the
    tuning set), "far", "code" or "script" (other writing systems); `family` names the neighbouring family, if any.
    """

    id: str
    prompt: str
    kind: str
    family: str | None


def demo_prompts() -> list[DemoPrompt]:
    """The twenty prompts of the demo study, in order."""
    lines = (_HERE / "prompts.jsonl").read_text(encoding="utf-8").splitlines()
    return [DemoPrompt(**json.loads(line)) for line in lines]


def demo_guidelines() -> str:
    """What annotators of the demo study are told, in Markdown."""
    return (_HERE / "guidelines.md").read_text(encoding="utf-8")


def tuning_set_path() -> Path:
    """The JSONL file, Alpaca shape, that LFT and SFT of the demo were tuned on."""
    return _HERE / "tuning_set.jsonl"
