"""Replicas and adapters on the checkpoints page, against a server that speaks vLLM's language."""

import json
import shutil
from contextlib import ExitStack

import pytest
from bs4 import BeautifulSoup
from sqlmodel import select

from app.db import reading
from app.engines.open import open_engines
from app.engines.registry import load_registry
from app.settings import Settings
from models import AuditEvent
from tests.fake_vllm import fake_vllm
from tests.unit.tiny_models import write_adapter, write_model


@pytest.fixture
def servers():
    with ExitStack() as stack:
        yield [stack.enter_context(fake_vllm(loads_adapters=True)) for _ in range(2)]


@pytest.fixture
def folder(tmp_path):
    base = write_model(tmp_path / "models/base")
    write_adapter(tmp_path / "models/lft", base)
    return tmp_path


@pytest.fixture
def engines(app, servers, folder):
    """The app with `base` and its adapter `lft` on both servers, which do not have the adapter yet."""
    addresses = json.dumps([url for url, _ in servers])
    file = folder / "checkpoints.toml"
    file.write_text(
        f'[[checkpoint]]\nname = "base"\nrole = "base"\nmodel = "models/base"\nengine = {addresses}\n'
        '[[checkpoint]]\nname = "lft"\nrole = "lft"\nbase = "base"\nadapter = "models/lft"\n'
    )
    app.state.engines = open_engines(load_registry(file), Settings(_env_file=None, data_dir=folder))
    return app.state.engines


def row(client, name="lft"):
    page = BeautifulSoup(client.get("/checkpoints").text, "html.parser")
    (found,) = [row for row in page.select("tbody tr") if row.th.text.strip() == name]
    return found


def words(element):
    return " ".join(element.get_text(" ").split())


def buttons(found):
    return [button.contents[0].strip() for button in found.select("button")]


def press(client, what, headers=None, name="lft"):
    return client.post(f"/checkpoints/{what}", data={"name": name}, headers=headers or {})


def test_an_owner_loads_an_adapter_everywhere_sees_its_check_and_unloads_it(
    researcher, stranger, engines, servers, htmx, folder
):
    assert buttons(row(researcher)) == ["Check", "Load"]
    assert "load the adapter" in words(row(researcher))
    assert buttons(row(stranger)) == ["Check"]
    answer = press(researcher, "load", htmx)
    if htmx:
        assert (
            "lft was loaded; 127.0.0.1:"
            in BeautifulSoup(answer.text, "html.parser").select_one("#checkpoints-said").text
        )
        assert "<html" not in answer.text
    else:
        assert (answer.status_code, answer.headers["location"]) == (303, "/checkpoints")
    for _, state in servers:
        assert state.models == {"base": None, "lft": "base"}
        assert state.asked("/v1/load_lora_adapter") == [{"lora_name": "lft", "lora_path": str(folder / "models/lft")}]
    assert buttons(row(researcher)) == ["Check", "Unload"]
    assert "verified" in words(row(researcher))
    press(researcher, "unload", htmx)
    assert [state.models for _, state in servers] == [{"base": None}] * 2
    assert buttons(row(researcher)) == ["Check", "Load"]
    assert "not checked" in words(row(researcher))


def test_what_a_server_is_asked_bears_the_id_of_the_request_it_is_asked_for(researcher, engines, servers):
    for _, state in servers:
        state.marks.clear()
    mine = press(researcher, "load").headers["x-request-id"]
    marks = [mark for _, state in servers for mark in state.marks]
    # The page's own look, the load, the probe of both servers and the self-check.
    assert len(marks) > 10
    assert {mark.rpartition("-")[0] for mark in marks} == {mine}
    asked = [
        mark
        for _, state in servers
        for mark, (path, _) in zip(state.marks, state.requests[-len(state.marks) :], strict=True)
        if path == "/v1/completions"
    ]
    assert len(asked) == len(set(asked)) >= 4


def test_who_changed_what_servers_hold_is_in_the_audit_log(researcher, engines, servers, database, alice):
    press(researcher, "load")
    press(researcher, "unload")
    servers[1][1].largest_rank = 1
    assert press(researcher, "load").status_code == 502
    assert press(researcher, "load", name="my password").status_code == 404
    with reading(database) as session:
        query = select(AuditEvent).order_by(AuditEvent.created_at, AuditEvent.id)
        found = [(one.user_id, one.action, one.detail) for one in session.exec(query)]
    assert found == [
        (alice.id, "adapter loaded", "lft"),
        (alice.id, "adapter unloaded", "lft"),
        (alice.id, "load of an adapter failed", "lft"),
    ]


