"""Check model and adapter folders from their headers alone: no weights are read, no torch is needed.

vLLM loads adapters of another base, of wrong shapes and with unsupported parts without a word, so nothing reaches an
engine before it passed here.
"""

import json
import math
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.engines.tokenizer import read_json
from app.errors import ConfigurationError

Shapes = dict[str, tuple[int, ...]]

_LENGTH_BYTES = 8
_MAX_HEADER = 100_000_000
_COPY_AGAIN = "Copy or build it again; the file is damaged or only partly written."
_LORA_KEY = re.compile(r"(?:base_model\.model\.)?(?P<module>.+)\.lora_(?P<side>[AB])(?:\.default)?\.weight")


def safetensors_shapes(file: Path) -> Shapes:
    """Read the tensor shapes of a safetensors file from its header.

    Format: eight little-endian bytes of header length, a JSON header, then data; each tensor names its dtype, shape
    and byte offsets. Raises ConfigurationError for a file that is not that, or is shorter than its header promises.
    """
    size = file.stat().st_size
    with file.open("rb") as handle:
        prefix = handle.read(_LENGTH_BYTES)
        length = struct.unpack("<Q", prefix)[0] if len(prefix) == _LENGTH_BYTES else _MAX_HEADER
        raw = handle.read(length) if length < min(size, _MAX_HEADER) else b""
    try:
        header: dict[str, Any] = json.loads(raw)
        tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
        end = max((entry["data_offsets"][1] for entry in tensors.values()), default=0)
        shapes = {name: tuple(map(int, entry["shape"])) for name, entry in tensors.items()}
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise ConfigurationError(f"{file} is not a safetensors file.", remedy=_COPY_AGAIN) from error
    if _LENGTH_BYTES + length + end != size:
        raise ConfigurationError(
            f"{file} holds {size} bytes and its header promises {_LENGTH_BYTES + length + end}.", remedy=_COPY_AGAIN
        )
    return shapes


def model_shapes(folder: Path) -> Shapes:
    """Read the tensor shapes of a model folder, in one file or in shards. Raises ConfigurationError naming the file."""
    if not (folder / "config.json").is_file():
        raise ConfigurationError(
            f"{folder / 'config.json'} does not exist.", remedy="Name a folder that save_pretrained wrote."
        )
    index = read_json(folder / "model.safetensors.index.json")
    files = sorted(set(index["weight_map"].values())) if "weight_map" in index else ["model.safetensors"]
    shapes: Shapes = {}
    for name in files:
        if not (folder / name).is_file():
            raise ConfigurationError(
                f"{folder / name} does not exist.", remedy="Weights must be safetensors; other formats are not read."
            )
        shapes |= safetensors_shapes(folder / name)
    return shapes


@dataclass(frozen=True, slots=True)
class AdapterFacts:
    """A LoRA adapter that fits its base: its largest rank and the modules it changes."""

    rank: int
    modules: tuple[str, ...]

    @property
    def targets(self) -> frozenset[str]:
        """The last part of each module's name, e.g. `q_proj`."""
        return frozenset(module.rpartition(".")[2] for module in self.modules)


def check_adapter(adapter: Path, base: Path, *, base_name: str = "") -> AdapterFacts:
    """Refuse, with ConfigurationError, an adapter folder that is not plain LoRA for the model in folder `base`.

    `base_name` is how the registry spells the base, for adapters that recorded a hub id. Checked: the kind of adapter,
    the base it names, and rank and shape of every tensor.
    """
    config = _adapter_config(adapter)
    _check_kind(adapter, config)
    _check_base(adapter, config, base, base_name)
    weights = adapter / "adapter_model.safetensors"
    if not weights.is_file():
        raise ConfigurationError(f"{weights} does not exist.", remedy="Save the adapter with safetensors.")
    pairs = _pairs(weights)
    shapes = model_shapes(base)
    for module, (a, b) in pairs.items():
        _check_pair(weights, module, a, b, shapes=shapes, config=config)
    return AdapterFacts(rank=max(a[0] for a, _ in pairs.values()), modules=tuple(pairs))


def _adapter_config(adapter: Path) -> dict[str, Any]:
    file = adapter / "adapter_config.json"
    if not file.is_file():
        raise ConfigurationError(f"{file} does not exist.", remedy="Name a folder that peft's save_pretrained wrote.")
    return read_json(file)


