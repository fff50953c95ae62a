"""The form: what it offers, what it refuses, and that nothing typed is ever lost."""

from pathlib import Path
from types import MappingProxyType

import pytest
from bs4 import BeautifulSoup
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import Engine
from sqlmodel import select

from app.db import reading
from app.engines.registry import Registry
from models import Comparison
from tests.scripted_engine import ScriptedEngines

ASKED = {"prompt": "Why a lid?", "checkpoints": ["base", "lft"]}


def comparisons(database: Engine) -> list[Comparison]:
    with reading(database) as session:
        return list(session.exec(select(Comparison)).all())


def test_the_form_offers_every_checkpoint(researcher: TestClient) -> None:
    soup = BeautifulSoup(researcher.get("/explore").text, "html.parser")
    assert [box["value"] for box in soup.select('input[name="checkpoints"]')] == ["base", "lft", "sft"]
    assert [radio["value"] for radio in soup.select('input[name="base_prompt"]')] == ["same_ids", "plain", "few_shot"]
    assert soup.select_one('[name="base_prompt"][checked]')["value"] == "same_ids"


def test_without_checkpoints_the_page_says_what_to_do(
    researcher: TestClient, app: FastAPI, scripted_engines: ScriptedEngines
) -> None:
    scripted_engines.registry = Registry(path=Path("checkpoints.toml"), checkpoints=MappingProxyType({}))
    page = researcher.get("/explore").text
    assert "No checkpoints yet" in page
    assert "make demo" in page
    assert "<textarea" not in page


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"prompt": ""}, "Write a prompt first."),
        ({"prompt": " \n\t "}, "Write a prompt first."),
        ({"prompt": "x" * 100_000}, "The prompt has 100,000 characters; the limit is 20,000."),
        ({"checkpoints": ["base", "<b>gpt</b>"]}, "There is no checkpoint '<b>gpt</b>'."),
        ({"checkpoints": []}, "Choose at least one checkpoint."),
        ({"temperature": "hot"}, "Write a number from 0 (greedy) to 2."),
        ({"temperature": "nan"}, "Write a number from 0 (greedy) to 2."),
        ({"temperature": "-1"}, "Write a number from 0 (greedy) to 2."),
        ({"max_tokens": "0"}, "Write a whole number from 1 to 1,024."),
        ({"max_tokens": "9" * 5000}, "Write a whole number from 1 to 1,024."),
        ({"seed": "1.5"}, "Write a whole number from 0 to 2147483647."),
        ({"base_prompt": "shouting"}, "Choose one of same_ids, plain, few_shot."),
    ],
)
def test_what_is_wrong_comes_back_with_the_form_kept(
    researcher: TestClient, database: Engine, htmx: dict[str, str], wrong: dict[str, object], complaint: str
) -> None:
    answer = researcher.post("/compare", data=ASKED | wrong, headers=htmx)
    assert answer.status_code == 422
    soup = BeautifulSoup(answer.text, "html.parser")
    assert complaint in soup.select_one(".field-error").get_text()
    assert bool(soup.select_one("html")) is not bool(htmx)
    sent = ASKED | wrong
    assert soup.select_one("textarea").get_text() == "\n" + str(sent["prompt"])
    kept = [box["value"] for box in soup.select('input[name="checkpoints"][checked]')]
    assert kept == [name for name in ("base", "lft") if name in sent["checkpoints"]]
    for name in ("temperature", "max_tokens", "seed"):
        if name in wrong:
            assert soup.select_one(f'input[name="{name}"]')["value"] == wrong[name]
            assert soup.select_one(".ask-more")["open"] == ""
    assert comparisons(database) == []


def test_a_nul_is_refused_by_name(researcher: TestClient, database: Engine, htmx: dict[str, str]) -> None:
    answer = researcher.post("/compare", data=ASKED | {"prompt": "a\x00b"}, headers=htmx)
    assert answer.status_code == 422
    assert "NUL" in answer.text
    assert comparisons(database) == []


@pytest.mark.parametrize(
    "prompt",
    [
        "שלום עולם, למה השמיים כחולים?",
        "👩‍👩‍👧‍👦🏳️‍🌈 ☕",
        "<script>alert(1)</script>",
        '<div hx-get="/logout" hx-trigger="load">x</div>',
        "{{ 7 * 7 }} {% raw %}",
        "\u202etxet desrever",
        "x" * 20_000,
    ],
)
def test_any_text_within_the_limit_is_asked_as_it_is(
    researcher: TestClient, database: Engine, scripted_engines: ScriptedEngines, prompt: str
) -> None:
    answer = researcher.post("/compare", data=ASKED | {"prompt": prompt})
    assert answer.status_code == 303
    page = researcher.get(answer.headers["location"]).text
    soup = BeautifulSoup(page, "html.parser")
    assert soup.select_one(".asked-prompt").get_text() == prompt
    assert soup.select_one('input[name="prompt"]')["value"] == prompt
    assert "alert(1)</script>" not in page
    assert not soup.select("[hx-get]")
    assert comparisons(database)[0].prompt == prompt
    researcher.get(answer.headers["location"].replace("/explore/", "/compare/") + "/stream")
    assert bytes(scripted_engines.engine.requests[0].prompt_ids).decode() == prompt


def test_line_ends_of_the_browser_are_one_character(researcher: TestClient, database: Engine) -> None:
    researcher.post("/compare", data=ASKED | {"prompt": "one\r\ntwo"})
    assert comparisons(database)[0].prompt == "one\ntwo"


def test_decoding_reaches_the_engine(researcher: TestClient, scripted_engines: ScriptedEngines) -> None:
    sent = ASKED | {"temperature": "0.7", "max_tokens": "5", "seed": "11", "base_prompt": "plain"}
    answer = researcher.post("/compare", data=sent)
    researcher.get(answer.headers["location"].replace("/explore/", "/compare/") + "/stream")
    decoding = scripted_engines.engine.requests[0].decoding
    assert (decoding.temperature, decoding.max_tokens, decoding.seed) == (0.7, 5, 11)
    page = researcher.get(answer.headers["location"]).text
    assert "temperature 0.7, seed 11 · at most 5 tokens" in page
    assert "base reads the bare prompt, without any template" in page


def test_recent_comparisons_are_ones_own(researcher: TestClient, stranger: TestClient) -> None:
    researcher.post("/compare", data=ASKED | {"prompt": "<i>mine</i>"})
    assert "&lt;i&gt;mine&lt;/i&gt;" in researcher.get("/explore").text
    assert "mine" not in stranger.get("/explore").text


@pytest.mark.parametrize("path", ["/explore", "/explore/x", "/compare/x/stream", "/explore/x/responses/0/tokens/0"])
def test_explore_is_for_researchers(anonymous: TestClient, annotator: TestClient, path: str) -> None:
    assert anonymous.get(path, headers={"Accept": "text/html"}).status_code in {303, 401}
    assert annotator.get(path).status_code == 403
    assert annotator.post("/compare", data=ASKED).status_code == 403
    assert anonymous.post("/compare", data=ASKED).status_code == 401
