"""The engines under test, each on the demo's real weights. A demo that is not built fails; it never skips."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from app.engines.local import LocalEngine
from app.engines.protocol import Decoding, Engine, Request, Scores, Token
from app.engines.registry import Registry
from app.engines.tokenizer import Tokenizer, load_tokenizer
from tests.engine.vllm_servers import demo_registry, own, served

__all__ = ["own", "served"]

KINDS = ("local", "vllm")


@dataclass(frozen=True)
class Subject:
    """An engine with the registry it serves, and how tests speak to it."""

    engine: Engine
    registry: Registry
    tokenizer: Tokenizer

    def prompt(self, text: str) -> tuple[int, ...]:
        return self.tokenizer.render(text, template="chat")

    def request(self, name: str, text: str, **over) -> Request:
        decoding = Decoding(
            max_tokens=over.pop("max_tokens", 24), temperature=over.pop("temperature", 0.0), seed=over.pop("seed", 0)
        )
        return Request(checkpoint=name, prompt_ids=self.prompt(text), decoding=decoding, **over)

    async def answer(self, request: Request) -> list[Token]:
        return [token async for token in self.engine.stream(request)]

    def answers(self, *requests: Request) -> list[list[Token]]:
        """Stream all at once."""

        async def together() -> list[list[Token]]:
            return list(await asyncio.gather(*map(self.answer, requests)))

        return asyncio.run(together())

    def score(self, request: Request, response: tuple[int, ...], *, top_k: int = 20, reference: str = "base") -> Scores:
        return asyncio.run(
            self.engine.score(
                request.prompt_ids,
                response,
                top_k,
                checkpoint=request.checkpoint,
                reference=reference,
                reference_prompt_ids=request.reference_prompt_ids,
            )
        )


@pytest.fixture(scope="session")
def local() -> Iterator[Subject]:
    registry = demo_registry()
    engine = LocalEngine(registry)
    yield Subject(engine=engine, registry=registry, tokenizer=load_tokenizer(registry.get("base").tokenizer))
    asyncio.run(engine.aclose())


@pytest.fixture(scope="session")
def vllm(request) -> Subject:
    servers = request.getfixturevalue("served")
    return Subject(engine=servers.engine(), registry=servers.registry, tokenizer=servers.tokenizer)


@pytest.fixture(scope="session", params=KINDS)
def subject(request) -> Subject:
    """Each kind of engine in turn."""
    return request.getfixturevalue(request.param)
