"""Stored responses for tests: scripted readers whose ranks are known, and ways to look at a page."""

import json
from pathlib import Path

from bs4 import BeautifulSoup
from fastapi.testclient import TestClient
from sqlalchemy import Engine
from sqlmodel import select

from app.db import reading, writing
from app.engines.tokenizer import Tokenizer, load_tokenizer
from app.errors import EngineUnavailableError
from app.tokens.store import add_response
from models import Response, Trace
from tests.scripted_engine import Script, ScriptedEngines, scripted_engines, write_tokenizer

# Eight tokens, two rounds of each script's four ranks; none is a letter the scripted lists hold.
TEXT = "A 1 B 2."
BASE = (1, 1, 2, 7)


def readers(folder: Path) -> ScriptedEngines:
    """Base, LFT and SFT whose own ranks differ, and one whose server is gone."""
    return scripted_engines(
        folder,
        base=Script(base_ranks=BASE, tuned_ranks=BASE),
        lft=Script(base_ranks=BASE, tuned_ranks=(1, 2)),
        sft=Script(base_ranks=BASE, tuned_ranks=(1,), prompted_ranks=(1, 3, 2, 1)),
        dies=Script(error=EngineUnavailableError("The server went away.", remedy="Start it again.")),
    )


def other_tokenizer(folder: Path) -> Tokenizer:
    """A tokenizer that turns every byte into another id."""
    write_tokenizer(folder)
    file = folder / "tokenizer.json"
    spec = json.loads(file.read_text())
    spec["model"]["vocab"] = {letter: 255 - token for letter, token in spec["model"]["vocab"].items()}
    file.write_text(json.dumps(spec))
    return load_tokenizer(folder)


def store(database: Engine, *, text: str = TEXT, checkpoint: str = "sft", ids: list[int] | None = None, **over) -> str:
    """Store a response as a checkpoint wrote it; returns its id."""
    ids = list(text.encode()) if ids is None else ids
    texts = [*text, *[""] * (len(ids) - len(text))]
    values = {"prompt": "Why?", "prompt_ids": list(b"Why?"), "finish": "stop", "run": {"role": "sft"}} | over
    with writing(database) as session:
        return add_response(session, checkpoint=checkpoint, ids=ids, texts=texts, **values).id


def have_read(client: TestClient, response_id: str, *names: str, base_prompt: str = "same_ids", **options):
    """Have checkpoints read a response."""
    sent = {"checkpoint": list(names), "base_prompt": base_prompt}
    return client.post(f"/responses/{response_id}/readings", data=sent, **options)


def page(client: TestClient, address: str, **options) -> BeautifulSoup:
    answer = client.get(address, **options)
    assert answer.status_code == 200, answer.text[:500]
    # By itself the parser makes every run of white space one blank.
    return BeautifulSoup(answer.text, "html.parser", preserve_whitespace_tags={"span", "pre", "textarea"})


def traces(database: Engine, response_id: str) -> list[Trace]:
    with reading(database) as session:
        return list(session.exec(select(Trace).where(Trace.response_id == response_id).order_by(Trace.checkpoint)))


def responses(database: Engine) -> list[Response]:
    with reading(database) as session:
        return list(session.exec(select(Response)))


def words(soup, selector: str) -> str:
    """The text of one element, its white space as a reader sees it."""
    return " ".join(soup.select_one(selector).get_text(" ").split())
