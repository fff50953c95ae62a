"""Write a registry that names servers instead of the in-process engine."""

import json
from collections.abc import Mapping
from pathlib import Path

from app.engines.registry import Checkpoint, Registry

_HEADER = "# Written when the servers below were started; they may be gone.\n"


def write_registry(registry: Registry, engines: Mapping[str, str], target: Path) -> None:
    """Write `registry` to `target` with the engine of each checkpoint in `engines` (name to address) replaced.

    Paths become absolute, so the file may lie elsewhere. It appears whole or not at all.
    """
    entries = [_entry(checkpoint, engines.get(checkpoint.name)) for checkpoint in registry.checkpoints.values()]
    partial = target.with_name(f"{target.name}.partial")
    partial.write_text(_HEADER + "".join(entries), encoding="utf-8")
    partial.replace(target)


def _entry(checkpoint: Checkpoint, engine: str | None) -> str:
    values = {
        "name": checkpoint.name,
        "role": checkpoint.role,
        "base": None if checkpoint.role == "base" else checkpoint.base,
        "model": checkpoint.model if checkpoint.adapter is None else None,
        "adapter": checkpoint.adapter,
        "revision": checkpoint.revision,
        "engine": engine or checkpoint.engine,
        "served_name": checkpoint.name if engine else checkpoint.served_name,
        "template": checkpoint.template,
        "tuning_set": checkpoint.tuning_set,
        "tokenizer": checkpoint.tokenizer,
    }
    # A JSON string is a TOML string.
    lines = [f"{key} = {json.dumps(str(value), ensure_ascii=False)}" for key, value in values.items() if value]
    return "\n[[checkpoint]]\n" + "\n".join(lines) + "\n"
