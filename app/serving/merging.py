"""Serve adapters as full checkpoints where that is asked for: on a CPU they score three times as fast so."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote

from app.engines.registry import Checkpoint, Registry
from app.errors import ConfigurationError


def with_merged(
    registry: Registry, names: Sequence[str], *, folder: Path, dtype: str, say: Callable[[str], None]
) -> tuple[Registry, list[str]]:
    """Return the registry with each named adapter as a full checkpoint in `folder`, and what to say of each.

    Raises ConfigurationError for a name that is no adapter, NotFoundError for an unknown one.
    """
    changed: dict[str, Checkpoint] = {}
    said: list[str] = []
    for name in dict.fromkeys(names):
        changed[name], note = _merged(registry.get(name), folder=folder, dtype=dtype, say=say)
        said.append(note)
    checkpoints = {name: changed.get(name, checkpoint) for name, checkpoint in registry.checkpoints.items()}
    return replace(registry, checkpoints=MappingProxyType(checkpoints)), said


def _merged(checkpoint: Checkpoint, *, folder: Path, dtype: str, say: Callable[[str], None]) -> tuple[Checkpoint, str]:
    if checkpoint.adapter is None or not checkpoint.is_local:
        raise ConfigurationError(
            f"{checkpoint.name!r} is not an adapter to be served, so there is nothing to merge.",
            remedy="Name a checkpoint with `adapter` and without a server.",
        )
    # Imported here because torch takes seconds to load, and is not needed where nothing is merged.
    from app.finetune.merge import merge_adapter, merge_name  # noqa: PLC0415

    base = Path(checkpoint.model)
    out = folder / f"{quote(checkpoint.name, safe=' ')}-{merge_name(base, checkpoint.adapter, dtype)}"
    merge_adapter(base, checkpoint.adapter, out, dtype=dtype, say=say)
    note = f"{checkpoint.name} is served merged, as a full checkpoint: {checkpoint.adapter} in {base}"
    return replace(checkpoint, adapter=None, model=str(out.resolve())), note
