"""Load an adapter of the registry into its running servers, or drop it: checked before, probed and self-checked after.

Servers accept adapters of another base and of wrong shapes without a word, and drop what changes lm_head.
"""

from pathlib import Path

from app.engines.check import SelfCheck
from app.engines.open import Engines
from app.engines.registry import Checkpoint
from app.engines.vllm import adapters
from app.engines.vllm.client import state
from app.engines.weight_files import check_adapter
from app.errors import ConfigurationError, EngineError, InvalidInputError

# vLLM knows no larger one.
MAX_RANK = 512
_MORE_SLOTS = (
    "Restart it with --max-loras above the number of loads to come: CPU servers before 0.33 give every load a slot of "
    "its own, unloaded ones included, and compute the base with the last slot."
)


async def load_adapter(engines: Engines, name: str) -> SelfCheck:
    """Load an adapter where it is not yet and return its self-check.

    Raises InvalidInputError for what is no adapter on a server or does not fit its base, EngineError with the reason
    of a server that would not load it, or that computes the base with it from then on.
    """
    checkpoint = _on_a_server(engines, name)
    _refuse_unfit(checkpoint, engines.registry.get(checkpoint.base))
    for url in checkpoint.servers:
        server = engines.vllm.pool.servers[url]
        if checkpoint.served_name not in (await state(server, checkpoint=name)).models:
            await adapters.load(server, checkpoint.served_name, str(checkpoint.adapter), checkpoint=name)
        engines.vllm.pool.replicas.works(url, checkpoint.served_name)
    if name in engines.shared_adapters():
        found = await engines.probe_isolation(name)
        if not found.isolated:
            raise EngineError(found.detail, remedy=_MORE_SLOTS)
    return await engines.verify(name)


async def unload_adapter(engines: Engines, name: str) -> None:
    """Drop an adapter wherever it is loaded. Raises InvalidInputError, EngineError."""
    checkpoint = _on_a_server(engines, name)
    for url in checkpoint.servers:
        server = engines.vllm.pool.servers[url]
        if checkpoint.served_name in (await state(server, checkpoint=name)).models:
            await adapters.unload(server, checkpoint.served_name, checkpoint=name)
    engines.vllm.forget(name)


def _on_a_server(engines: Engines, name: str) -> Checkpoint:
    checkpoint = engines.registry.get(name)
    if checkpoint.adapter is None or checkpoint.is_local:
        said = "runs in this process" if checkpoint.is_local else "is a full model"
        raise InvalidInputError(
            f"{name!r} {said}.", remedy="Only an adapter on a vLLM server can be loaded and unloaded."
        )
    return checkpoint


def _refuse_unfit(checkpoint: Checkpoint, base: Checkpoint) -> None:
    """Look at the files as they are now: what the registry was read with may have been trained again since."""
    folder = Path(base.model)
    if not folder.is_dir():
        raise InvalidInputError(
            f"{checkpoint.name!r} cannot be checked, because the weights of {base.name!r} are not here.",
            remedy=f"Set model of {base.name!r} to their folder; only config and safetensors headers are read.",
        )
    try:
        facts = check_adapter(checkpoint.adapter or folder, folder, base_name=base.model)
    except ConfigurationError as error:
        raise InvalidInputError(error.message, remedy=error.remedy) from error
    if "lm_head" in facts.targets or facts.rank > MAX_RANK:
        what = "changes lm_head, which a vLLM server drops without a word" if "lm_head" in facts.targets else ""
        raise InvalidInputError(
            f"{checkpoint.name!r} {what or f'has rank {facts.rank}; vLLM knows up to {MAX_RANK}'}.",
            remedy="Use the local engine for it, or merge it and register the result.",
        )
