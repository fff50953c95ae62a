"""Which addresses of databases are understood, before anybody connects."""

import pytest

from app.db import connect
from app.errors import ConfigurationError


@pytest.mark.parametrize("start", ["postgres", "postgresql", "postgresql+psycopg"])
def test_postgresql_is_spoken_to_by_one_driver_however_it_is_written(start):
    database = connect(f"{start}://ada:secret@db.example/tuneshift?sslmode=require")
    assert database.url.drivername == "postgresql+psycopg"
    assert database.url.query == {"sslmode": "require"}
    database.dispose()


@pytest.mark.parametrize("start", ["mysql", "postgresql+psycopg2", "oracle"])
def test_another_kind_is_refused_in_words(start):
    with pytest.raises(ConfigurationError, match=r"SQLite or PostgreSQL, not by .*TUNESHIFT_DATABASE_URL"):
        connect(f"{start}://ada:secret@db.example/tuneshift")


def test_a_missing_driver_is_said(monkeypatch):
    def missing(*_args, **_options):
        raise ModuleNotFoundError("No module named 'psycopg'")

    monkeypatch.setattr("app.db.create_engine", missing)
    with pytest.raises(ConfigurationError, match=r"pip install 'tuneshift\[postgres\]'"):
        connect("postgresql://db.example/tuneshift")
