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
from app.engines.vllm.isolation import Isolation, probe_lora_isolation
from app.errors import ConfigurationError
from app.settings import Settings

CHECK_PROMPT = "Name the planets of the solar system."

# Any text will do; more tokens see more.
ISOLATION_TEXT = "The tide turns twice a day, because the moon pulls on the sea as the earth turns below it. " * 2


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

    def shared_adapters(self) -> tuple[str, ...]:
        """Name the adapters that one vLLM server serves together with their base."""
        checkpoints = self.registry.checkpoints.values()
        return tuple(
            checkpoint.name
            for checkpoint in checkpoints
            if checkpoint.adapter is not None
            and not checkpoint.is_local
            and checkpoint.engine == self.registry.get(checkpoint.base).engine
        )

    async def probe_isolation(self, name: str) -> Isolation:
        """Find out whether a shared adapter leaks into its base; a server that leaks is refused from then on.

        Raises EngineError when the server does not answer.
        """
        base = self.registry.base_of(name)
        ids = self.tokenizer_for(base).encode(ISOLATION_TEXT)
        return await probe_lora_isolation(self.vllm, base=base, adapter=name, ids=ids)

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
