"""LFT and SFT on a two-layer Llama: answers alone are learned, runs repeat by seed, a killed run leaves nothing."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from app.finetune.encode import Encoded, encode
from app.finetune.hashing import file_sha256
from app.finetune.loop import FinetuneError, batch_loss, learning_rate, plan
from app.finetune.recipe import RecipeError, default_recipe
from app.finetune.train import finetune
from app.tuning_sets.read import DataError, read_data

TEMPLATE = (
    "{% for message in messages %}{{ '<s>' + message['role'] + '\n' + message['content'] + '</s>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<s>assistant\n' }}{% endif %}"
)
EOS = 1
QUICK = {"epochs": 3, "batch": 4, "lr": 1e-2, "dtype": "float32"}


def quiet(done: float, total: float, message: str) -> None:
    """Take no notice."""


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    bare = Tokenizer(models.BPE(vocab={"<s>": 0, "</s>": EOS} | {c: n + 2 for n, c in enumerate(alphabet)}, merges=[]))
    bare.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bare.decoder = decoders.ByteLevel()
    bare.add_special_tokens(["<s>", "</s>"])
    return PreTrainedTokenizerFast(tokenizer_object=bare, eos_token="</s>", chat_template=TEMPLATE)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory, tokenizer: PreTrainedTokenizerFast) -> Path:
    folder = tmp_path_factory.mktemp("models") / "base"
    torch.manual_seed(7)
    config = LlamaConfig(
        vocab_size=258,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        bos_token_id=0,
        eos_token_id=EOS,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "set.jsonl"
    rows = [{"instruction": f"Name number {n}.", "output": f"Well, it is {n * n}.\nIn short: {n}."} for n in range(10)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def weights(folder: Path) -> dict[str, str]:
    return {path.name: file_sha256(path) for path in folder.glob("*.safetensors")}


def first(data: Path, tokenizer: PreTrainedTokenizerFast, *, max_tokens: int = 1024) -> Encoded:
    return encode(read_data(data).examples[0], tokenizer=tokenizer, max_tokens=max_tokens)


def test_only_the_answer_and_its_end_are_learned(data: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    item = first(data, tokenizer)
    said = [token for token, learned in zip(item.ids, item.learned, strict=True) if learned]
    given = [token for token, learned in zip(item.ids, item.learned, strict=True) if not learned]
    assert tokenizer.decode(said) == "Well, it is 0.\nIn short: 0.</s>"
    assert tokenizer.decode(given) == "<s>user\nName number 0.</s>\n<s>assistant\n"
    assert said[-1] == EOS


def test_every_answer_of_a_conversation_is_learned(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    path = tmp_path / "chat.json"
    turns = [("system", "Be kind."), ("user", "A?"), ("assistant", "B."), ("user", "C?"), ("assistant", "D.")]
    path.write_text(json.dumps([{"messages": [{"role": role, "content": text} for role, text in turns]}]))
    item = first(path, tokenizer)
    said = [token for token, learned in zip(item.ids, item.learned, strict=True) if learned]
    assert tokenizer.decode(said) == "B.</s>D.</s>"
    assert tokenizer.decode(item.ids).endswith("<s>user\nC?</s>\n<s>assistant\nD.</s>")


def test_long_instances_lose_their_end_and_say_so(data: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    whole = first(data, tokenizer)
    cut = first(data, tokenizer, max_tokens=len(whole.ids) - 5)
    assert cut.truncated
    assert not whole.truncated
    assert cut.ids == whole.ids[:-5]
    with pytest.raises(DataError, match=r"line 1: .*prompt fills all 8 tokens"):
        first(data, tokenizer, max_tokens=8)


def test_the_loss_of_a_batch_is_the_mean_over_its_learned_tokens(
    base: Path, data: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    model = AutoModelForCausalLM.from_pretrained(base)
    items = [encode(example, tokenizer=tokenizer, max_tokens=1024) for example in read_data(data).examples[:3]]
    items.append(first(data, tokenizer, max_tokens=60))
    surprise, learned = 0.0, 0
    for item in items:
        logprobs = model(torch.tensor([item.ids])).logits[0].log_softmax(-1).detach()
        for place in range(1, len(item.ids)):
            if item.learned[place]:
                surprise -= float(logprobs[place - 1, item.ids[place]])
                learned += 1
    loss = batch_loss(model, items, dtype=torch.float32).detach()
    assert float(loss) == pytest.approx(surprise / learned, abs=1e-5)


def test_both_methods_see_the_same_batches_and_every_instance_once_an_epoch(
    data: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    items = [encode(example, tokenizer=tokenizer, max_tokens=1024) for example in read_data(data).examples]
    lft, sft = (plan(items, default_recipe(method, **QUICK)) for method in ("lft", "sft"))
    assert [step.batch for step in lft] == [step.batch for step in sft]
    for epoch in range(3):
        seen = sorted(item.ids for step in lft if step.epoch == epoch for item in step.batch)
        assert seen == sorted(item.ids for item in items)
    assert [step.batch for step in lft] != [
        step.batch for step in plan(items, default_recipe("lft", **{**QUICK, "seed": 5}))
    ]


def test_the_learning_rate_warms_up_to_its_peak_and_falls_towards_zero() -> None:
    recipe = default_recipe("sft", lr=1.0 - 1e-9, warmup=0.2)
    rates = [learning_rate(step, steps=10, recipe=recipe) for step in range(10)]
    assert rates[:3] == pytest.approx([0.5, 1.0, 1.0])
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert 0 < rates[-1] < 0.05


@pytest.mark.parametrize("method", ["lft", "sft"])
def test_the_loss_falls_and_the_same_seed_gives_the_same_weights(
    base: Path, data: Path, tmp_path: Path, method: str
) -> None:
    recipe = default_recipe(method, **QUICK)
    report = finetune(base=base, data=data, out=tmp_path / "one", recipe=recipe, progress=quiet)
    assert report.epoch_losses[-1] < report.epoch_losses[0] - 0.05
    finetune(base=base, data=data, out=tmp_path / "two", recipe=recipe, progress=quiet)
    assert weights(tmp_path / "one") == weights(tmp_path / "two") != {}
    other = default_recipe(method, **{**QUICK, "seed": 99})
    finetune(base=base, data=data, out=tmp_path / "three", recipe=other, progress=quiet)
    assert weights(tmp_path / "one") != weights(tmp_path / "three")
    record = json.loads((tmp_path / "one" / "tuneshift.json").read_text())
    assert record["recipe"] == recipe.as_dict()
    assert record["data"]["sha256"] == file_sha256(data)
    assert record["report"]["losses"] == list(report.losses)


def test_an_adapter_loads_on_its_base_and_changes_it(base: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "lft"
    finetune(base=base, data=data, out=out, recipe=default_recipe("lft", **QUICK), progress=quiet)
    config = json.loads((out / "adapter_config.json").read_text())
    assert (out / config["base_model_name_or_path"]).resolve() == base.resolve()
    assert not Path(config["base_model_name_or_path"]).is_absolute()
    assert config["r"] == 8
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), out).eval()
    ids = torch.tensor([[5, 6, 7]])
    tuned = model(ids).logits
    with model.disable_adapter():
        plain = model(ids).logits
    assert not torch.allclose(tuned, plain)
    assert torch.equal(plain, AutoModelForCausalLM.from_pretrained(base).eval()(ids).logits)


def test_sft_writes_a_whole_float32_checkpoint(base: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "sft"
    finetune(base=base, data=data, out=out, recipe=default_recipe("sft", **QUICK), progress=quiet)
    tuned = AutoModelForCausalLM.from_pretrained(out)
    assert tuned.dtype == torch.float32
    before = AutoModelForCausalLM.from_pretrained(base).state_dict()
    assert all(not torch.equal(value, before[name]) for name, value in tuned.state_dict().items())
    assert (out / "chat_template.jinja").read_text() == (base / "chat_template.jinja").read_text()


KILLED = """
import os, signal, sys
from pathlib import Path
import torch
from app.finetune.recipe import default_recipe
from app.finetune.train import finetune
torch.set_num_threads(1)
def progress(done, total, message):
    if done > total / 2:
        os.kill(os.getpid(), signal.SIGKILL)
