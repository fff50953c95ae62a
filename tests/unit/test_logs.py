"""What must never be in a log line, and what each has."""

import json
import logging
import sys

import pytest
import structlog
from sqlalchemy import create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from app.web.logs import configure_logs, masked, speak_as, take_over_libraries


@pytest.fixture
def root_handlers():
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    configure_logs("console")


@pytest.mark.parametrize(
    ("line", "without"),
    [
        ("GET /join/tok-5Xa?external_id=7 failed", "tok-5Xa"),
        ("redirect to https://lab.example/invite/aB3_-x", "aB3_-x"),
        ("{'authorization': 'Bearer ts_abc.def'}", "ts_abc"),
        ("cookie: tuneshift_session=eyJ1aWQi.sig; other=1", "eyJ1aWQi"),
        ("password=hunter2&next=/", "hunter2"),
        ('{"api_key": "k-12345"}', "k-12345"),
        ("postgresql+psycopg://lab:s3cret@db:5432/t is down", "s3cret"),
        ("[SQL: INSERT INTO user] [parameters: ('Dora', '$argon2id$x')]\n(Background", "argon2id"),
    ],
)
def test_no_secret_survives_the_last_step(line, without):
    assert without in line
    assert without not in masked(line)
    assert "…" in masked(line)


def test_what_is_no_secret_is_left_alone():
    line = "POST /join/{open_token} 200, /invite/{token}, studies/4f/people, 12 tokens: 7.5 a second"
    assert masked(line) == line


@pytest.mark.parametrize("form", ["console", "json"])
def test_an_error_of_the_database_does_not_tell_what_was_to_be_stored(form, capsys, root_handlers):
    configure_logs(form)
    database = create_engine("sqlite://")
    try:
        with database.connect() as connection:
            connection.execute(text("INSERT INTO nothing VALUES (:value)"), {"value": "a private answer"})
    except SQLAlchemyError:
        structlog.get_logger("t").exception("not stored", path="/invite/wombat-token")
    database.dispose()
    logged = capsys.readouterr().err
    assert "INSERT INTO nothing" in logged
    assert "a private answer" not in logged.replace('{"value": "a private answer"}', "").replace(
        '{\\"value\\": \\"a private answer\\"}', ""
    )
    assert "wombat" not in logged


def test_libraries_write_json_too_and_every_line_names_its_process(capsys, root_handlers):
    configure_logs("json")
    take_over_libraries("json")
    logging.getLogger().handlers[0].setStream(sys.stderr)
    speak_as("pages-2")
    try:
        logging.getLogger("uvicorn.error").warning("Invalid request for /invite/%s", "abcdef")
        logging.getLogger("uvicorn.error").info("not worth a line")
        structlog.get_logger("t").info("one of ours")
    finally:
        speak_as("")
    theirs, ours = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert (theirs["event"], theirs["logger"]) == ("Invalid request for /invite/…", "uvicorn.error")
    assert (ours["event"], ours["by"], theirs["by"]) == ("one of ours", "pages-2", "pages-2")
