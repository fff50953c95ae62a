"""Which vLLM servers a registry needs, down to the command line. Nothing is started here.

One server per full checkpoint, or several alike when more are asked for; its adapters ride on each.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from app.engines.registry import Checkpoint
from app.errors import ConfigurationError
from app.serving.flags import adapter_flags, cpu_flags, gpu_flags, model_flags, weight_bytes
from app.serving.places import Cards, share_cards, share_cores

HOST = "127.0.0.1"
ENTRY = "vllm.entrypoints.launchers.api_server.entry"


@dataclass(frozen=True, slots=True)
class ServerPlan:
    """One server: the checkpoints it serves (the full one first, under their own names) and how to start it."""

    served: tuple[str, ...]
    port: int
    command: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]
    host: str = HOST
    replica: int = 1

    @property
    def name(self) -> str:
        """The full checkpoint's name, numbered from the second server of it on."""
        return self.served[0] if self.replica == 1 else f"{self.served[0]}-{self.replica}"

    @property
    def log_name(self) -> str:
        """A file name for its log."""
        return f"vllm-{quote(self.name, safe=' ')}.log"

    @property
    def url(self) -> str:
        """What the registry calls `engine`."""
        return f"http://{self.host}:{self.port}/v1"


@dataclass(frozen=True, slots=True)
class Layout:
    """How many servers, where they listen, which cards they use.

    `replicas` counts the servers of a full checkpoint. `more_adapters` of rank up to `more_rank` may be loaded later.
    """

    host: str = HOST
    replicas: Mapping[str, int] = field(default_factory=dict)
    cards: Cards = field(default_factory=Cards)
    more_adapters: int = 0
    more_rank: int = 0

    def more_on(self, full: Checkpoint) -> int:
        """How many adapters may be loaded later on a full checkpoint: none on one that is no base."""
        return self.more_adapters if full.role == "base" else 0


def plan(
    checkpoints: Iterable[Checkpoint],
    *,
    python: Path,
    cpu: bool,
    ports: Iterator[int],
    dtype: str,
    cores: Sequence[int] = (),
    layout: Layout | None = None,
) -> tuple[ServerPlan, ...]:
    """Plan the servers for the in-process checkpoints given; those that have a server already are left alone.

    `cores` are the CPU's core numbers to share out. Reads model and adapter headers; raises ConfigurationError for
    an adapter without its base or one that vLLM would misread, and for weights that do not fit.
    """
    layout = layout or Layout()
    local = [checkpoint for checkpoint in checkpoints if checkpoint.is_local]
    riders = _riders(local)
    _check_replicas(layout.replicas, local)
    seats = [(base, n) for base in local if base.adapter is None for n in _numbers(base, layout)]
    where = (
        _on_cores([base for base, _ in seats], dtype, cores)
        if cpu
        else _on_cards([base for base, _ in seats], dtype, layout.cards)
    )
    return tuple(
        ServerPlan(
            served=(base.name, *(adapter.name for adapter in riders[base.name])),
            port=port,
            command=(
                *(str(python), "-m", ENTRY, "--host", layout.host, "--port", str(port)),
                *model_flags(base, dtype),
                *flags,
                *adapter_flags(base, riders[base.name], more=layout.more_on(base), more_rank=layout.more_rank),
            ),
            environment=(*_quiet(loads=bool(layout.more_on(base))), *environment),
            host=layout.host,
            replica=replica,
        )
        for (base, replica), port, (flags, environment) in zip(seats, ports, where, strict=False)
    )


def urls_by_checkpoint(plans: Iterable[ServerPlan]) -> dict[str, tuple[str, ...]]:
    """Return each checkpoint's addresses, in the order of its servers."""
    found: dict[str, tuple[str, ...]] = {}
    for server in plans:
        for name in server.served:
            found[name] = (*found.get(name, ()), server.url)
    return found


def _riders(local: Sequence[Checkpoint]) -> dict[str, list[Checkpoint]]:
    """Return each full checkpoint's adapters."""
    riders: dict[str, list[Checkpoint]] = {full.name: [] for full in local if full.adapter is None}
    for checkpoint in local:
        if checkpoint.adapter is None:
            continue
        if checkpoint.base not in riders:
            raise ConfigurationError(
                f"Adapter {checkpoint.name!r} runs on {checkpoint.base!r}, which is not served beside it.",
                remedy="Serve both or neither.",
            )
        riders[checkpoint.base].append(checkpoint)
    return riders


def _check_replicas(replicas: Mapping[str, int], local: Sequence[Checkpoint]) -> None:
    known = {checkpoint.name: checkpoint for checkpoint in local}
    full = ", ".join(c.name for c in local if c.adapter is None)
    for name in replicas:
        if name not in known:
            raise ConfigurationError(
                f"replicas: no checkpoint {name!r} is to be served.", remedy=f"Name one of {full}."
            )
        if known[name].adapter is not None:
            raise ConfigurationError(
                f"replicas: {name!r} is an adapter and rides on every server of its base.",
                remedy=f"Ask for {known[name].base}={replicas[name]}.",
            )


def _numbers(base: Checkpoint, layout: Layout) -> range:
    return range(1, layout.replicas.get(base.name, 1) + 1)


_Where = list[tuple[tuple[str, ...], tuple[tuple[str, str], ...]]]


def _on_cores(bases: Sequence[Checkpoint], dtype: str, cores: Sequence[int]) -> _Where:
    shares = share_cores(cores, len(bases))
    return [
        (cpu_flags(Path(base.model), dtype), (("VLLM_CPU_OMP_THREADS_BIND", share),))
        for base, share in zip(bases, shares, strict=True)
    ]


def _on_cards(bases: Sequence[Checkpoint], dtype: str, cards: Cards) -> _Where:
    seats = share_cards([weight_bytes(Path(base.model), dtype) for base in bases], cards)
    return [
        (gpu_flags(seat.share), (("CUDA_DEVICE_ORDER", "PCI_BUS_ID"), ("CUDA_VISIBLE_DEVICES", seat.card)))
        if seat.card
        else (gpu_flags(seat.share), ())
        for seat in seats
    ]


def _quiet(*, loads: bool) -> tuple[tuple[str, str], ...]:
    quiet = (("HF_HUB_OFFLINE", "1"), ("VLLM_NO_USAGE_STATS", "1"), ("DO_NOT_TRACK", "1"))
    return (*quiet, ("VLLM_ALLOW_RUNTIME_LORA_UPDATING", "1")) if loads else quiet
