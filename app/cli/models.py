"""`tuneshift serve-models`: the vLLM servers of a registry, written down or run."""

import asyncio
import itertools
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from app.cli.common import RegistryOption, console, notes
from app.demo.progress import bars, counted
from app.diagnosis import Finding, diagnose_models
from app.engines.registry import Registry, load_registry
from app.errors import ConfigurationError, EngineUnavailableError
from app.serving.merging import with_merged
from app.serving.places import GPU_SHARE, Cards
from app.serving.plan import HOST, Layout, ServerPlan, plan, urls_by_checkpoint
from app.serving.registry_file import write_registry
from app.serving.script import script
from app.serving.serve import REGISTRY_NAME, Vllm, find_vllm
from app.serving.server import Server
from app.serving.supervise import available_cores, running
from app.settings import Settings, settings_for

_WILDCARDS = {"0.0.0.0", "::", "*", ""}  # noqa: S104  refused below
_POLL_S = 0.2


PrintOption = Annotated[bool, typer.Option("--print", help="Print the commands; start and write nothing.")]
WriteOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Write the commands as a shell script, and the registry.")
]
GibOption = Annotated[
    float | None, typer.Option(min=1, help="Memory of one GPU in GiB: weights that do not fit are refused.")
]
ReplicasOption = Annotated[
    list[str] | None, typer.Option(metavar="NAME=N", help="Servers of a full checkpoint; repeat per checkpoint.")
]
MergeOption = Annotated[
    list[str] | None, typer.Option(metavar="NAME", help="Serve this adapter merged, as a full checkpoint.")
]
FolderOption = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Where registry and logs go; else the data folder.")
]


class Device(StrEnum):
    """What the servers compute on."""

    AUTO = "auto"
    CPU = "cpu"
    GPU = "gpu"


def serve_models(
    checkpoints: RegistryOption = None,
    print_only: PrintOption = False,
    write: WriteOption = None,
    host: Annotated[str, typer.Option(help="Address the servers listen on and the app finds them at.")] = HOST,
    port: Annotated[int, typer.Option(min=1, max=65_000, help="Port of the first; the others follow.")] = 8101,
    device: Annotated[Device, typer.Option(help="What to compute on; auto asks the installed vLLM.")] = Device.AUTO,
    gpus: Annotated[str, typer.Option(metavar="0,1", help="GPUs to use; the first one unless named.")] = "",
    gpu_share: Annotated[float, typer.Option(min=0.05, max=0.98, help="Share of each GPU to take.")] = GPU_SHARE,
    gpu_gib: GibOption = None,
    replicas: ReplicasOption = None,
    merge: MergeOption = None,
    more_adapters: Annotated[int, typer.Option(min=0, max=64, help="Adapters that may be loaded later.")] = 0,
    more_rank: Annotated[int, typer.Option(min=1, max=512, help="Largest rank of those.")] = 16,
    folder: FolderOption = None,
) -> None:
    """Start the vLLM servers that a registry needs and keep them running, or write down how."""
    settings = settings_for(checkpoints)
    folder = folder or settings.data_dir
    cards = Cards(tuple(name.strip() for name in gpus.split(",") if name.strip()), share=gpu_share, gib=gpu_gib)
    layout = Layout(
        host=_reachable(host),
        replicas=_counts(replicas or []),
        cards=cards,
        more_adapters=more_adapters,
        more_rank=more_rank,
    )
    vllm = _vllm(settings, device, runs=not print_only and write is None)
    registry, merged = _merged(settings, merge or [], folder / "merged")
    plans = _plan(registry, vllm, settings, layout=layout, port=port)
    if not print_only:
        write_registry(registry, urls_by_checkpoint(plans), folder / REGISTRY_NAME, notes=merged)
    if print_only or write is not None:
        _write(plans, vllm, settings, target=None if print_only else write)
    else:
        _run(plans, vllm, settings, folder=folder)


def _reachable(host: str) -> str:
    if host in _WILDCARDS:
        raise ConfigurationError(
            f"--host {host!r} is no address to be found at.", remedy="Name one address of this machine."
        )
    return host


def _merged(settings: Settings, names: Sequence[str], folder: Path) -> tuple[Registry, list[str]]:
    registry, said = with_merged(
        load_registry(settings.resolved_checkpoints), names, folder=folder, dtype=settings.vllm_dtype, say=_note
    )
    for note in said:
        _note(note)
    return registry, said


