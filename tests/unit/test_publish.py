"""Folders appear whole or not at all, also when their writer is killed."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from app.finetune.publish import BusyError, locked, publishing, write_text


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.endswith(".lock")}


def fail_after_writing(path: Path) -> None:
    path.write_text("new")
    raise RuntimeError


def test_a_folder_appears_with_all_its_files(tmp_path: Path) -> None:
    target = tmp_path / "model"
    with publishing(target) as folder:
        (folder / "a").write_text("1")
        assert not target.exists()
    assert (target / "a").read_text() == "1"
    assert names(tmp_path) == {"model"}


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "model"
    with publishing(target) as folder:
        (folder / "a").write_text("old")
    with pytest.raises(RuntimeError), publishing(target) as folder:
        fail_after_writing(folder / "a")
    assert (target / "a").read_text() == "old"
    assert names(tmp_path) == {"model"}


def test_a_killed_writer_leaves_no_target_and_does_not_block_the_next(tmp_path: Path) -> None:
    target = tmp_path / "model"
    program = (
        "import os, signal, sys; from pathlib import Path; from app.finetune.publish import publishing\n"
        "with publishing(Path(sys.argv[1])) as folder:\n"
        "    (folder / 'half').write_text('x'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", program, str(target)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not target.exists()
    with publishing(target) as folder:
        assert not any(folder.iterdir())
        (folder / "whole").write_text("y")
    assert {path.name for path in target.iterdir()} == {"whole"}
    assert names(tmp_path) == {"model"}


def test_a_kill_between_the_two_renames_is_repaired(tmp_path: Path) -> None:
    target, old = tmp_path / "model", tmp_path / ".model.old"
    old.mkdir()
    (old / "a").write_text("old")
    with pytest.raises(RuntimeError), publishing(target):
        raise RuntimeError
    assert (target / "a").read_text() == "old"


def test_two_writers_of_one_target_are_told_apart(tmp_path: Path) -> None:
    with publishing(tmp_path / "model"), pytest.raises(BusyError, match="writing"), publishing(tmp_path / "model"):
        pytest.fail("two writers at once")


def test_a_lock_is_free_again_after_its_holder(tmp_path: Path) -> None:
    with locked(tmp_path / "lock", doing="testing"):
        pass
    with locked(tmp_path / "lock", doing="testing"):
        pass


def test_text_is_replaced_in_one_step(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.toml"
    write_text(path, "one")
    before = path.stat().st_ino
    write_text(path, "two")
    assert path.read_text() == "two"
    assert path.stat().st_ino != before
    assert names(path.parent) == {"file.toml"}