def test_loading_again_is_no_second_load(researcher, engines, servers):
    servers[0][1].models["lft"] = "base"
    assert buttons(row(researcher)) == ["Check", "Load"]
    press(researcher, "load")
    assert [len(state.asked("/v1/load_lora_adapter")) for _, state in servers] == [0, 1]


HEAD = {"base_model.model.lm_head.lora_A.weight": (2, 4), "base_model.model.lm_head.lora_B.weight": (300, 2)}
Q = "base_model.model.model.layers.0.self_attn.q_proj"
LARGE = {f"{Q}.lora_A.weight": (600, 4), f"{Q}.lora_B.weight": (4, 600)}


@pytest.mark.parametrize(
    ("config", "shapes", "says"),
    [
        ({"base_model_name_or_path": "someone/else"}, {}, "made for 'someone/else'"),
        ({"r": 8}, {}, "rank 8 on the base"),
        ({}, {f"{Q}.lora_A.weight": (2, 5)}, "needs A (2, 4)"),
        ({}, HEAD, "changes lm_head"),
        ({"use_dora": True}, {}, "DoRA"),
        ({"rank_pattern": {"q_proj": 600}}, LARGE, "has rank 600; vLLM knows up to 512"),
    ],
)
def test_an_adapter_that_was_trained_again_and_does_not_fit_is_refused_before_loading(
    researcher, engines, servers, folder, config, shapes, says, htmx
):
    shutil.rmtree(folder / "models/lft")
    write_adapter(folder / "models/lft", folder / "models/base", config=config, shapes=shapes)
    answer = press(researcher, "load", htmx)
    assert answer.status_code == 422
    assert says in BeautifulSoup(answer.text, "html.parser").get_text()
    assert [state.asked("/v1/load_lora_adapter") for _, state in servers] == [[], []]


def test_what_the_server_refuses_is_said_in_its_words(researcher, engines, servers, htmx):
    for _, state in servers:
        state.largest_rank = 1
    answer = press(researcher, "load", htmx)
    assert answer.status_code == 502
    assert "LoRA rank 2 is greater than max_lora_rank 1" in BeautifulSoup(answer.text, "html.parser").get_text()


def test_a_server_that_allows_no_loading_offers_none_and_says_how(researcher, engines, servers):
    for _, state in servers:
        state.loads_adapters = False
    assert buttons(row(researcher)) == ["Check"]
    answer = press(researcher, "load")
    assert answer.status_code == 502
    assert "VLLM_ALLOW_RUNTIME_LORA_UPDATING=1" in answer.text


@pytest.mark.parametrize(("name", "status", "says"), [("base", 422, "is a full model"), ("nope", 404, "no checkpoint")])
def test_only_adapters_of_the_registry_are_loaded(researcher, engines, servers, name, status, says):
    for what in ("load", "unload"):
        answer = press(researcher, what, name=name)
        assert answer.status_code == status
        assert says in BeautifulSoup(answer.text, "html.parser").get_text()


def test_no_form_can_name_a_path_or_a_server(researcher, engines, servers, folder):
    with fake_vllm(loads_adapters=True) as (elsewhere, state):
        form = {
            "name": "lft",
            "engine": elsewhere,
            "url": elsewhere,
            "server": elsewhere,
            "path": "/etc",
            "lora_path": "/",
        }
        for what in ("check", "load", "unload"):
            researcher.post(f"/checkpoints/{what}", data=form, params=form)
        researcher.post("/compare", data=form | {"prompt": "a", "checkpoints": [elsewhere], "max_tokens": "2"})
        assert state.requests == []
    for _, own in servers:
        assert [body["lora_path"] for body in own.asked("/v1/load_lora_adapter")] == [str(folder / "models/lft")]


def test_a_replica_that_is_down_is_named_and_the_checkpoint_goes_on(researcher, app, folder, servers):
    with fake_vllm() as (gone, _):
        pass
    file = folder / "checkpoints.toml"
    engine = json.dumps([gone, servers[0][0]])
    file.write_text(f'[[checkpoint]]\nname = "base"\nrole = "base"\nmodel = "models/base"\nengine = {engine}\n')
    app.state.engines = open_engines(load_registry(file), Settings(_env_file=None, data_dir=folder))
    found = words(row(researcher, "base"))
    assert found.count("set aside") == 1
    assert "cannot be reached" in found
    assert " ready " in found
    press(researcher, "check", name="base")
    assert "unverified 1 of 2 replicas answer" in words(row(researcher, "base"))
