"""From a registry to running engines: one per kind, made here and closed here."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from app.engines.check import SelfCheck, joined, self_check
from app.engines.local import LocalEngine
from app.engines.protocol import Engine
from app.engines.registry import Checkpoint, Registry
from app.engines.tokenizer import Tokenizer, load_tokenizer
from app.engines.traffic import Traffic
from app.engines.vllm.engine import VllmEngine
from app.engines.vllm.faults import address
from app.engines.vllm.isolation import Isolation, probe_lora_isolation
from app.engines.vllm.limits import Limits
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
        """Run the self-check of a checkpoint, on each of its replicas; its engine shows the result from then on."""
        checkpoint = self.registry.get(name)
        tokenizer = await asyncio.to_thread(self.tokenizer_for, name)
        prompt_ids = tokenizer.render(CHECK_PROMPT, template=checkpoint.template)
        if checkpoint.is_local:
            check = await self_check(self.local, name, reference=checkpoint.base, prompt_ids=prompt_ids)
            self.local.remember(check)
            return check
        asked = [self.vllm.at(url) for url in checkpoint.servers]
        checks = [await self_check(one, name, reference=checkpoint.base, prompt_ids=prompt_ids) for one in asked]
        check = joined(name, dict(zip(map(address, checkpoint.servers), checks, strict=True)))
        self.vllm.remember(check)
        return check

    def shared_adapters(self) -> tuple[str, ...]:
        """Name the adapters that one vLLM server serves together with their base."""
        checkpoints = self.registry.checkpoints.values()
        return tuple(
            checkpoint.name for checkpoint in checkpoints if checkpoint.adapter is not None and self._shared(checkpoint)
        )

    def _shared(self, checkpoint: Checkpoint) -> list[str]:
        theirs = self.registry.get(checkpoint.base).servers
        return [url for url in checkpoint.servers if url in theirs]

    async def probe_isolation(self, name: str) -> Isolation:
        """Find out whether a shared adapter leaks into its base; a server that leaks is not asked from then on.

        Every server they share is probed; the worst finding is returned. Raises EngineError when one does not answer.
        """
        checkpoint = self.registry.get(name)
        ids = self.tokenizer_for(checkpoint.base).encode(ISOLATION_TEXT)
        found = [
            await probe_lora_isolation(self.vllm.at(url), base=checkpoint.base, adapter=name, ids=ids)
            for url in self._shared(checkpoint)
        ]
        return max(found, key=lambda one: (not one.isolated, one.largest_change))

    def traffic(self, names: Iterable[str]) -> list[Traffic]:
        """Tell what this process asks now of the engines of some checkpoints and their bases; nothing is contacted."""
        known = [self.registry.get(name) for name in names if name in self.registry.checkpoints]
        asked = dict.fromkeys(name for one in known for name in (one.name, one.base))
        return [*self.local.traffic(asked), *self.vllm.traffic(asked)]

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
            score_timeout_s=settings.vllm_score_timeout_s,
            limits=Limits(
                streams=settings.vllm_streams, scorings=settings.vllm_scorings, waiting=settings.vllm_waiting
            ),
        ),
    )