base, data, out = map(Path, sys.argv[1:4])
finetune(base=base, data=data, out=out, progress=progress,
         recipe=default_recipe("lft", epochs=3, batch=4, lr=1e-2, dtype="float32"))
"""


def test_a_killed_run_leaves_no_checkpoint_and_the_next_run_is_as_if_it_never_was(
    base: Path, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "lft"
    command = [sys.executable, "-c", KILLED, str(base), str(data), str(out)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    assert subprocess.run(command, check=False, env=environment).returncode == -signal.SIGKILL
    assert not out.exists()
    finetune(base=base, data=data, out=out, recipe=default_recipe("lft", **QUICK), progress=quiet)
    finetune(base=base, data=data, out=tmp_path / "calm", recipe=default_recipe("lft", **QUICK), progress=quiet)
    assert weights(out) == weights(tmp_path / "calm")
    assert {path.name for path in tmp_path.iterdir() if not path.name.endswith(".lock")} == {"lft", "calm"}


def test_what_cannot_be_tuned_is_refused_and_nothing_is_written(base: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(FinetuneError, match=r"no config\.json"):
        finetune(base=tmp_path, data=data, out=out, recipe=default_recipe("sft", **QUICK), progress=quiet)
    strange = default_recipe("lft", **QUICK, targets=("q_proj", "c_attn"))
    with pytest.raises(RecipeError, match="targets names c_attn"):
        finetune(base=base, data=data, out=out, recipe=strange, progress=quiet)
    with pytest.raises(FinetuneError, match="loss is nan"):
        finetune(base=broken(base, tmp_path), data=data, out=out, recipe=default_recipe("sft", **QUICK), progress=quiet)
    assert not out.exists()


def broken(base: Path, tmp_path: Path) -> Path:
    """A copy of `base` with one weight that is not a number."""
    folder = tmp_path / "broken"
    shutil.copytree(base, folder)
    model = AutoModelForCausalLM.from_pretrained(base)
    with torch.no_grad():
        model.model.norm.weight[0] = float("nan")
    model.save_pretrained(folder)
    return folder


def test_tokens_beyond_the_embedding_are_refused_by_line(base: Path, data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "small"
    shutil.copytree(base, folder)
    config = LlamaConfig.from_pretrained(base, vocab_size=100)
    LlamaForCausalLM(config).save_pretrained(folder)
    with pytest.raises(DataError, match=r"line 1: token id \d+ is beyond the 100 rows"):
        finetune(base=folder, data=data, out=tmp_path / "out", recipe=default_recipe("sft", **QUICK), progress=quiet)
