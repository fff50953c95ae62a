"""Real vLLM servers for the engine tests: the demo's checkpoints, served the way `make demo ENGINE=vllm` does."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import pytest

from app.engines.registry import Registry, load_registry
from app.engines.tokenizer import Tokenizer, load_tokenizer
from app.engines.vllm.engine import VllmEngine
from app.serving.plan import plan
from app.serving.serve import Serving, find_vllm, free_ports, serving
from app.serving.supervise import Server, available_cores, running
from app.settings import ROOT, Settings


def vllm_python() -> Path:
    """The Python that `make vllm` sets up; a missing one fails the test and names that target."""
    return find_vllm(Settings().vllm_python or ROOT / ".venv-vllm" / "bin" / "python").python


def demo_registry() -> Registry:
    """The demo's checkpoints; missing ones fail the test and name the target that builds them."""
    path = Settings().resolved_checkpoints
    if not path.is_file():
        pytest.fail(f"{path} does not exist. Run make demo-data.")
    return load_registry(path)


@dataclass(frozen=True)
class Served:
    """Running servers, the registry that names them, and the tokenizer all three share."""

    serving: Serving
    registry: Registry
    tokenizer: Tokenizer

    def engine(self, **over) -> VllmEngine:
        return VllmEngine(self.registry.checkpoints.values(), **over)

    def prompt(self, text: str) -> tuple[int, ...]:
        return self.tokenizer.render(text, template="chat")


@pytest.fixture(scope="session")
def served(tmp_path_factory) -> Iterator[Served]:
    python, registry = vllm_python(), demo_registry()
    folder = tmp_path_factory.mktemp("vllm")
    with serving(registry, python=python, folder=folder) as running:
        named = load_registry(running.registry)
        yield Served(serving=running, registry=named, tokenizer=load_tokenizer(named.get("base").tokenizer))


# CPU servers before 0.33 give every load a slot of its own and compute the base with the last one once that is taken.
SLOTS = 16


@dataclass(frozen=True)
class Own:
    """One server of base and LFT that a test may stop, kill and load adapters into, and a registry that names it."""

    server: Server
    registry: Registry
    tokenizer: Tokenizer

    def prompt(self, text: str) -> tuple[int, ...]:
        return self.tokenizer.render(text, template="chat")


@contextmanager
def own_server(logs: Path) -> Iterator[Own]:
    """Run a server apart from the shared ones, so that whatever is done to it is done to nobody else."""
    vllm, demo = find_vllm(vllm_python()), demo_registry()
    pair = [demo.get(name) for name in ("base", "lft")]
    (planned,) = plan(
        pair, python=vllm.python, cpu=vllm.cpu, ports=free_ports(), dtype="float32", cores=available_cores()
    )
    command = list(planned.command)
    command[command.index("--max-loras") + 1] = str(SLOTS)
    allowed = (*planned.environment, ("VLLM_ALLOW_RUNTIME_LORA_UPDATING", "1"))
    planned = replace(planned, command=tuple(command), environment=allowed)
    with running([planned], logs=logs) as (server,):
        named = {one.name: replace(one, engine=planned.url, served_name=one.name) for one in pair}
        registry = Registry(path=demo.path, checkpoints=MappingProxyType(named))
        yield Own(server=server, registry=registry, tokenizer=load_tokenizer(named["base"].tokenizer))


@pytest.fixture(scope="session")
def own(tmp_path_factory) -> Iterator[Own]:
    with own_server(tmp_path_factory.mktemp("own")) as running_now:
        yield running_now
