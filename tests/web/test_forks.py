"""Leave a response at a token: every chosen checkpoint goes on from there, and the branches form a tree."""

from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest
from bs4 import BeautifulSoup
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import Engine
from sqlmodel import select

from app.compare.live import MAX_RUNS_EACH
from app.db import reading, writing
from app.engines.tokenizer import load_tokenizer
from app.shift.packing import unpack
from app.tokens.store import add_response
from models import Comparison, ComparisonColumn, Origin, Response, RunState, Trace
from tests.factories import make_response
from tests.scripted_engine import DEFAULT_TEXT, EOS, Script, ScriptedEngines, write_tokenizer
from tests.scripted_engine import scripted_engines as build_scripted_engines

INDEX = 2
CHOSEN = ord("X")
FORK = {"index": str(INDEX), "token_id": str(CHOSEN)}


@pytest.fixture
def scripted_engines(tmp_path: Path) -> ScriptedEngines:
    return build_scripted_engines(
        tmp_path / "tokenizer",
        base=Script(base_ranks=(1,)),
        lft=Script(),
        sft=Script(base_ranks=(1, 3, 9, 40)),
        stalls=Script(stall_at=6),
    )


def answered(client: TestClient, database: Engine, *names: str, **over: str) -> dict[str, str]:
    """Run a comparison to its end; returns response ids by checkpoint."""
    sent = {"prompt": "Why a lid?", "checkpoints": list(names) or ["base", "lft"], "max_tokens": "64"} | over
    place = client.post("/compare", data=sent).headers["location"]
    client.get(f"/compare/{place.removeprefix('/explore/')}/stream")
    return responses_of(database, place)


def responses_of(database: Engine, place: str) -> dict[str, str]:
    comparison = place.removeprefix("/explore/")
    with reading(database) as session:
        rows = session.exec(select(ComparisonColumn).where(ComparisonColumn.comparison_id == comparison)).all()
    return {row.checkpoint: row.response_id for row in rows}


def fork(client: TestClient, response: str, headers: dict[str, str] | None = None, **over: object) -> str:
    """Fork and wait for the end; returns the address of the fork's page."""
    answer = client.post(f"/responses/{response}/fork", data=FORK | over, headers=headers or {})
    place = answer.headers.get("HX-Redirect") or answer.headers["location"]
    client.get(f"/compare/{place.removeprefix('/explore/')}/stream")
    return place


def soup_of(client: TestClient, path: str, **options: object) -> BeautifulSoup:
    return BeautifulSoup(client.get(path, **options).text, "html.parser")


def test_every_chosen_checkpoint_goes_on_from_the_token(
    researcher: TestClient, database: Engine, scripted_engines: ScriptedEngines, htmx: dict[str, str]
) -> None:
    original = answered(researcher, database)["lft"]
    scripted_engines.engine.requests.clear()
    place = fork(researcher, original, htmx, checkpoints=["base", "lft", "sft"], max_tokens="8")
    # Ids only: what the model reads is the prompt, two tokens of the answer, and the chosen id.
    assert {request.checkpoint for request in scripted_engines.engine.requests} == {"base", "lft", "sft"}
    for request in scripted_engines.engine.requests:
        assert bytes(request.prompt_ids) == bytes(request.reference_prompt_ids) == b"Why a lid?A X"
        assert request.decoding.max_tokens == 8
    with reading(database) as session:
        comparison = session.get_one(Comparison, place.removeprefix("/explore/"))
        assert (comparison.fork_of, comparison.fork_index, comparison.fork_token_id) == (original, INDEX, CHOSEN)
        assert comparison.state is RunState.DONE
        for name, response_id in responses_of(database, place).items():
            branch = session.get_one(Response, response_id)
            assert (branch.parent_id, branch.fork_index, branch.checkpoint) == (original, INDEX, name)
            assert bytes(branch.token_ids) == b"A XA kettle"
            assert branch.text == "A XA kettle"
            assert branch.prompt_ids == list(b"Why a lid?")
            assert branch.run["fork"] == {"of": original, "index": INDEX, "token_id": CHOSEN}
            trace = session.exec(select(Trace).where(Trace.response_id == response_id)).one()
            assert bytes(token.id for token in unpack(trace.tokens)) == b"A XA kettle"


def test_left_to_itself_a_fork_takes_who_wrote_it_its_base_and_who_read_it(
    researcher: TestClient, database: Engine, scripted_engines: ScriptedEngines
) -> None:
    original = answered(researcher, database, "lft")["lft"]
    scripted_engines.engine.requests.clear()
    place = fork(researcher, original)
    assert list(responses_of(database, place)) == ["base", "lft"]
    # 43 tokens, 41 from the fork on, and 64 more.
    assert {request.decoding.max_tokens for request in scripted_engines.engine.requests} == {41 + 64}


