"""Reading checkpoints.toml: what is understood, and how everything wrong in it is refused."""

import re
from pathlib import Path

import pytest

from app.engines.registry import load_registry
from app.engines.weight_files import check_adapter, lora_rank, lora_scale, safetensors_shapes
from app.errors import ConfigurationError, NotFoundError
from tests.unit.tiny_models import sorted_alphabet, write_adapter, write_model, write_tokenizer

BASE = '[[checkpoint]]\nname = "base"\nrole = "base"\nmodel = "models/base"\n'
LFT = '[[checkpoint]]\nname = "lft"\nrole = "lft"\nbase = "base"\nadapter = "models/lft"\n'
SFT = '[[checkpoint]]\nname = "sft"\nrole = "sft"\nmodel = "models/sft"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    base = write_model(tmp_path / "models/base")
    write_model(tmp_path / "models/sft")
    write_adapter(tmp_path / "models/lft", base)
    return tmp_path


def registry_of(folder: Path, text: str):
    file = folder / "checkpoints.toml"
    file.write_text(text, encoding="utf-8")
    return load_registry(file)


def refused(folder: Path, text: str) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        registry_of(folder, text)
    assert str(folder / "checkpoints.toml") in caught.value.message
    assert caught.value.remedy
    return caught.value


def test_a_whole_registry(folder):
    registry = registry_of(folder, SFT + LFT + BASE)
    assert list(registry.checkpoints) == ["sft", "lft", "base"]
    lft = registry.get("lft")
    assert lft.model == registry.get("base").model == str(folder / "models/base")
    assert lft.adapter == folder / "models/lft"
    assert (lft.engine, lft.is_local, lft.served_name, lft.template) == ("local", True, "lft", "none")
    assert [registry.base_of(name) for name in ("base", "lft", "sft")] == ["base"] * 3
    assert lft.tokenizer == folder / "models/base"


def test_an_unknown_name_lists_the_known_ones(folder):
    with pytest.raises(NotFoundError, match="base, lft"):
        registry_of(folder, BASE + LFT).get("nope")


def test_checkpoints_behind_a_server(folder):
    remote = (
        '[[checkpoint]]\nname = "base"\nrole = "base"\nmodel = "org/model"\nengine = "http://127.0.0.1:1/v1/"\n'
        'served_name = "m"\ntokenizer = "models/base"\n'
        '[[checkpoint]]\nname = "lft"\nrole = "lft"\nbase = "base"\nadapter = "models/lft"\n'
        'engine = "http://127.0.0.1:1/v1"\n'
    )
    registry = registry_of(folder, remote)
    assert registry.get("base").engine == registry.get("lft").engine == "http://127.0.0.1:1/v1"
    assert (registry.get("base").model, registry.get("base").served_name) == ("org/model", "m")
    assert registry.get("lft").tokenizer == folder / "models/base"


@pytest.mark.parametrize(
    ("text", "entry", "field", "says"),
    [
        (BASE + BASE, '2, "base"', "name", "entry 1 has the same name"),
        (BASE + SFT.replace("sft", "gone"), '2, "gone"', "role", "'gone' is unknown"),
        (BASE + SFT.replace('"models/sft"', '"models/gone"'), '2, "sft"', "model", "models/gone does not exist"),
        (BASE + SFT + 'colour = "red"\n', '2, "sft"', "colour", "unknown key"),
        (BASE + SFT + "revision = 3\n", '2, "sft"', "revision", "must be text, not 3"),
        (BASE + LFT.replace('base = "base"\n', ""), '2, "lft"', "base", "an adapter needs one"),
        (BASE + LFT.replace('base = "base"', 'base = "sft"'), '2, "lft"', "base", "'sft' is not a checkpoint of role"),
        (SFT, '1, "sft"', "base", "does not have exactly one"),
        (BASE + 'base = "base"\n', '1, "base"', "base", "a base has none"),
        (BASE + 'adapter = "models/lft"\n', '1, "base"', "adapter", "a base has none"),
        (BASE + LFT + 'model = "models/sft"\n', '2, "lft"', "model", "runs on its base's weights"),
        (BASE + LFT.replace("models/lft", "models/none"), '2, "lft"', "adapter", "models/none does not exist"),
        (BASE + SFT + 'engine = "127.0.0.1:8001"\n', '2, "sft"', "engine", "neither local nor an address"),
        (BASE + SFT + 'template = "chatml"\n', '2, "sft"', "template", "'chatml' is unknown"),
        (BASE + SFT + 'template = "chat"\n', '2, "sft"', "template", "no chat template"),
        (BASE + SFT + 'tuning_set = "data.jsonl"\n', '2, "sft"', "tuning_set", "data.jsonl does not exist"),
        (
            '[[checkpoint]]\nname = "b"\nrole = "base"\nmodel = "o/m"\nengine = "http://h/v1"\n',
            '1, "b"',
            "tokenizer",
            "its tokenizer is unknown",
        ),
    ],
)
def test_refusals_name_entry_and_field(folder, text, entry, field, says):
    error = refused(folder, text)
    assert f"[[checkpoint]] {entry}: {field}: " in error.message
    assert says in error.message


