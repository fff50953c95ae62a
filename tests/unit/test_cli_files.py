"""Files of the command line: read whole or refused by name, written whole or not at all."""

import io
import os
import sys
from pathlib import Path

import pytest

from app.cli.files import output_file, read_lines, readable, whole_target
from app.errors import EngineError, InvalidInputError, StorageError


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "does not exist"),
        (b"", "is empty"),
        (b"\n \r\n", "is empty"),
        ("a\ncaf\u00e9".encode("latin-1"), "line 2: it is not UTF-8 text (byte 5 of the file)"),
    ],
)
def test_a_file_that_cannot_be_read_as_lines_is_named(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "in.jsonl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InvalidInputError) as refusal:
        read_lines(path)
    assert refusal.value.message.startswith(str(path))
    assert said in refusal.value.message


def test_a_folder_is_no_file_of_lines(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"cannot be read \(Is a directory\)"):
        read_lines(tmp_path)


def test_a_byte_order_mark_and_other_line_ends_are_no_part_of_a_line(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"\xef\xbb\xbfone\r\ntwo \xe2\x80\xa8 too\n")
    assert [line.strip() for line in read_lines(tmp_path / "in")] == ["one", "two \u2028 too"]


def test_a_dash_reads_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"one\n")))
    assert read_lines(Path("-")) == ["one"]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"two\n")))
    with readable(Path("-")) as copy:
        assert [copy.read_text(), copy.read_text()] == ["two\n", "two\n"]
    assert not copy.exists()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    with pytest.raises(InvalidInputError, match="standard input is empty"):
        read_lines(Path("-"))


def test_a_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("before")
    with output_file(str(tmp_path / "out")) as file:
        file.write("after")
        assert (tmp_path / "out").read_text() == "before"
    assert (tmp_path / "out").read_text() == "after"
    assert names(tmp_path) == ["out"]


def _write(path: Path, error: BaseException, **options: object) -> None:
    with output_file(str(path), **options) as file:  # type: ignore[arg-type]
        file.write("half")
        raise error


def test_a_failure_leaves_nothing_half_written(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError):
        _write(tmp_path / "out", InvalidInputError("no"), keep=(EngineError,))
    assert names(tmp_path) == []


def test_lines_that_took_long_are_kept_aside_and_said_to_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt):
        _write(tmp_path / "out", KeyboardInterrupt(), keep=(EngineError, KeyboardInterrupt))
    assert names(tmp_path) == ["out.partial"]
    assert (tmp_path / "out.partial").read_text() == "half"
    assert f"The lines that were finished are in {tmp_path / 'out.partial'}." in capsys.readouterr().err


def test_a_full_disk_is_named_with_the_file_and_nothing_stays(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"out could not be written \(No space left on device\)"):
        _write(tmp_path / "out", OSError(28, "No space left on device"))
    assert names(tmp_path) == []


@pytest.mark.parametrize(("place", "said"), [("no/out", "does not exist"), ("", "is a folder")])
def test_a_place_that_holds_no_file_is_refused(tmp_path: Path, place: str, said: str) -> None:
    target = str(tmp_path / place)
    for opening in (lambda: output_file(target).__enter__(), lambda: whole_target(target)):
        with pytest.raises(InvalidInputError, match=said):
            opening()
    assert names(tmp_path) == []


def test_a_pipe_is_written_to_and_never_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with output_file(str(pipe)) as file:
        file.write("through")
    assert os.read(reader, 100) == b"through"
    os.close(reader)
    assert names(tmp_path) == ["pipe"]
    assert pipe.is_fifo()
    with pytest.raises(InvalidInputError, match="no file that can be replaced"):
        whole_target(str(pipe))


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("before")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with output_file(str(tmp_path / "link")) as file:
        file.write("after")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "after"