def test_the_limit_of_the_server_bounds_the_length(
    app: FastAPI, researcher: TestClient, database: Engine, scripted_engines: ScriptedEngines
) -> None:
    original = answered(researcher, database, "lft")["lft"]
    app.state.settings = app.state.settings.model_copy(update={"max_new_tokens": 20})
    scripted_engines.engine.requests.clear()
    fork(researcher, original)
    assert {request.decoding.max_tokens for request in scripted_engines.engine.requests} == {20}
    refused = researcher.post(f"/responses/{original}/fork", data=FORK | {"max_tokens": "21"})
    assert refused.status_code == 422
    assert "from 1 to 20" in refused.text


def test_the_base_goes_on_under_what_it_read(
    researcher: TestClient, database: Engine, scripted_engines: ScriptedEngines
) -> None:
    lft = scripted_engines.registry.checkpoints["lft"]
    framed = {**scripted_engines.registry.checkpoints, "lft": replace(lft, template="alpaca")}
    scripted_engines.registry = replace(scripted_engines.registry, checkpoints=MappingProxyType(framed))
    original = answered(researcher, database, "lft", base_prompt="few_shot")["lft"]
    scripted_engines.engine.requests.clear()
    place = fork(researcher, original)
    base, tuned = sorted(scripted_engines.engine.requests, key=lambda request: request.checkpoint)
    few_shot = bytes(base.prompt_ids)
    assert few_shot.startswith(b"Each question below")
    assert few_shot.endswith(b"Question: Why a lid?\nAnswer:A X")
    assert bytes(base.reference_prompt_ids) == bytes(tuned.reference_prompt_ids) == few_shot
    assert bytes(tuned.prompt_ids).startswith(b"Below is an instruction")
    with reading(database) as session:
        assert session.get_one(Comparison, place.removeprefix("/explore/")).base_prompt == "few_shot"


def test_a_branch_draws_as_its_original_did(
    researcher: TestClient, database: Engine, scripted_engines: ScriptedEngines
) -> None:
    original = answered(researcher, database, "lft", temperature="0.7", seed="11")["lft"]
    scripted_engines.engine.requests.clear()
    fork(researcher, original, checkpoints=["lft"])
    (request,) = scripted_engines.engine.requests
    assert (request.decoding.temperature, request.decoding.seed) == (0.7, 11)


def test_the_page_shows_the_original_first_and_says_what_became_of_each_branch(
    researcher: TestClient, database: Engine, htmx: dict[str, str]
) -> None:
    original = answered(researcher, database)["lft"]
    place = fork(researcher, original)
    page = soup_of(researcher, place, headers=htmx)
    columns = page.select("[data-column]")
    assert [column["data-column"] for column in columns] == ["2", "0", "1"]
    assert columns[0].select_one("[data-state]").get_text().startswith("the original · done: 43 tokens")
    assert columns[0].select_one("[data-tokens]").get_text() == DEFAULT_TEXT
    for column in columns:
        assert [span["data-i"] for span in column.select(".given")] == ["0", "1"]
        assert [span["data-i"] for span in column.select(".fork-point")] == [str(INDEX)]
    assert not columns[0].select_one("[data-verdict]")
    # The script says its whole text again after "A X", so token 3 of it, "k", stands two places later:
    # "ettle boils..." after the original's "k", and "A kettle boils..." after the chosen "X".
    verdict = columns[1].select_one("[data-verdict]")
    assert verdict["data-verdict"] == "heals"
    # Window 32: LCS("ettle boils faster with its lid ", "A kettle boils faster with its l") = 29 of 32 and 32.
    assert "90 % agreement over the next 32 tokens" in verdict.get_text()
    assert "from token 7, the original's 4, on it says what the original says" in verdict.get_text()
    facts = page.select_one(".fork-facts").get_text(" ", strip=True)
    assert "at token 3: k → became X" in facts
    assert page.select_one("#again")["action"] == f"/responses/{original}/fork"
    assert soup_of(researcher, f"{place}?window=4").select_one('[data-verdict="heals"]')


def test_the_words_about_a_branch_come_with_the_stream_too(
    researcher: TestClient, database: Engine, scripted_engines: ScriptedEngines
) -> None:
    original = answered(researcher, database)["lft"]
    scripted_engines.engine.scripts["lft"].pause_s = 0.002
    answer = researcher.post(f"/responses/{original}/fork", data=FORK | {"checkpoints": ["lft"]})
    stream = researcher.get(f"/compare/{answer.headers['location'].removeprefix('/explore/')}/stream").text
    assert 'data-verdict="heals"' in stream
    assert "fork-point" in stream
    assert " given" in stream