def _note(message: str) -> None:
    notes.print(message, markup=False, soft_wrap=True)


def _counts(replicas: Sequence[str]) -> dict[str, int]:
    counts = {}
    for word in replicas:
        name, _, number = word.rpartition("=")
        if not name or not number.isdecimal() or int(number) < 1:
            raise ConfigurationError(f"--replicas {word!r} is not NAME=N.", remedy="Write, for example, base=2.")
        counts[name] = int(number)
    return counts


def _vllm(settings: Settings, device: Device, *, runs: bool) -> Vllm:
    """Find vLLM; commands for another machine can be written without one, when the device is said."""
    if not runs and device is not Device.AUTO:
        python = settings.vllm_python or Path("python")
        return Vllm(python=python, version="", cpu=device is Device.CPU)
    found = find_vllm(settings.vllm_python)
    if device is not Device.AUTO and found.cpu != (device is Device.CPU):
        built = "CPUs" if found.cpu else "GPUs"
        raise ConfigurationError(
            f"The vLLM of {found.python} was built for {built}, not for --device {device}.",
            remedy="Set TUNESHIFT_VLLM_PYTHON to another one, or leave --device out.",
        )
    return found


def _plan(registry: Registry, vllm: Vllm, settings: Settings, *, layout: Layout, port: int) -> tuple[ServerPlan, ...]:
    plans = plan(
        registry.checkpoints.values(),
        python=vllm.python,
        cpu=vllm.cpu,
        ports=itertools.count(port),
        dtype=settings.vllm_dtype,
        cores=available_cores(),
        layout=layout,
    )
    if not plans:
        raise ConfigurationError(
            f"{registry.path} names servers for all of its checkpoints, so there is none to start.",
            remedy='Name a registry of folders (engine = "local") with --checkpoints.',
        )
    return plans


def _write(plans: Sequence[ServerPlan], vllm: Vllm, settings: Settings, *, target: Path | None) -> None:
    device = "CPU" if vllm.cpu else "GPU"
    what = f"vLLM servers for Tuneshift: {len(plans)} on a {device}, {settings.vllm_dtype}."
    text = script(plans, what=what, one_by_one=not vllm.cpu)
    if target is None:
        typer.echo(text, nl=False)
        return
    target.write_text(text, encoding="utf-8")
    _note(f"Wrote {target}; run it with: sh {target}")


def _run(plans: Sequence[ServerPlan], vllm: Vllm, settings: Settings, *, folder: Path) -> None:
    key = settings.vllm_api_key.get_secret_value() if settings.vllm_api_key else None
    with _interrupted_by_signals(), bars() as progress:
        try:
            with running(
                plans,
                logs=folder / "logs",
                api_key=key,
                one_by_one=not vllm.cpu,
                progress=counted(progress, "Start vLLM servers"),
                say=_say,
            ) as servers:
                _check(settings, folder / REGISTRY_NAME)
                _wait(servers)
        except KeyboardInterrupt:
            _say("Stopped.")


def _say(message: str) -> None:
    console.print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {message}", markup=False, soft_wrap=True)


def _check(settings: Settings, registry: Path) -> None:
    """Ask what `doctor` asks of models, and say whether they are ready."""
    findings = asyncio.run(diagnose_models(settings.model_copy(update={"checkpoints": registry})))
    for finding in findings:
        _say(f"{'ok  ' if finding.ok else 'FAIL'} {finding.part}: {finding.detail}")
    _say(_verdict(findings, registry))


def _verdict(findings: Sequence[Finding], registry: Path) -> str:
    failed = [finding.part for finding in findings if not finding.ok]
    if failed:
        return f"Not ready: {', '.join(failed)} failed. The servers run on; Tuneshift shows these as unverified."
    return f"Ready. Serve the app with: tuneshift serve --checkpoints {registry} (Ctrl+C stops the servers)"


def _wait(servers: Sequence[Server]) -> None:
    """Wait for ever, or until the last server is given up; raises EngineUnavailableError then."""
    while not all(server.given_up for server in servers):
        time.sleep(_POLL_S)
    raise EngineUnavailableError("No vLLM server is left.", remedy="\n\n".join(s.last_lines() for s in servers))


@contextmanager
def _interrupted_by_signals() -> Iterator[None]:
    """Treat a polite end, and a terminal that is closed, like Ctrl+C."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
