"""From a registry to running engines: one per kind, made here and closed here."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

from app.engines.check import SelfCheck, self_check
from app.engines.local import LocalEngine
from app.engines.protocol import Engine
from app.engines.registry import Registry
from app.engines.tokenizer import Tokenizer, load_tokenizer
from app.engines.vllm.engine import VllmEngine
from app.errors import ConfigurationError
from app.settings import Settings

CHECK_PROMPT = "Name the planets of the solar system."


@dataclass(frozen=True, slots=True, eq=False)
class Engines:
    """The engines of one registry. Opening them loads no weights and contacts no server."""

    registry: Registry
    local: LocalEngine
    vllm: VllmEngine
    _tokenizers: dict[Path, Tokenizer] = field(default_factory=dict)

    def for_checkpoint(self, name: str) -> Engine:
        """Return the engine that runs a checkpoint. Raises NotFoundError."""
        return self.local if self.registry.get(name).is_local else self.vllm

    def tokenizer_for(self, name: str) -> Tokenizer:
        """Return the tokenizer of a checkpoint, read once. Raises NotFoundError."""
        folder = self.registry.get(name).tokenizer
        if folder not in self._tokenizers:
            self._tokenizers[folder] = load_tokenizer(folder)
        return self._tokenizers[folder]

    async def verify(self, name: str) -> SelfCheck:
        """Run the self-check of a checkpoint; its engine shows the result in its status from then on."""
        checkpoint = self.registry.get(name)
        tokenizer = await asyncio.to_thread(self.tokenizer_for, name)
        prompt_ids = tokenizer.render(CHECK_PROMPT, template=checkpoint.template)
        engine = self.local if checkpoint.is_local else self.vllm
        check = await self_check(engine, name, reference=checkpoint.base, prompt_ids=prompt_ids)
        engine.remember(check)
        return check

    async def aclose(self) -> None:
        """Stop what runs in this process; servers are not ours to stop."""
        await self.local.aclose()


def open_engines(registry: Registry, settings: Settings) -> Engines:
    """Make the engines of a registry. Raises ConfigurationError where base and tuned run on different kinds."""
    for checkpoint in registry.checkpoints.values():
        base = registry.get(checkpoint.base)
        if checkpoint.is_local != base.is_local:
            raise ConfigurationError(
                f"{registry.path}: {checkpoint.name!r} runs on {checkpoint.engine} and its base {base.name!r} on "
                f"{base.engine}.",
                remedy="Score base and tuned with the same engine: make both local, or serve both with vLLM.",
            )
    return Engines(
        registry=registry,
        local=LocalEngine(registry, dtype=settings.dtype, threads=settings.torch_threads),
        vllm=VllmEngine(
            registry.checkpoints.values(),
            dtype=settings.vllm_dtype,
            api_key=settings.vllm_api_key.get_secret_value() if settings.vllm_api_key else None,
            read_timeout_s=settings.vllm_read_timeout_s,
        ),
    )
