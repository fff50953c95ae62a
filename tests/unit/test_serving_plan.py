"""The command lines of the servers, for a base with two adapters and a full checkpoint beside it."""

import itertools
import json
import os
import subprocess
import sys
import time
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from app.engines.registry import Checkpoint, Registry
from app.errors import ConfigurationError
from app.serving.places import Cards, share_cards, share_cores
from app.serving.plan import Layout, plan, urls_by_checkpoint
from app.serving.registry_file import write_registry
from app.serving.script import script
from app.serving.serve import find_vllm, free_ports

PYTHON = Path("/opt/vllm/bin/python")
CONFIG = {
    "max_position_embeddings": 8192,
    "num_hidden_layers": 2,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "hidden_size": 64,
}


def model(folder, **over):
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG | over))
    names = ("self_attn.q_proj", "self_attn.v_proj", "mlp.down_proj")
    weights = {f"model.layers.0.{name}.weight": np.zeros((16, 16), np.float32) for name in names}
    save_file(weights | {"lm_head.weight": np.zeros((16, 16), np.float32)}, folder / "model.safetensors")
    return str(folder)


def adapter(folder, *modules, rank):
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": rank, "lora_alpha": 8}))
    sides = {"A": np.zeros((rank, 16), np.float32), "B": np.zeros((16, rank), np.float32)}
    tensors = {f"base_model.model.{m}.lora_{side}.weight": value for m in modules for side, value in sides.items()}
    save_file(tensors, folder / "adapter_model.safetensors")
    return folder


def checkpoint(name, role, model, *, adapter=None, engine="local"):
    return Checkpoint(
        name=name,
        role=role,
        model=model,
        adapter=adapter,
        base=name if role == "base" else "base",
        revision=None,
        engine=engine,
        served_name=name,
        template="chat",
        tuning_set=None,
        tokenizer=Path(model),
    )


@pytest.fixture
def checkpoints(tmp_path):
    base = model(tmp_path / "base")
    style = adapter(tmp_path / "style=x", "model.layers.0.self_attn.q_proj", rank=9)
    facts = adapter(tmp_path / "facts", "model.layers.0.self_attn.v_proj", "model.layers.0.mlp.down_proj", rank=4)
    return [
        checkpoint("base", "base", base),
        checkpoint("lft", "lft", base, adapter=style),
        checkpoint("facts", "lft", base, adapter=facts),
        checkpoint("sft", "sft", model(tmp_path / "sft", max_position_embeddings=1024)),
    ]


def planned(checkpoints, *, cpu=True, cores=(0, 1), dtype="float32", **layout):
    ports = itertools.count(8101)
    return plan(checkpoints, python=PYTHON, cpu=cpu, ports=ports, dtype=dtype, cores=cores, layout=Layout(**layout))


def flag(server, name, count=1):
    start = server.command.index(name) + 1
    values = server.command[start : start + count]
    return values[0] if count == 1 else values


def test_adapters_share_the_server_of_their_base(checkpoints):
    base, sft = planned(checkpoints)
    assert base.served == ("base", "lft", "facts")
    assert sft.served == ("sft",)
    assert (base.url, sft.url) == ("http://127.0.0.1:8101/v1", "http://127.0.0.1:8102/v1")
    assert base.command[:5] == (str(PYTHON), "-m", "vllm.entrypoints.launchers.api_server.entry", "--host", "127.0.0.1")
    assert flag(base, "--model") == checkpoints[0].model
    assert flag(sft, "--served-model-name") == "sft"
    assert "--enable-lora" not in sft.command


def test_adapter_flags_avoid_the_two_traps(checkpoints):
    base, _ = planned(checkpoints)
    # One slot more than there are adapters: requests without one are computed with the last slot.
    assert flag(base, "--max-loras") == "3"
    # Named targets keep the output layer unwrapped; fused layers go by their fused name.
    assert flag(base, "--lora-target-modules", 3) == ("qkv_proj", "down_proj", "--lora-modules")
    assert flag(base, "--max-lora-rank") == "16"
    paths = [json.loads(value) for value in flag(base, "--lora-modules", 2)]
    assert [path["name"] for path in paths] == ["lft", "facts"]
    assert paths[0]["path"].endswith("style=x")