def _check_kind(adapter: Path, config: Mapping[str, Any]) -> None:
    refusals = {
        f"peft_type is {config.get('peft_type')!r}, not LORA": config.get("peft_type") != "LORA",
        "it is a DoRA adapter (use_dora)": bool(config.get("use_dora")),
        f"it trains biases (bias = {config.get('bias')!r})": config.get("bias", "none") != "none",
        f"it replaces whole modules (modules_to_save = {config.get('modules_to_save')})": bool(
            config.get("modules_to_save")
        ),
    }
    for what, refused in refusals.items():
        if refused:
            raise ConfigurationError(
                f"{adapter / 'adapter_config.json'}: {what}.",
                remedy="Only plain LoRA runs alike on both engines: retrain it, or merge it and register the result.",
            )


def _check_base(adapter: Path, config: Mapping[str, Any], base: Path, base_name: str) -> None:
    named = config.get("base_model_name_or_path")
    if not named:
        return
    places = {Path(named).resolve(), (adapter / named).resolve()}
    known = {base_name, read_json(base / "config.json").get("_name_or_path")}
    # A folder that moved keeps its name; the shapes below decide then.
    if base.resolve() in places or named in known or Path(named).name == base.name:
        return
    raise ConfigurationError(
        f"{adapter / 'adapter_config.json'}: the adapter was made for {named!r}, not for {base_name or str(base)!r}.",
        remedy="Name that base, or, if both are the same weights, correct base_model_name_or_path.",
    )


def _pairs(weights: Path) -> dict[str, tuple[tuple[int, ...], tuple[int, ...]]]:
    """Return module -> (shape of A, shape of B)."""
    sides: dict[str, dict[str, tuple[int, ...]]] = {}
    for key, shape in safetensors_shapes(weights).items():
        match = _LORA_KEY.fullmatch(key)
        if match is None:
            raise ConfigurationError(
                f"{weights}: tensor {key!r} is not a LoRA matrix of a linear module.",
                remedy="Retrain without it, or merge the adapter and register the result.",
            )
        sides.setdefault(match["module"], {})[match["side"]] = shape
    if not sides:
        raise ConfigurationError(f"{weights} holds no tensors.", remedy=_COPY_AGAIN)
    for module, found in sides.items():
        if len(found) != len("AB"):
            raise ConfigurationError(f"{weights}: module {module!r} has only one of A and B.", remedy=_COPY_AGAIN)
    return {module: (found["A"], found["B"]) for module, found in sides.items()}


def lora_rank(config: Mapping[str, Any], module: str) -> int:
    """Return the rank `adapter_config.json` gives a module (`rank_pattern` keys are regular expressions of its end)."""
    return int(_patterned(config.get("rank_pattern"), module, config.get("r", 0)))


def lora_scale(config: Mapping[str, Any], module: str) -> float:
    """Return the factor on B A: alpha / r, or alpha / sqrt(r) for rank-stabilised LoRA (Kalajdzievski 2023)."""
    rank = lora_rank(config, module)
    alpha = float(_patterned(config.get("alpha_pattern"), module, config.get("lora_alpha", rank)))
    return alpha / math.sqrt(rank) if config.get("use_rslora") else alpha / rank


def _patterned(patterns: Mapping[str, Any] | None, module: str, default: Any) -> Any:
    for pattern, value in (patterns or {}).items():
        if re.match(rf".*\.{pattern}$|^{pattern}$", module):
            return value
    return default


def _check_pair(
    weights: Path,
    module: str,
    a: tuple[int, ...],
    b: tuple[int, ...],
    *,
    shapes: Shapes,
    config: Mapping[str, Any],
) -> None:
    wanted = _module_shape(module, shapes)
    if wanted is None:
        raise ConfigurationError(
            f"{weights}: the base has no module {module!r}.", remedy="Name the adapter's own base."
        )
    outputs, inputs = reversed(wanted) if config.get("fan_in_fan_out") else wanted
    rank = lora_rank(config, module)
    if (a, b) != ((rank, inputs), (outputs, rank)):
        raise ConfigurationError(
            f"{weights}: module {module!r} has A {a} and B {b}; "
            f"rank {rank} on the base's {wanted} needs A {(rank, inputs)} and B {(outputs, rank)}.",
            remedy="Name the adapter's own base, or correct r in adapter_config.json.",
        )


def _module_shape(module: str, shapes: Shapes) -> tuple[int, int] | None:
    names = [f"{module}.weight"]
    if module == "lm_head":  # tied to the embedding, which is then stored alone
        names += [name for name in shapes if name.endswith("embed_tokens.weight")]
    for name in names:
        shape = shapes.get(name, ())
        if len(shape) == 2:  # noqa: PLR2004 - a matrix
            return shape[0], shape[1]
    return None
