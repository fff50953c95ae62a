"""Write a registry that names servers instead of the in-process engine."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from app.engines.registry import Checkpoint, Registry

_HEADER = "# Written when the servers below were started; they may be gone.\n"


def write_registry(
    registry: Registry, engines: Mapping[str, Sequence[str]], target: Path, *, notes: Iterable[str] = ()
) -> None:
    """Write `registry` to `target` with the engine of each checkpoint in `engines` (name to addresses) replaced.

    Paths become absolute, so the file may lie elsewhere. `notes` are lines of comment. It appears whole or not at all.
    """
    head = _HEADER + "".join(f"# {json.dumps(note, ensure_ascii=False)[1:-1]}\n" for note in notes)
    entries = [_entry(checkpoint, engines.get(checkpoint.name, ())) for checkpoint in registry.checkpoints.values()]
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.partial")
    partial.write_text(head + "".join(entries), encoding="utf-8")
    partial.replace(target)


def _entry(checkpoint: Checkpoint, urls: Sequence[str]) -> str:
    values = {
        "name": checkpoint.name,
        "role": checkpoint.role,
        "base": None if checkpoint.role == "base" else checkpoint.base,
        "model": checkpoint.model if checkpoint.adapter is None else None,
        "adapter": checkpoint.adapter,
        "revision": checkpoint.revision,
        "engine": _engine(urls or checkpoint.servers) or checkpoint.engine,
        "served_name": checkpoint.name if urls else checkpoint.served_name,
        "template": checkpoint.template,
        "tuning_set": checkpoint.tuning_set,
        "tokenizer": checkpoint.tokenizer,
    }
    lines = [f"{key} = {_toml(value)}" for key, value in values.items() if value]
    return "\n[[checkpoint]]\n" + "\n".join(lines) + "\n"


def _engine(urls: Sequence[str]) -> str | list[str]:
    """One address as it is; several, which are servers of the same checkpoint, as a list."""
    return urls[0] if len(urls) == 1 else list(urls)


def _toml(value: object) -> str:
    # A JSON string, or list of strings, is one of TOML.
    plain = value if isinstance(value, list) else str(value)
    return json.dumps(plain, ensure_ascii=False)
