"""`tuneshift demo`: from nothing to a served page, each step with its progress."""

import asyncio
from contextlib import ExitStack
from enum import StrEnum
from typing import Annotated

import typer

from app import migrate
from app.cli import serve
from app.cli.common import console
from app.cli.opened_engines import opened_engines
from app.cli.studies import response_bar
from app.cli.tuning_set_import import import_bars
from app.db import connect
from app.demo.build import build_demo
from app.demo.progress import bars, counted
from app.demo.seed import add_demo_set, add_demo_study, answer_demo_study, demo_links
from app.engines.registry import load_registry
from app.serving.serve import serving
from app.settings import Settings
from app.tuning_sets.files import places_of


class EngineKind(StrEnum):
    """Who runs the demo's checkpoints."""

    LOCAL = "local"
    VLLM = "vllm"


def demo(
    engine: Annotated[EngineKind, typer.Option(help="In-process, or vLLM servers started beside the app.")] = (
        EngineKind.LOCAL
    ),
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Port to listen on.")] = 8000,
    no_serve: Annotated[bool, typer.Option("--no-serve", help="Build everything and stop.")] = False,
) -> None:
    """Build the demo (base, LoRA and full fine-tuning, a study with responses) and serve it."""
    settings = Settings()
    settings = settings.model_copy(
        update={"public_url": f"http://{host}:{port}", "checkpoints": settings.data_dir / "checkpoints.toml"}
    )
    with bars() as progress:
        build = build_demo(settings.data_dir, progress=progress)
    database = connect(settings.resolved_database_url)
    migrate.upgrade(database)
    slug = add_demo_study(database, weights=build.fingerprint)
    with import_bars() as watch:
        registry = load_registry(settings.resolved_checkpoints)
        add_demo_set(database, registry, build.tuning_set, places_of(settings), watch=watch)
    with ExitStack() as stack:
        if engine is EngineKind.VLLM and not no_serve:
            settings = _behind_vllm(settings, stack)
        asyncio.run(_answer(settings, slug))
        if no_serve:
            console.print(f"The demo is built in {settings.data_dir.resolve()}", soft_wrap=True)
            return
        links = demo_links(database, settings, slug)
        database.dispose()
        console.print("\n[bold]Tuneshift is ready.[/] Each link works once; Ctrl+C stops the server.\n")
        # Unwrapped, so that a narrow terminal does not cut a link in two.
        console.print(f"Researcher  {links.researcher}\nAnnotator   {links.annotator}\n", soft_wrap=True)
        serve.run(settings, host=host, port=port)


def _behind_vllm(settings: Settings, stack: ExitStack) -> Settings:
    """Start the servers, to be stopped with `stack`, and return settings whose registry names them."""
    with bars() as progress:
        servers = serving(
            load_registry(settings.resolved_checkpoints),
            python=settings.vllm_python,
            folder=settings.data_dir,
            dtype=settings.vllm_dtype,
            progress=counted(progress, "Start vLLM servers"),
        )
        return settings.model_copy(update={"checkpoints": stack.enter_context(servers).registry})


async def _answer(settings: Settings, slug: str) -> None:
    database = connect(settings.resolved_database_url)
    with response_bar() as on_progress:
        async with opened_engines(settings) as engines:
            await answer_demo_study(database, engines, slug, on_progress=on_progress)
    database.dispose()
