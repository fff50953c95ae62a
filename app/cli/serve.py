"""`tuneshift serve`: the web app under uvicorn, in one process or several."""

import sys
from typing import Annotated

import typer

from app import migrate
from app.cli.common import RegistryOption
from app.db import connect
from app.engines.open import Engines
from app.settings import Settings, settings_for, share_metrics
from app.workers.place import Place
from app.workers.supervisor import listening, meeting_place, supervise

MAX_WORKERS = 64


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Port to listen on.")] = 8000,
    workers: Annotated[
        int, typer.Option(min=1, max=MAX_WORKERS, help="Processes that answer people; one more has the models.")
    ] = 1,
    checkpoints: RegistryOption = None,
) -> None:
    """Serve the app; the database is upgraded first."""
    settings = settings_for(checkpoints)
    if workers > 1:
        sys.exit(run_several(settings, host=host, port=port, workers=workers))
    run(settings, host=host, port=port)


def run(settings: Settings, *, host: str, port: int, engines: Engines | None = None) -> None:
    """Upgrade the database and serve until interrupted. `engines` replaces those the registry names."""
    from app.main import create_app, drain  # noqa: PLC0415  help, and a demo that is not served, do without the web stack
    from app.web.logs import take_over_libraries  # noqa: PLC0415
    from app.workers.process import run_alone  # noqa: PLC0415

    take_over_libraries(settings.log_format)
    _upgrade(settings)
    run_alone(create_app(settings, engines=engines), drain, host=host, port=port)


def run_several(settings: Settings, *, host: str, port: int, workers: int, engines: Engines | None = None) -> int:
    """Upgrade the database and serve with several processes until a signal; returns the exit code.

    `engines` replaces those the registry names.
    """
    with meeting_place() as place, listening(host, port) as listener:
        # The library that counts chooses how when it is first imported, which is below.
        share_metrics(place.metrics)
        from app.main import create_app, drain  # noqa: PLC0415
        from app.web.logs import speak_as, take_over_libraries  # noqa: PLC0415
        from app.web.metrics import count_as, forget  # noqa: PLC0415

        def on_fork(post: str) -> None:
            count_as(post)
            speak_as(post)

        take_over_libraries(settings.log_format)
        _upgrade(settings)
        return supervise(
            place,
            listener,
            pages=create_app(settings, engines=engines, place=Place("pages", place.folder)),
            models=create_app(settings, engines=engines, place=place),
            drain=drain,
            workers=workers,
            on_fork=on_fork,
            on_death=lambda name: forget(place.metrics, name),
        )


def _upgrade(settings: Settings) -> None:
    database = connect(settings.resolved_database_url)
    migrate.upgrade(database)
    database.dispose()
