"""`tuneshift serve`: the web app under uvicorn."""

from typing import Annotated

import typer
import uvicorn

from app import migrate
from app.cli.common import RegistryOption, settings_for
from app.db import connect
from app.errors import InvalidInputError
from app.settings import Settings

# An open stream would otherwise hold a stopping server for ever.
SHUTDOWN_GRACE_S = 5


def add_to(cli: typer.Typer) -> None:
    """Register the command."""
    cli.command()(serve)


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Port to listen on.")] = 8000,
    workers: Annotated[int, typer.Option(min=1, help="Processes; only 1 for now.")] = 1,
    checkpoints: RegistryOption = None,
) -> None:
    """Serve the app; the database is upgraded first."""
    if workers > 1:
        raise InvalidInputError(
            "Live comparisons belong to one process, so --workers can only be 1.",
            remedy="Put the models on vLLM servers: the app itself is rarely the limit.",
        )
    run(settings_for(checkpoints), host=host, port=port)


def run(settings: Settings, *, host: str, port: int) -> None:
    """Upgrade the database and serve until interrupted."""
    from app.main import create_app  # noqa: PLC0415  the other commands start faster without the web stack
    from app.web.patience import PatientProtocol  # noqa: PLC0415

    database = connect(settings.resolved_database_url)
    migrate.upgrade(database)
    database.dispose()
    uvicorn.run(
        create_app(settings),
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=SHUTDOWN_GRACE_S,
        http=PatientProtocol,
    )