@pytest.mark.parametrize(
    ("text", "says"), [("", "names no checkpoint"), ("[[checkpoint]\n", "not TOML"), ("colour = 1\n" + BASE, "colour")]
)
def test_refusals_of_the_whole_file(folder, text, says):
    assert says in refused(folder, text).message


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match=re.escape(str(tmp_path / "none.toml"))):
        load_registry(tmp_path / "none.toml")


def test_another_tokenizer_is_refused_with_both_probe_results(folder):
    other = {char: n for n, char in enumerate(reversed(sorted_alphabet()))} | {"<s>": 256, "</s>": 257}
    write_tokenizer(folder / "models/sft", vocabulary=other)
    message = refused(folder, BASE + SFT).message
    assert '2, "sft": tokenizer: ' in message
    assert len(re.findall(r"\d+ ids \(\d+, \d+", message)) == 2


def test_a_vocabulary_that_differs_beyond_the_probe_is_refused(folder):
    vocabulary = {"<s>": 0, "</s>": 1} | {char: n + 2 for n, char in enumerate(sorted_alphabet())}
    # "\u00ff" is one byte's spelling that the probe text does not use.
    vocabulary["\u00ff"] = 300
    write_tokenizer(folder / "models/sft", vocabulary=vocabulary)
    assert "'\u00ff'" in refused(folder, BASE + SFT).message


def test_extra_ids_of_the_tuned_tokenizer_are_fine(folder):
    vocabulary = {"<s>": 0, "</s>": 1} | {char: n + 2 for n, char in enumerate(sorted_alphabet())}
    write_tokenizer(folder / "models/sft", vocabulary=vocabulary | {"<|im_end|>": 258})
    assert registry_of(folder, BASE + SFT).get("sft").name == "sft"


Q = "base_model.model.model.layers.0.self_attn.q_proj"


@pytest.mark.parametrize(
    ("config", "shapes", "says"),
    [
        ({"base_model_name_or_path": "someone/else"}, {}, "made for 'someone/else'"),
        ({"peft_type": "IA3"}, {}, "'IA3', not LORA"),
        ({"use_dora": True}, {}, "DoRA"),
        ({"bias": "all"}, {}, "bias = 'all'"),
        ({"modules_to_save": ["lm_head"]}, {}, "modules_to_save"),
        ({"r": 8}, {}, "rank 8"),
        ({}, {f"{Q}.lora_A.weight": (2, 5)}, "needs A (2, 4)"),
        ({}, {f"{Q}.lora_B.weight": (5, 2)}, "and B (4, 2)"),
        ({}, {"base_model.model.model.layers.9.x.lora_A.weight": (2, 4)}, "only one of A and B"),
        (
            {},
            {f"base_model.model.model.layers.9.x.lora_{side}.weight": (2, 2) for side in "AB"},
            "no module 'model.layers.9.x'",
        ),
        ({}, {"base_model.model.model.embed_tokens.lora_embedding_A": (2, 300)}, "not a LoRA matrix"),
        ({}, {"base_model.model.model.layers.0.norm.weight": (4,)}, "not a LoRA matrix"),
    ],
)
def test_adapters_that_do_not_fit_are_refused(tmp_path, config, shapes, says):
    base = write_model(tmp_path / "base")
    adapter = write_adapter(tmp_path / "adapter", base, config=config, shapes=shapes)
    with pytest.raises(ConfigurationError) as caught:
        check_adapter(adapter, base)
    assert says in caught.value.message
    assert str(adapter) in caught.value.message
    assert caught.value.remedy


