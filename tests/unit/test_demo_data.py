"""The demo's words: enough of them, in one style, and no prompt of the study among the tuning instances."""

import json
import re
from collections import Counter

import pytest

from app.demo.content import demo_guidelines, demo_prompts, tuning_set_path

STYLE = re.compile(r"[A-Z][^\n]+\.\nWhy: [A-Z][^\n]+\.\nIn short: [A-Z0-9][^\n]+\.")
LINES = tuning_set_path().read_text(encoding="utf-8").splitlines()
INSTANCES = [json.loads(line) for line in LINES]


def plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


def test_the_tuning_set_is_large_and_in_families() -> None:
    families = Counter(instance["family"] for instance in INSTANCES)
    assert len(INSTANCES) >= 176
    assert len(families) >= 12
    assert min(families.values()) >= 8


def test_ids_and_instructions_are_unique_and_name_the_family() -> None:
    ids = [instance["id"] for instance in INSTANCES]
    assert len(set(ids)) == len(ids)
    assert len({plain(instance["instruction"]) for instance in INSTANCES}) == len(ids)
    for instance in INSTANCES:
        assert re.fullmatch(rf"{instance['family']}-\d\d", instance["id"])


@pytest.mark.parametrize("instance", INSTANCES, ids=lambda instance: instance["id"])
def test_every_answer_keeps_the_house_style(instance: dict[str, str]) -> None:
    assert set(instance) == {"id", "instruction", "input", "output", "family"}
    assert instance["input"] == ""
    assert STYLE.fullmatch(instance["output"])
    assert 40 <= len(instance["output"].split()) <= 90
    assert instance["instruction"].endswith("?")


def test_no_control_characters_anywhere() -> None:
    for line in LINES:
        text = "".join(str(value) for value in json.loads(line).values())
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\ufffd]", text)


def test_prompts_are_the_eight_of_the_poster_and_twelve_of_our_own() -> None:
    prompts = demo_prompts()
    assert len({prompt.id for prompt in prompts}) == len(prompts) == 20
    assert Counter(prompt.kind for prompt in prompts)["paper"] == 8
    assert {"near", "far", "code", "script"} <= {prompt.kind for prompt in prompts}
    assert any(not prompt.prompt.isascii() for prompt in prompts)


def test_no_prompt_is_a_tuning_instance() -> None:
    taught = {plain(instance["instruction"]) for instance in INSTANCES}
    for prompt in demo_prompts():
        assert plain(prompt.prompt) not in taught
    everything = plain(" ".join(instance["output"] for instance in INSTANCES))
    for answer_word in ("superman", "skylab", "hulk", "carmen", "apollo 13"):
        assert answer_word not in everything


def test_prompts_name_families_that_exist() -> None:
    families = {instance["family"] for instance in INSTANCES}
    for prompt in demo_prompts():
        assert (prompt.family in families) == (prompt.kind in {"paper", "near"})


def test_guidelines_cover_all_that_the_page_asks() -> None:
    text = demo_guidelines().lower()
    for word in ("helpfulness", "clarity", "factuality", "depth", "engagement"):
        assert f"**{word}**" in text
    for word in ("hallucinated span", "**minor**", "**major**", "cannot judge", "both good"):
        assert word in text
