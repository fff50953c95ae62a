"""A deterministic engine for web tests: it obeys the protocol and answers, fails or stalls as it is told.

Nothing outside tests knows it. Its tokenizer is a real one with 256 byte tokens and an end-of-sequence token.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType

from app.engines.protocol import CheckpointStatus, EngineStatus, Request, Scores, Token
from app.engines.registry import Checkpoint, Registry
from app.engines.tokenizer import Tokenizer, load_tokenizer
from app.engines.traffic import Traffic
from app.shift.trace import TokenShift

EOS = 256
DEFAULT_TEXT = "A kettle boils faster with its lid on. ☕"


@dataclass
class Script:
    """What one checkpoint does. Ranks repeat over the tokens; `fail_at`/`stall_at` count tokens emitted before.

    `prompted_ranks`, where given, are base's ranks when scoring is told that base reads another prompt.
    """

    text: str = DEFAULT_TEXT
    base_ranks: tuple[int, ...] = (1, 1, 2, 7)
    tuned_ranks: tuple[int, ...] = (1,)
    prompted_ranks: tuple[int, ...] | None = None
    fail_at: int | None = None
    error: BaseException | None = None
    stall_at: int | None = None
    pause_s: float = 0.0
    score_pause_s: float = 0.0
    ready: bool = True
    detail: str = "ready"
    verified: bool | None = True


class ScriptedEngine:
    """One engine for every checkpoint. Counts streams that ended early.

    Keeps what it was asked: `requests` to stream; `readings` to score, as (checkpoint, what it read before, what its
    base read before).
    """

    def __init__(self, tokenizer: Tokenizer, scripts: dict[str, Script]) -> None:
        self.tokenizer = tokenizer
        self.scripts = scripts
        self.requests: list[Request] = []
        self.readings: list[tuple[str, tuple[int, ...], tuple[int, ...]]] = []
        self.closed = 0
        self.release = asyncio.Event()

    async def stream(self, request: Request) -> AsyncIterator[Token]:
        self.requests.append(request)
        script = self.scripts[request.checkpoint]
        ids = (*self.tokenizer.encode(script.text), EOS)
        kept = ids[: request.decoding.max_tokens]
        finished = False
        try:
            for index, token in enumerate(kept):
                await asyncio.sleep(script.pause_s)
                if script.stall_at == index:
                    await self.release.wait()
                if script.fail_at == index:
                    assert script.error is not None
                    raise script.error
                last = index == len(kept) - 1
                shift = (
                    self._shift(request.checkpoint, index, token, top_k=request.top_k) if request.reference else None
                )
                yield Token(
                    index=index,
                    id=token,
                    logprob=-0.25,
                    shift=shift,
                    finish=("stop" if token == EOS else "length") if last else None,
                )
            finished = True
        finally:
            self.closed += not finished

    async def score(
        self,
        prompt_ids: tuple[int, ...],
        response_ids: tuple[int, ...],
        top_k: int,
        *,
        checkpoint: str,
        reference: str,
        reference_prompt_ids: tuple[int, ...] | None = None,
    ) -> Scores:
        script = self.scripts[checkpoint]
        if script.error is not None and script.fail_at is None:
            raise script.error
        self.readings.append((checkpoint, prompt_ids, reference_prompt_ids or prompt_ids))
        if script.score_pause_s:
            await asyncio.sleep(script.score_pause_s)
        ranks = script.base_ranks
        if script.prompted_ranks is not None and reference_prompt_ids not in {None, prompt_ids}:
            ranks = script.prompted_ranks
        tokens = tuple(
            self._shift(checkpoint, index, token, top_k=top_k, ranks=ranks) for index, token in enumerate(response_ids)
        )
        return Scores(
            tokens=tokens, kl_kind="exact", dtype="float32", border_width=0.0, engine="scripted", engine_version="1"
        )

    async def status(self) -> EngineStatus:
        return EngineStatus(
            engine="scripted",
            version="1",
            dtype="float32",
            checkpoints=tuple(
                CheckpointStatus(name, script.ready, script.detail, script.verified)
                for name, script in self.scripts.items()
            ),
        )

    def _shift(
        self, checkpoint: str, index: int, token: int, *, top_k: int, ranks: tuple[int, ...] | None = None
    ) -> TokenShift:
        script = self.scripts[checkpoint]
        ranks, tuned_rank = ranks or script.base_ranks, script.tuned_ranks[index % len(script.tuned_ranks)]
        rank = ranks[index % len(ranks)]
        others = [other for other in range(97, 97 + top_k + 1) if other != token][:top_k]
        base = [(other, -0.5 - step) for step, other in enumerate(others)]
        if rank <= top_k:
            base.insert(rank - 1, (token, -0.5 - rank + 0.5))
        above = [(other, -0.01 * (step + 1)) for step, other in enumerate(others[: tuned_rank - 1])]
        tuned = [*above, (token, -0.25), *((other, -2.0 - step) for step, other in enumerate(others[tuned_rank - 1 :]))]
        return TokenShift(
            id=token,
            base_rank=rank,
            base_logprob=-float(rank),
            tuned_rank=tuned_rank,
            tuned_logprob=-0.25,
            kl_tuned_base=0.1 * (rank - 1),
            kl_base_tuned=0.2 * (rank - 1),
            ties=0,
            near_border=False,
            base_entropy=1.5,
            tuned_entropy=0.5,
            top_base=tuple(base[:top_k]),
            top_tuned=tuple(tuned[:top_k]),
        )


@dataclass
class ScriptedEngines:
    """Stands where `app.engines.open.Engines` stands. `now` is its traffic, `told_of` whose was asked for last."""

    registry: Registry
    engine: ScriptedEngine
    closed: bool = field(default=False)
    now: list[Traffic] = field(default_factory=list)
    told_of: list[str] = field(default_factory=list)

    def for_checkpoint(self, name: str) -> ScriptedEngine:
        self.registry.get(name)
        return self.engine

    def tokenizer_for(self, name: str) -> Tokenizer:
        self.registry.get(name)
        return self.engine.tokenizer

    async def verify(self, name: str) -> None:
        script = self.engine.scripts[self.registry.get(name).name]
        if script.error is not None:
            raise script.error
        script.verified = True

    def shared_adapters(self) -> tuple[str, ...]:
        return ()

    def traffic(self, names: Iterable[str]) -> list[Traffic]:
        self.told_of = sorted(names)
        return list(self.now)

    async def aclose(self) -> None:
        self.closed = True


def scripted_engines(folder: Path, **scripts: Script) -> ScriptedEngines:
    """Engines for `base`, `lft` and `sft`, or for the scripts given; `base` agrees with itself everywhere."""
    scripts = scripts or {"base": Script(base_ranks=(1,)), "lft": Script(), "sft": Script(base_ranks=(1, 3, 9, 40))}
    write_tokenizer(folder)
    checkpoints = {
        name: Checkpoint(
            name=name,
            role=name if name in {"base", "lft", "sft"} else "other",
            model=str(folder),
            adapter=folder / "adapter" if name == "lft" else None,
            base="base",
            revision=None,
            engine="local",
            served_name=name,
            template="none",
            tuning_set=None,
            tokenizer=folder,
        )
        for name in scripts
    }
    registry = Registry(path=folder / "checkpoints.toml", checkpoints=MappingProxyType(checkpoints))
    return ScriptedEngines(registry=registry, engine=ScriptedEngine(load_tokenizer(folder), scripts))


def write_tokenizer(folder: Path) -> None:
    """Write a byte-level tokenizer: one id per byte, then `<|end|>`."""
    folder.mkdir(parents=True, exist_ok=True)
    spec = {
        "version": "1.0",
        "added_tokens": [
            {
                "id": EOS,
                "content": "<|end|>",
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": True,
            }
        ],
        "normalizer": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False},
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {"type": "BPE", "vocab": {_letter(byte): byte for byte in range(256)}, "merges": []},
    }
    (folder / "tokenizer.json").write_text(json.dumps(spec, ensure_ascii=False), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<|end|>"}), encoding="utf-8")


@cache
def _letter(byte: int) -> str:
    """The printable stand-in byte-level BPE uses for a byte (GPT-2's table)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    if byte in printable:
        return chr(byte)
    return chr(256 + [other for other in range(256) if other not in printable].index(byte))