def test_a_cpu_server_is_eager_and_has_its_own_cores(checkpoints):
    base, sft = planned(checkpoints)
    assert dict(base.environment)["VLLM_CPU_OMP_THREADS_BIND"] == "0"
    assert dict(sft.environment)["VLLM_CPU_OMP_THREADS_BIND"] == "1"
    assert dict(base.environment)["HF_HUB_OFFLINE"] == "1"
    assert "--enforce-eager" in base.command
    assert flag(base, "--dtype") == "float32"
    assert "--gpu-memory-utilization" not in base.command


def test_a_gpu_is_shared_by_its_servers(checkpoints):
    base, sft = planned(checkpoints, cpu=False, dtype="bfloat16")
    assert flag(base, "--gpu-memory-utilization") == flag(sft, "--gpu-memory-utilization") == "0.45"
    assert "--enforce-eager" not in base.command
    assert "VLLM_CPU_OMP_THREADS_BIND" not in dict(base.environment)


def test_the_cache_holds_two_contexts(checkpoints):
    base, sft = planned(checkpoints)
    assert (flag(base, "--max-model-len"), flag(sft, "--max-model-len")) == ("4096", "1024")
    # 2 (keys, values) * 2 layers * 2 heads * 8 wide * 4 bytes * 2 * 4096 tokens = 2 MiB, below the floor.
    assert flag(base, "--kv-cache-memory-bytes") == str(256 * 2**20)
    (large,) = planned([checkpoint("base", "base", model(Path(checkpoints[0].model).parent / "big", head_dim=4096))])
    # 2 * 2 * 2 * 4096 * 4 * 2 * 4096 bytes
    assert flag(large, "--kv-cache-memory-bytes") == str(2**30)


@pytest.mark.parametrize(
    ("cores", "servers", "shares"),
    [
        ((0, 1), 2, ["0", "1"]),
        ((4, 5), 1, ["4,5"]),
        ((0, 1, 2, 3), 1, ["1,2,3"]),
        ((0, 1, 2, 3, 8, 9), 2, ["1,2,3", "8,9"]),
        ((3,), 2, ["nobind", "nobind"]),
        ((), 1, ["nobind"]),
        ((0, 1), 0, []),
    ],
)
def test_cores_are_shared_out_without_overlap(cores, servers, shares):
    assert share_cores(cores, servers) == shares


def test_what_has_a_server_already_is_left_alone(checkpoints):
    remote = replace(checkpoints[3], engine="http://models.example/v1")
    assert [server.name for server in planned([*checkpoints[:3], remote])] == ["base"]


def test_an_adapter_without_its_base_is_refused(checkpoints):
    with pytest.raises(ConfigurationError, match="'lft' runs on 'base'"):
        planned(checkpoints[1:])


def test_an_adapter_that_vllm_would_drop_is_refused(checkpoints, tmp_path):
    head = adapter(tmp_path / "head", "lm_head", rank=4)
    with pytest.raises(ConfigurationError, match="changes lm_head"):
        planned([checkpoints[0], replace(checkpoints[1], adapter=head)])


def test_the_registry_names_the_servers_and_keeps_the_rest(checkpoints, tmp_path):
    odd = replace(checkpoints[1], name='l"ft ü', served_name="other")
    registry = Registry(path=tmp_path / "in.toml", checkpoints={c.name: c for c in [checkpoints[0], odd]})
    one = ("http://127.0.0.1:1/v1",)
    write_registry(registry, {"base": one, odd.name: one}, tmp_path / "new" / "out.toml", notes=["odd\n[[checkpoint]]"])
    text = (tmp_path / "new" / "out.toml").read_text()
    base, lft = tomllib.loads(text)["checkpoint"]
    assert base == {
        "name": "base",
        "role": "base",
        "model": checkpoints[0].model,
        "engine": "http://127.0.0.1:1/v1",
        "served_name": "base",
        "template": "chat",
        "tokenizer": checkpoints[0].model,
    }
    assert (lft["name"], lft["served_name"], lft["base"]) == ('l"ft ü', 'l"ft ü', "base")
    assert lft["adapter"] == str(odd.adapter)
    assert "model" not in lft


