"""The database of the settings, as commands open it."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine

from app import migrate
from app.db import connect
from app.errors import ConfigurationError
from app.settings import Settings


@contextmanager
def connected(url: str) -> Iterator[Engine]:
    """Connect to a database, whatever schema it has, and let go of it whatever happens."""
    database = connect(url)
    try:
        yield database
    finally:
        database.dispose()


@contextmanager
def opened_database(settings: Settings) -> Iterator[Engine]:
    """Connect to a database that has the current schema.

    Raises ConfigurationError, with the command that helps, when it has not.
    """
    with connected(settings.resolved_database_url) as database:
        if not migrate.is_current(database):
            raise ConfigurationError("The database has not the current schema.", remedy="Run: tuneshift db upgrade")
        yield database
