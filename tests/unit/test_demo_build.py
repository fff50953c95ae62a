"""The demo's build: a step runs once, runs again when its content changed, and survives being killed in the middle.

The steps themselves are stand-ins here: the download, the conversion and the training have tests of their own.
"""

import io
import os
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from rich.console import Console

from app.demo import build
from app.demo.progress import bars, counted
from app.demo.state import read_manifest, record_outputs, still_valid
from app.finetune.publish import BusyError, locked, publishing

STEPS = ("package", "base", "tuning_set", "lft", "sft")


class Silent:
    def step(self, name: str, total: float):
        return lambda done, message="": None


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    made: list[str] = []

    def write(out: Path, name: str, content: str) -> None:
        made.append(out.name)
        with publishing(out) as folder:
            (folder / name).write_text(content)

    convert, train = ModuleType("app.finetune.convert"), ModuleType("app.finetune.train")
    convert.convert_gguf = lambda gguf, out, *, progress: write(out, "model.safetensors", "base weights")
    train.finetune = lambda *, base, data, out, recipe, progress: write(
        out, "weights.safetensors", recipe.as_json() + (base / "model.safetensors").read_text()
    )
    monkeypatch.setitem(sys.modules, "app.finetune.convert", convert)
    monkeypatch.setitem(sys.modules, "app.finetune.train", train)
    monkeypatch.setattr(build, "fetch_package", lambda out, *, report: write(out, build.GGUF, "gguf"))
    return made


def run(folder: Path) -> build.DemoBuild:
    return build.build_demo(folder, progress=Silent())


def test_a_first_build_makes_everything_and_a_second_nothing(tmp_path: Path, calls: list[str]) -> None:
    first = run(tmp_path)
    assert first.built == STEPS
    second = run(tmp_path)
    assert second.built == ()
    assert calls == ["package", "base", "lft", "sft"]
    assert second.fingerprint == first.fingerprint
    for folder in (first.base, first.lft, first.sft):
        assert any(folder.iterdir())
    assert first.tuning_set.read_bytes() == build.tuning_set_path().read_bytes()


def test_the_registry_names_what_was_built_and_keeps_the_users_changes(tmp_path: Path, calls: list[str]) -> None:
    registry = run(tmp_path).registry
    entries = {entry["name"]: entry for entry in tomllib.loads(registry.read_text())["checkpoint"]}
    assert list(entries) == ["base", "lft", "sft"]
    for entry in entries.values():
        for field in ("model", "adapter", "tuning_set"):
            assert field not in entry or (tmp_path / entry[field]).exists()
    registry.write_text(registry.read_text() + "# mine\n")
    run(tmp_path)
    assert registry.read_text().endswith("# mine\n")


def test_another_time_stamp_is_no_change_but_another_content_is(tmp_path: Path, calls: list[str]) -> None:
    first = run(tmp_path)
    weights = first.sft / "weights.safetensors"
    os.utime(weights, ns=(1, 1))
    assert run(tmp_path).built == ()
    assert read_manifest(tmp_path / "demo" / "manifest.json")["sft"].outputs[weights.name].mtime_ns == 1
    weights.write_text(weights.read_text().swapcase())
    assert run(tmp_path).built == ("sft",)
    weights.unlink()
    repaired = run(tmp_path)
    assert repaired.built == ("sft",)
    assert repaired.fingerprint == first.fingerprint


def test_new_base_weights_mean_new_tunings(tmp_path: Path, calls: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path)
    monkeypatch.setattr(build, "TRAINER", "next")
    assert run(tmp_path).built == ("lft", "sft")
    (tmp_path / "demo" / "base" / "model.safetensors").write_text("other")
    assert run(tmp_path).built == ("base",)


def test_a_finished_base_needs_no_package(tmp_path: Path, calls: list[str]) -> None:
    run(tmp_path)
    (tmp_path / "demo" / "package" / build.GGUF).unlink()
    assert run(tmp_path).built == ()


def test_a_lost_or_broken_manifest_means_building_again(tmp_path: Path, calls: list[str]) -> None:
    run(tmp_path)
    (tmp_path / "demo" / "manifest.json").write_text('{"base": 3')
    assert run(tmp_path).built == STEPS


def test_a_failed_step_keeps_the_finished_ones(
    tmp_path: Path, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    working = sys.modules["app.finetune.train"]
    failing = ModuleType("app.finetune.train")

    def fail(**_: object) -> None:
        raise MemoryError

    failing.finetune = fail
    monkeypatch.setitem(sys.modules, "app.finetune.train", failing)
    with pytest.raises(MemoryError):
        run(tmp_path)
    assert not (tmp_path / "checkpoints.toml").exists()
    monkeypatch.setitem(sys.modules, "app.finetune.train", working)
    assert run(tmp_path).built == ("lft", "sft")


KILLED = """
import os, signal, sys
from pathlib import Path
from types import ModuleType
from app.demo import build
from app.finetune.publish import publishing

def convert_gguf(gguf, out, *, progress):
    with publishing(out) as folder:
        (folder / "model.safetensors").write_text("half")
        os.kill(os.getpid(), signal.SIGKILL)

def fetch(out, *, report):
    with publishing(out) as folder:
        (folder / build.GGUF).write_text("gguf")

sys.modules["app.finetune.convert"] = ModuleType("convert")
sys.modules["app.finetune.convert"].convert_gguf = convert_gguf
build.fetch_package = fetch
class Silent:
    def step(self, name, total):
        return lambda done, message="": None
build.build_demo(Path(sys.argv[1]), progress=Silent())
"""


def test_a_build_killed_in_a_step_goes_on_from_that_step(tmp_path: Path, calls: list[str]) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False, env=environment)
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "demo" / "base").exists()
    assert run(tmp_path).built == STEPS[1:]
    assert (tmp_path / "demo" / "base" / "model.safetensors").read_text() == "base weights"


def test_two_builds_do_not_collide(tmp_path: Path, calls: list[str]) -> None:
    with locked(tmp_path / "demo" / ".build.lock", doing="building the demo"), pytest.raises(BusyError):
        run(tmp_path)
    assert calls == []


def test_outputs_must_all_be_there(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    record = build._Record(inputs={"in": "x"}, outputs=record_outputs(tmp_path))
    assert still_valid(record, inputs={"in": "x"}, folder=tmp_path) == record
    assert still_valid(record, inputs={"in": "y"}, folder=tmp_path) is None
    assert still_valid(None, inputs={"in": "x"}, folder=tmp_path) is None
    (tmp_path / "a").write_text("22")
    assert still_valid(record, inputs={"in": "x"}, folder=tmp_path) is None


def test_progress_off_a_terminal_is_plain_lines() -> None:
    out = io.StringIO()
    with bars(Console(file=out, width=60)) as progress:
        report = counted(progress, "Train LFT [LoRA]")
        report(0, 40, "epoch 1")
        report(1, 40, "epoch 1")
        report(40, 40, "done")
    lines = out.getvalue().splitlines()
    assert lines[-1] == "Train LFT [LoRA]: 100 % (done)"
    assert "\x1b" not in out.getvalue()


def test_progress_on_a_terminal_shows_bars_with_the_time_left() -> None:
    out = io.StringIO()
    with bars(Console(file=out, width=120, force_terminal=True)) as progress:
        progress.step("Download", 10)(10, "verified")
    assert "Download" in out.getvalue()
    assert "100%" in out.getvalue()
    assert "left" in out.getvalue()