def test_replicas_that_run_already_stay_listed(checkpoints, tmp_path):
    ours = ("http://10.0.0.7:1/v1", "http://10.0.0.8:1/v1")
    served = replace(checkpoints[0], engine=ours[0], replicas=ours)
    write_registry(Registry(path=tmp_path / "in.toml", checkpoints={"base": served}), {}, tmp_path / "out.toml")
    (base,) = tomllib.loads((tmp_path / "out.toml").read_text())["checkpoint"]
    assert base["engine"] == list(ours)


def test_several_servers_of_a_checkpoint_are_alike_and_listed(checkpoints, tmp_path):
    servers = planned(checkpoints, cores=(0, 1, 2), replicas={"base": 2})
    assert [(server.name, server.port) for server in servers] == [("base", 8101), ("base-2", 8102), ("sft", 8103)]
    assert servers[0].served == servers[1].served == ("base", "lft", "facts")
    first, second = (list(server.command) for server in servers[:2])
    second[second.index("--port") + 1] = "8101"
    assert first == second
    assert [dict(server.environment)["VLLM_CPU_OMP_THREADS_BIND"] for server in servers] == ["0", "1", "2"]
    registry = Registry(path=tmp_path / "in.toml", checkpoints={c.name: c for c in checkpoints})
    write_registry(registry, urls_by_checkpoint(servers), tmp_path / "out.toml")
    engines = {
        entry["name"]: entry["engine"] for entry in tomllib.loads((tmp_path / "out.toml").read_text())["checkpoint"]
    }
    both = ["http://127.0.0.1:8101/v1", "http://127.0.0.1:8102/v1"]
    assert engines == {"base": both, "lft": both, "facts": both, "sft": "http://127.0.0.1:8103/v1"}


@pytest.mark.parametrize(
    ("replicas", "message", "remedy"),
    [({"lft": 2}, "'lft' is an adapter", "base=2"), ({"bass": 2}, "no checkpoint 'bass'", "base, sft")],
)
def test_replicas_are_of_full_checkpoints(checkpoints, replicas, message, remedy):
    with pytest.raises(ConfigurationError, match=message) as caught:
        planned(checkpoints, replicas=replicas)
    assert remedy in caught.value.remedy


def test_two_cards_take_a_server_each(checkpoints):
    base, sft = planned(checkpoints, cpu=False, dtype="bfloat16", cards=Cards(("2", "5")))
    assert [dict(server.environment)["CUDA_VISIBLE_DEVICES"] for server in (base, sft)] == ["2", "5"]
    assert flag(base, "--gpu-memory-utilization") == flag(sft, "--gpu-memory-utilization") == "0.90"


@pytest.mark.parametrize(
    ("weights", "cards", "seats"),
    [
        ([14, 14], Cards(), [("", 0.45), ("", 0.45)]),
        ([14, 28], Cards(), [("", 0.3), ("", 0.6)]),
        ([14, 14, 14], Cards(), [("", 0.3)] * 3),
        ([14, 14, 14], Cards(("0", "1")), [("0", 0.45), ("1", 0.9), ("0", 0.45)]),
        # The largest first: 40 alone, the others together.
        ([10, 40, 20], Cards(("0", "1")), [("1", 0.3), ("0", 0.9), ("1", 0.6)]),
        ([1, 1, 1], Cards(share=0.8), [("", 0.26)] * 3),
    ],
)
def test_servers_share_cards_by_their_weights(weights, cards, seats):
    assert [(seat.card, seat.share) for seat in share_cards(weights, cards)] == seats


