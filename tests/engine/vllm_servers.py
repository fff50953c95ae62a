"""Real vLLM servers for the engine tests: the demo's checkpoints, served the way `make demo ENGINE=vllm` does."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.engines.registry import Registry, load_registry
from app.engines.tokenizer import Tokenizer, load_tokenizer
from app.engines.vllm.engine import VllmEngine
from app.serving.serve import Serving, find_vllm, serving
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
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        # Adapters can be loaded and unloaded on these servers, so that no test needs one of its own for that.
        patch.setenv("VLLM_ALLOW_RUNTIME_LORA_UPDATING", "1")
        running = stack.enter_context(serving(registry, python=python, folder=folder))
        named = load_registry(running.registry)
        yield Served(serving=running, registry=named, tokenizer=load_tokenizer(named.get("base").tokenizer))
