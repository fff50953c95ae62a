"""What an engine promises: stream a response, score given ids, say how it is.

An engine serves every checkpoint of one kind (all in-process ones, or all reached over HTTP), because base and tuned
must be scored by the same engine and dtype. It knows token ids only; text and templates belong to `tokenizer`.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol

from app.shift.trace import KlKind, TokenShift

FinishReason = Literal["stop", "length"]
AdapterState = Literal["fixed", "absent", "loaded"]


@dataclass(frozen=True, slots=True)
class Decoding:
    """How tokens are drawn: temperature 0 is greedy; every other sampling knob is fixed to neutral."""

    max_tokens: int = 256
    temperature: float = 0.0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Request:
    """One response to stream from `checkpoint`, compared with `reference` (a base) as far as the engine can live.

    `reference_prompt_ids` is what the reference sees before the response; it may differ from `prompt_ids`.
    A checkpoint may be its own reference. Requests made together decode as one batch where they share weights.
    `on_wait` is told, while the request waits for its turn, how many must end before it, and 0 as it begins.
    """

    checkpoint: str
    prompt_ids: tuple[int, ...]
    decoding: Decoding
    reference: str | None = None
    reference_prompt_ids: tuple[int, ...] | None = None
    top_k: int = 20
    on_wait: Callable[[int], None] | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Token:
    """One emitted token: its raw log-probability (nats, temperature 1) and, when already known, its shift.

    `finish` is set on the last token only. The end-of-sequence token is a token of the response. `server` says which
    replica answered, for an engine that has several.
    """

    index: int
    id: int
    logprob: float
    shift: TokenShift | None = None
    finish: FinishReason | None = None
    server: str = ""


@dataclass(frozen=True, slots=True)
class Scores:
    """Both models' view of given response ids, one `TokenShift` per id, with what it takes to compare numbers later.

    `server` says which servers answered, for an engine that has several.
    """

    tokens: tuple[TokenShift, ...]
    kl_kind: KlKind
    dtype: str
    border_width: float
    engine: str
    engine_version: str
    server: str = ""


@dataclass(frozen=True, slots=True)
class ReplicaStatus:
    """One of several servers of a checkpoint: where it is, whether it can answer, and a sentence."""

    where: str
    ready: bool
    detail: str


@dataclass(frozen=True, slots=True)
class CheckpointStatus:
    """Whether a checkpoint can answer now. `verified` is the self-check (generation against scoring); None: not run.

    `replicas` is empty for a checkpoint that has no more than one server. `adapter` tells of an adapter whose servers
    let it be loaded and unloaded whether all of them have it; of everything else that it is fixed.
    """

    checkpoint: str
    ready: bool
    detail: str
    verified: bool | None = None
    replicas: tuple[ReplicaStatus, ...] = ()
    adapter: AdapterState = "fixed"


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """The state of one engine and of each checkpoint it serves."""

    engine: str
    version: str
    dtype: str
    checkpoints: tuple[CheckpointStatus, ...]


class Engine(Protocol):
    """Three methods, nothing optional. Failures are `app.errors.EngineError` with a sentence a person can act on."""

    def stream(self, request: Request) -> AsyncIterator[Token]:
        """Yield tokens as they are decoded; closing the iterator stops the work within a step."""
        ...

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
        """Teacher-force `response_ids` through checkpoint and reference and compare them token by token."""
        ...

    async def status(self) -> EngineStatus:
        """Say which checkpoints can answer; never raises, never loads weights."""
        ...
