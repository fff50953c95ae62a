"""Which addresses of databases are understood, before anybody connects."""

import tempfile
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import URL

from app.database.tools import address_of
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


def test_the_programs_of_postgresql_read_folders_with_spaces_and_plus_signs(tmp_path, monkeypatch):
    temporary, socket = tmp_path / "an odd+folder", "/run/another odd+folder"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    url = URL.create("postgresql+psycopg", "a+da", "se: +cret", database="kettles", query={"host": socket})
    with address_of(url) as address:
        read = conninfo_to_dict(address)
        assert Path(read["passfile"]).parent == temporary
        assert Path(read["passfile"]).read_text() == "*:*:*:*:se\\: +cret\n"
    assert (read["host"], read["user"], read["dbname"], "password" in read) == (socket, "a+da", "kettles", False)