def test_an_adapter_that_fits(tmp_path):
    base = write_model(tmp_path / "base")
    facts = check_adapter(write_adapter(tmp_path / "adapter", base), base)
    assert facts.rank == 2
    assert facts.targets == {"q_proj", "up_proj"}


def test_an_adapter_on_the_output_layer_needs_the_local_engine(folder):
    shapes = {"base_model.model.lm_head.lora_A.weight": (2, 4), "base_model.model.lm_head.lora_B.weight": (300, 2)}
    write_adapter(folder / "models/head", folder / "models/base", shapes=shapes)
    text = BASE + LFT.replace("models/lft", "models/head")
    assert registry_of(folder, text).get("lft").is_local
    served = text.replace('role = "lft"', 'role = "lft"\nengine = "http://h/v1"')
    assert "changes lm_head" in refused(folder, served).message


def test_an_adapter_in_a_moved_folder_is_known_by_its_bases_name(tmp_path):
    base = write_model(tmp_path / "base")
    adapter = write_adapter(tmp_path / "adapter", base, config={"base_model_name_or_path": "/gone/base"})
    assert check_adapter(adapter, base).rank == 2


def test_rank_and_scale_patterns():
    config = {"r": 8, "lora_alpha": 16, "rank_pattern": {"q_proj": 2}, "alpha_pattern": {"q_proj": 8}}
    assert (lora_rank(config, "a.k_proj"), lora_scale(config, "a.k_proj")) == (8, 2.0)
    assert (lora_rank(config, "a.q_proj"), lora_scale(config, "a.q_proj")) == (2, 4.0)
    # Rank-stabilised: 16 / sqrt(4).
    assert lora_scale({"r": 4, "lora_alpha": 16, "use_rslora": True}, "a") == 8.0


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "length"])
def test_damaged_weights_are_refused(tmp_path, damage):
    file = write_model(tmp_path / "base") / "model.safetensors"
    whole = file.read_bytes()
    file.write_bytes(
        {
            "cut": whole[:-1],
            "empty": b"",
            "text": b"version https://git-lfs.github.com/spec/v1",
            "length": b"\xff" * 8 + whole[8:],
        }[damage]
    )
    with pytest.raises(ConfigurationError, match=re.escape(str(file))):
        safetensors_shapes(file)


def test_a_missing_shard_is_named(folder):
    (folder / "models/sft/model.safetensors.index.json").write_text('{"weight_map": {"a": "part-1.safetensors"}}')
    assert "part-1.safetensors does not exist" in refused(folder, BASE + SFT).message


ADDRESSES = ["http://127.0.0.1:1/v1", "http://127.0.0.1:2/v1"]
REPLICATED = (
    '[[checkpoint]]\nname = "base"\nrole = "base"\nmodel = "org/model"\ntokenizer = "models/base"\n'
    'engine = ["http://127.0.0.1:1/v1/", "http://127.0.0.1:2/v1"]\n'
)


def test_replicas_are_a_list_of_addresses_and_an_adapter_runs_where_its_base_does(folder):
    registry = registry_of(folder, REPLICATED + LFT)
    for name in ("base", "lft"):
        found = registry.get(name)
        assert (found.engine, list(found.replicas), list(found.servers)) == (ADDRESSES[0], ADDRESSES, ADDRESSES)
        assert not found.is_local
    one = registry_of(folder, REPLICATED.replace('["http://127.0.0.1:1/v1/", ', "").replace('v1"]', 'v1"') + LFT)
    assert [one.get(name).servers for name in ("base", "lft")] == [(ADDRESSES[1],)] * 2
    assert one.get("lft").replicas == ()
    local = registry_of(folder, BASE + LFT)
    assert (local.get("lft").engine, local.get("lft").servers) == ("local", ())


@pytest.mark.parametrize(
    ("engine", "says"),
    [
        ("[]", "the list is empty"),
        ('["http://h:1/v1", "http://h:1/v1/"]', "listed twice"),
        ('["http://h:1/v1", "local"]', "'local' is neither local nor an address"),
        ('["http://h:1/v1", 3]', "3 is neither"),
        ('["file:///etc/passwd/v1"]', "neither local nor an address"),
        ('"http://[::1/v1"', "neither local nor an address"),
    ],
)
def test_replicas_that_make_no_sense_are_refused(folder, engine, says):
    text = re.sub(r"engine = .*", f"engine = {engine}", REPLICATED)
    assert says in refused(folder, text).message