def test_the_tokens_of_the_original_can_be_opened_on_the_page_of_the_fork(
    researcher: TestClient, database: Engine, htmx: dict[str, str]
) -> None:
    place = fork(researcher, answered(researcher, database)["lft"])
    panel = soup_of(researcher, f"{place}/responses/2/tokens/2", headers=htmx)
    assert panel.select_one(".token-panel-title").get_text().startswith("Token 3 of lft: k")
    assert panel.select_one(".emitted")
    assert researcher.get(f"{place}/responses/3/tokens/0").status_code == 404


@pytest.mark.parametrize(
    ("over", "status", "said"),
    [
        ({"index": "43"}, 422, "this response has no token '43'"),
        ({"index": "-1"}, 422, "It has tokens 0 to 42"),
        ({"index": ""}, 422, "this response has no token"),
        ({"token_id": "x"}, 422, "is not a token id"),
        ({"token_id": "300"}, 422, "has no token id 300"),
        ({"token_id": str(EOS)}, 422, "ends the sequence"),
        ({"checkpoints": ["nobody"]}, 404, "nobody"),
        ({"max_tokens": "0"}, 422, "cannot be used"),
        ({"base_prompt": "sideways"}, 422, "Choose one of same_ids, plain, few_shot"),
    ],
)
def test_what_cannot_be_continued_is_refused_in_words(
    researcher: TestClient, database: Engine, htmx: dict[str, str], over: dict, status: int, said: str
) -> None:
    original = answered(researcher, database, "lft")["lft"]
    answer = researcher.post(f"/responses/{original}/fork", data=FORK | over, headers=htmx)
    assert answer.status_code == status
    assert said in BeautifulSoup(answer.text, "html.parser").get_text()
    with reading(database) as session:
        assert len(session.exec(select(Comparison)).all()) == 1


def test_a_response_that_is_not_there_or_has_no_ids_is_refused(researcher: TestClient, database: Engine) -> None:
    assert researcher.post("/responses/0000/fork", data=FORK).status_code == 404
    with writing(database) as session:
        empty = make_response(session, token_ids=[], text="")
    answer = researcher.post(f"/responses/{empty.id}/fork", data=FORK)
    assert (answer.status_code, "has no token ids" in answer.text) == (422, True)


def test_another_tokenizer_is_refused(
    researcher: TestClient, database: Engine, scripted_engines: ScriptedEngines, tmp_path: Path
) -> None:
    original = answered(researcher, database, "lft")["lft"]
    other = tmp_path / "other"
    write_tokenizer(other)
    file = other / "tokenizer.json"
    # Swap the ids of "a" and "b": the same text becomes other ids.
    swapped = file.read_text().replace('"a": 97', '"a": 98', 1).replace('"b": 98', '"b": 97', 1)
    file.write_text(swapped)
    theirs = scripted_engines.tokenizer_for
    scripted_engines.tokenizer_for = lambda name: load_tokenizer(other) if name == "sft" else theirs(name)
    answer = researcher.post(f"/responses/{original}/fork", data=FORK | {"checkpoints": ["lft", "sft"]})
    assert answer.status_code == 422
    assert "sft has another tokenizer than lft" in answer.text


def test_ids_whose_maker_is_unknown_must_spell_the_text(researcher: TestClient, database: Engine) -> None:
    texts = ("Th", "e l", "id")
    made = {"prompt": "Why?", "prompt_ids": [], "texts": texts, "finish": "given", "run": {}}
    with writing(database) as session:
        foreign = add_response(session, checkpoint="gone", ids=(7, 8, 9), origin=Origin.IMPORTED, **made)
        spelt = add_response(
            session, checkpoint="gone", ids=list(b"Why"), origin=Origin.IMPORTED, **made | {"texts": "Why"}
        )
    refused = researcher.post(f"/responses/{foreign.id}/fork", data=FORK | {"checkpoints": ["lft"]})
    assert (refused.status_code, "do not spell this response" in refused.text) == (422, True)
    nobody = researcher.post(f"/responses/{spelt.id}/fork", data=FORK)
    assert (nobody.status_code, "no longer in the registry" in nobody.text) == (422, True)
    assert fork(researcher, spelt.id, checkpoints=["lft"]).startswith("/explore/")