def test_weights_that_do_not_fit_their_share_are_refused():
    seven_billion = 14 * 2**30
    share_cards([seven_billion] * 2, Cards(gib=40))
    with pytest.raises(ConfigurationError, match=r"10\.8 GiB for a server .* take 15\.5 GiB") as caught:
        share_cards([seven_billion] * 2, Cards(gib=24))
    assert "--gpus 0,1" in caught.value.remedy
    share_cards([seven_billion] * 2, Cards(("0", "1"), gib=24))


def test_room_for_adapters_that_come_later_is_on_bases_alone(checkpoints):
    base, sft = planned(checkpoints, more_adapters=2, more_rank=40)
    assert flag(base, "--max-loras") == "5"
    assert flag(base, "--max-lora-rank") == "64"
    assert set(flag(base, "--lora-target-modules", 4)) == {"qkv_proj", "down_proj", "o_proj", "gate_up_proj"}
    assert dict(base.environment)["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] == "1"
    assert "--enable-lora" not in sft.command
    assert "VLLM_ALLOW_RUNTIME_LORA_UPDATING" not in dict(sft.environment)


def test_servers_listen_where_the_registry_says(checkpoints):
    base, _ = planned(checkpoints, host="10.0.0.7")
    assert flag(base, "--host") == "10.0.0.7"
    assert base.url == "http://10.0.0.7:8101/v1"


ECHO = """#!/bin/sh
[ "$1" = -m ] && printf '%s\n' "$HF_HUB_OFFLINE" "$@" > "$OUT/$6"
sleep 60 & child=$!
trap 'echo ended > "$OUT/$6.end"; kill $child; exit' TERM
wait
"""


def test_the_script_runs_exactly_the_planned_commands_and_ends_them(checkpoints, tmp_path):
    """A shell reads the script; a stand-in for vLLM's Python writes down what it was called with."""
    python = tmp_path / "an odd folder" / "python"
    python.parent.mkdir()
    python.write_text(ECHO)
    python.chmod(0o755)
    odd = replace(checkpoints[3], name="it's $HOME; exit\n# `x`")
    servers = plan(
        [*checkpoints[:3], odd], python=python, cpu=True, ports=itertools.count(8101), dtype="float32", cores=(0, 1)
    )
    file = tmp_path / "models.sh"
    file.write_text(script(servers, what="Two servers.", one_by_one=False))
    with subprocess.Popen(["/bin/sh", str(file)], env=os.environ | {"OUT": str(tmp_path)}) as shell:
        written = [tmp_path / str(server.port) for server in servers]
        wait_for(lambda: all(path.exists() and path.read_text().endswith("\n") for path in written))
        shell.terminate()
        wait_for(lambda: all(path.with_suffix(".end").exists() for path in written))
    for server, path in zip(servers, written, strict=True):
        wait_for(lambda path=path, server=server: path.read_text() == "\n".join(["1", *server.command[1:]]) + "\n")


def test_the_script_waits_for_each_server_where_they_share_a_card(checkpoints):
    servers = planned(checkpoints, cpu=False)
    text = script(servers, what="Two servers.", one_by_one=True)
    assert text.count("until curl -fs -o /dev/null http://127.0.0.1:8101/health; do") == 1
    assert "8102/health" not in text


def wait_for(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_missing_vllm_names_the_target_that_installs_it(tmp_path):
    for python, words in ((None, "TUNESHIFT_VLLM_PYTHON is not set"), (tmp_path / "python", "does not exist")):
        with pytest.raises(ConfigurationError, match=words) as caught:
            find_vllm(python)
        assert "make vllm" in caught.value.remedy
    with pytest.raises(ConfigurationError, match="does not have it"):
        find_vllm(Path(sys.executable))


def test_ports_differ():
    assert len(set(itertools.islice(free_ports(), 50))) == 50
