"""The local engine's face on the event loop: the three methods of the protocol, no torch."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from app.engines.check import SelfCheck
from app.engines.local.jobs import Handoff, ScoreJob, StreamJob
from app.engines.local.worker import Backend, Work, Worker
from app.engines.protocol import CheckpointStatus, EngineStatus, Request, Scores, Token
from app.engines.registry import Checkpoint, Registry
from app.engines.traffic import Traffic
from app.engines.weight_files import check_adapter, model_shapes
from app.errors import AppError, ConfigurationError, InvalidInputError
from app.shift.classes import border_width

Dtype = Literal["float32", "bfloat16"]

NAME = "local"
_NOT_INSTALLED = "The local engine needs torch and transformers."
_INSTALL = "Install them with pip install 'tuneshift[local]', or serve the checkpoints with vLLM."


class LocalEngine:
    """Runs the local checkpoints of a registry in this process. Weights load when a checkpoint is first asked for."""

    def __init__(
        self, registry: Registry, *, dtype: Dtype = "float32", device: str | None = None, threads: int = 0
    ) -> None:
        """Choose the number type, the device (None: CUDA when there is one) and CPU threads (0: torch's own choice)."""
        self._registry = registry
        self._dtype = dtype
        self._border = border_width(dtype)
        self._worker = Worker(lambda: _make_backend(registry, self._empty_scores(), device=device, threads=threads))
        self._checks: dict[str, SelfCheck] = {}
        self._streaming = self._scoring = 0

    async def stream(self, request: Request) -> AsyncIterator[Token]:
        """Yield tokens, each with its exact shift when a reference is named; see the protocol."""
        for name in filter(None, (request.checkpoint, request.reference)):
            self._local(name)
        if request.decoding.max_tokens < 1 or request.decoding.temperature < 0 or request.top_k < 1:
            raise InvalidInputError(
                f"Cannot decode with {request.decoding} and top_k {request.top_k}.",
                remedy="Ask for at least one token, a temperature of 0 or more and a top_k of at least 1.",
            )
        out = Handoff()
        self._worker.submit(StreamJob(request=request, out=out))
        self._streaming += 1
        try:
            while True:
                token: Token = await out.get()
                yield token
                if token.finish is not None:
                    return
        finally:
            out.cancelled = True
            self._streaming -= 1

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
        """Score given ids with exact KL; see the protocol."""
        for name in (checkpoint, reference):
            self._local(name)
        if not response_ids:
            return self._empty_scores()
        out = Handoff()
        job = ScoreJob(
            checkpoint=checkpoint,
            reference=reference,
            prompt_ids=prompt_ids,
            reference_prompt_ids=prompt_ids if reference_prompt_ids is None else reference_prompt_ids,
            response_ids=response_ids,
            top_k=top_k,
            out=out,
        )
        self._worker.submit(job)
        self._scoring += 1
        try:
            scores: Scores = await out.get()
        finally:
            out.cancelled = True
            self._scoring -= 1
        return scores

    async def status(self) -> EngineStatus:
        """Check the files of every local checkpoint; never loads weights."""
        local = [checkpoint for checkpoint in self._registry.checkpoints.values() if checkpoint.is_local]
        states = await asyncio.to_thread(lambda: tuple(map(self._state, local)))
        return EngineStatus(engine=NAME, version=_version(), dtype=self._dtype, checkpoints=states)

    def traffic(self, names: Iterable[str]) -> list[Traffic]:
        """Tell what this process decodes, scores and keeps waiting now, where one of these checkpoints is here."""
        if not any(name in self._registry.checkpoints and self._registry.get(name).is_local for name in names):
            return []
        streams, scorings = self._worker.queued
        return [
            Traffic(
                where="in this process",
                streams=max(0, self._streaming - streams),
                scorings=max(0, self._scoring - scorings),
                waiting_streams=streams,
                waiting_scorings=scorings,
            )
        ]

    def remember(self, check: SelfCheck) -> None:
        """Keep the last self-check of a checkpoint for `status`."""
        self._checks[check.checkpoint] = check

    async def aclose(self) -> None:
        """Stop the torch thread after its current step; open streams end with an error."""
        await asyncio.to_thread(self._worker.close)

    def _local(self, name: str) -> Checkpoint:
        checkpoint = self._registry.get(name)
        if not checkpoint.is_local:
            raise ConfigurationError(
                f"{name} runs on {checkpoint.engine}, not in this process.",
                remedy="Score base and tuned with the same engine.",
            )
        return checkpoint

    def _state(self, checkpoint: Checkpoint) -> CheckpointStatus:
        check = self._checks.get(checkpoint.name)
        try:
            detail = _inspect(checkpoint)
        except (AppError, OSError) as error:
            return CheckpointStatus(checkpoint=checkpoint.name, ready=False, detail=str(error))
        if check is not None:
            detail = f"{detail}; {check.detail}"
        return CheckpointStatus(
            checkpoint=checkpoint.name, ready=True, detail=detail, verified=None if check is None else check.passed
        )

    def _empty_scores(self) -> Scores:
        return Scores(
            tokens=(),
            kl_kind="exact",
            dtype=self._dtype,
            border_width=self._border,
            engine=NAME,
            engine_version=_version(),
        )


def _inspect(checkpoint: Checkpoint) -> str:
    if _version() == "not installed":
        raise ConfigurationError(_NOT_INSTALLED, remedy=_INSTALL)
    model_shapes(Path(checkpoint.model))
    if checkpoint.adapter is not None:
        facts = check_adapter(checkpoint.adapter, Path(checkpoint.model), base_name=checkpoint.model)
        return f"LoRA of rank {facts.rank} on {checkpoint.base}"
    return f"weights in {checkpoint.model}"


def _version() -> str:
    try:
        return f"transformers {version('transformers')}, torch {version('torch')}"
    except PackageNotFoundError:
        return "not installed"


def _make_backend(registry: Registry, template: Scores, *, device: str | None, threads: int) -> Backend:
    """Import torch and bind the two kinds of work to one store. Runs on the torch thread."""
    try:
        import torch  # noqa: PLC0415 - loads only when a model is asked for

        from app.engines.local import decode, score, weights  # noqa: PLC0415
    except ImportError as error:
        raise ConfigurationError(_NOT_INSTALLED, remedy=_INSTALL) from error
    if threads > 0:
        torch.set_num_threads(threads)
    store = weights.Store(dtype=template.dtype, device=device)

    class TorchBackend:
        """Decoding and scoring on one store."""

        def stream(self, jobs: list[StreamJob]) -> Work:
            return decode.decode(jobs, store, registry, border=template.border_width)

        def score(self, job: ScoreJob) -> Work:
            return score.score(job, store, registry, template=template)

    return TorchBackend()
