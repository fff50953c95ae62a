"""What a command says when something fails that no command can know of: settings, the disk, the database."""

import sqlite3

import pytest
from pydantic import ValidationError
from sqlalchemy.exc import OperationalError

from app.cli.compare import compare
from app.cli.failures import exit_code, explained
from app.cli.finetune import finetune
from app.db import connect
from app.errors import ConfigurationError, InvalidInputError
from app.settings import Settings


@pytest.mark.parametrize(
    ("name", "value"), [("TUNESHIFT_DTYPE", "half"), ("TUNESHIFT_SESSION_DAYS", "0"), ("TUNESHIFT_LEASE_MINUTES", "x")]
)
def test_a_wrong_setting_is_named_as_it_is_written_and_not_repeated(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError) as failure:
        Settings(_env_file=None)
    found = explained(failure.value)
    assert isinstance(found, ConfigurationError)
    assert found.message.startswith(f"{name}: input should be ")
    assert exit_code(found) == 2


def test_a_database_and_a_disk_are_told_in_words() -> None:
    database = explained(OperationalError("select", None, sqlite3.OperationalError("disk I/O error\nmore")))
    assert database is not None
    assert database.message == "The database cannot be used: disk I/O error."
    disk = explained(PermissionError(13, "Permission denied", "/x/y"))
    assert disk is not None
    assert disk.message == "/x/y: Permission denied."
    assert (exit_code(database), exit_code(disk)) == (1, 1)
    full = explained(OSError(28, "No space left on device"))
    assert full is not None
    assert full.message == "No space left on device."


def test_a_mistake_of_ours_stays_one() -> None:
    assert explained(KeyError("x")) is None
    assert explained(ValueError("x")) is None
    assert explained(ConnectionRefusedError(111, "Connection refused")) is None


@pytest.mark.parametrize("option", ["rank", "alpha"])
def test_an_option_of_lora_is_not_passed_over_in_a_full_tuning(tmp_path, option) -> None:
    with pytest.raises(InvalidInputError, match="--rank and --alpha are of LoRA"):
        finetune("sft", base="base", data=tmp_path / "data", out=tmp_path / "out", **{option: 3})


def test_what_names_no_database_is_refused_without_repeating_a_password(tmp_path) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        connect("hunter2 at home")
    assert "hunter2" not in str(refusal.value)
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="can be neither found nor made"):
        connect(f"sqlite:///{tmp_path}/file/tuneshift.db")


@pytest.mark.parametrize(("prompt", "names"), [(" \n", "base"), ("Why?", " , ")])
def test_a_comparison_of_nothing_is_refused_before_any_model_is_opened(prompt: str, names: str) -> None:
    with pytest.raises(InvalidInputError, match=r"is empty|names none"):
        compare(prompt=prompt, checkpoints=names)
