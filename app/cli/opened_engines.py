"""The engines of the registry, as commands open and close them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.engines.open import Engines, open_engines
from app.engines.registry import load_registry
from app.settings import Settings


@asynccontextmanager
async def opened_engines(settings: Settings) -> AsyncIterator[Engines]:
    """Open the registry's engines and close them whatever happens."""
    engines = open_engines(load_registry(settings.resolved_checkpoints), settings)
    try:
        yield engines
    finally:
        await engines.aclose()