def test_forks_count_among_the_runs_of_a_person(researcher: TestClient, database: Engine) -> None:
    original = answered(researcher, database, "lft")["lft"]
    for _ in range(MAX_RUNS_EACH):
        assert researcher.post(f"/responses/{original}/fork", data=FORK | {"checkpoints": ["stalls"]}).is_redirect
    assert researcher.post(f"/responses/{original}/fork", data=FORK).status_code == 429


def test_a_branch_without_a_word_of_its_own_is_not_kept(
    researcher: TestClient, database: Engine, scripted_engines: ScriptedEngines
) -> None:
    original = answered(researcher, database, "lft")["lft"]
    scripted_engines.engine.scripts["lft"].fail_at = 0
    scripted_engines.engine.scripts["lft"].error = KeyError("gone")
    place = fork(researcher, original, checkpoints=["lft"])
    assert responses_of(database, place) == {"lft": None}
    assert researcher.get(place).status_code == 200


def test_branches_of_branches_are_one_tree(researcher: TestClient, database: Engine, htmx: dict[str, str]) -> None:
    root = answered(researcher, database, "lft")["lft"]
    first = responses_of(database, fork(researcher, root, checkpoints=["base", "lft"]))
    second = responses_of(database, fork(researcher, first["base"], checkpoints=["lft"], index="5", token_id="33"))
    for asked in (root, first["lft"], second["lft"]):
        page = soup_of(researcher, f"/responses/{asked}/branches", headers=htmx)
        links = [link["href"] for link in page.select("a.branch-link")]
        assert links == [f"/responses/{one}" for one in (root, first["base"], second["lft"], first["lft"])]
        assert [link["href"] for link in page.select("a[aria-current=page].branch-link")] == [f"/responses/{asked}"]
    nested = page.select_one(f'li li li a[href="/responses/{second["lft"]}"]')
    assert "! at token 6" in nested.get_text(" ", strip=True)
    counts = page.select_one("li .branch-counts").get_text()
    # 43 tokens with base ranks 1, 1, 2, 7 in turn.
    assert counts == "22 unshifted · 11 marginal · 10 shifted of 43 tokens"
    assert len(page.select("[data-verdict]")) == 3
    assert bool(page.select_one("html")) is not bool(htmx)


def test_an_answer_without_branches_says_how_to_make_one(
    researcher: TestClient, database: Engine, htmx: dict[str, str]
) -> None:
    root = answered(researcher, database, "lft")["lft"]
    page = soup_of(researcher, f"/responses/{root}/branches", headers=htmx)
    assert "No branches yet" in page.select_one(".empty").get_text()
    assert not page.select("a.branch-link")
    assert researcher.get("/responses/0000/branches", headers=htmx).status_code == 404
    assert researcher.get(f"/responses/{root}/branches?window=0", headers=htmx).status_code == 422


def test_annotators_neither_fork_nor_see_branches(
    researcher: TestClient, annotator: TestClient, database: Engine
) -> None:
    root = answered(researcher, database, "lft")["lft"]
    assert annotator.post(f"/responses/{root}/fork", data=FORK).status_code == 403
    assert annotator.get(f"/responses/{root}/branches").status_code == 403


def test_a_chain_of_forks_however_long_is_shown_around_the_one_asked_for(
    researcher: TestClient, database: Engine, htmx: dict[str, str]
) -> None:
    chain = []
    with writing(database) as session:
        for at in range(90):
            parent = chain[-1] if chain else None
            over = {"parent_id": parent, "fork_index": None if parent is None else 1}
            run = {"text_lengths": [1] * 10}
            chain.append(make_response(session, checkpoint=f"c{at}", run=run, **over).id)
    for asked, first, last in ((chain[0], 0, 40), (chain[89], 69, 89), (chain[45], 25, 65)):
        page = soup_of(researcher, f"/responses/{asked}/branches", headers=htmx)
        links = [link["href"].removeprefix("/responses/") for link in page.select("a.branch-link")]
        assert links == chain[first : last + 1]
        assert page.select_one("a[aria-current=page].branch-link")["href"] == f"/responses/{asked}"
        assert "There are more branches" in page.get_text()


def test_past_the_end_of_an_answer_there_is_nothing_to_compare(researcher: TestClient, database: Engine) -> None:
    original = answered(researcher, database, "lft")["lft"]
    place = fork(researcher, original, index="42", checkpoints=["lft"], max_tokens="4")
    verdict = soup_of(researcher, place).select_one("[data-verdict]")
    assert verdict["data-verdict"] == "unknown"
    assert verdict.get_text() == "nothing to compare one of the two answers ends at the fork"
