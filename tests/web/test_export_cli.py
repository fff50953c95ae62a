"""`tuneshift export`: the zip with its progress, and single tables to a file or a pipe."""

import io
import os
import subprocess
import sys
import zipfile

import pyarrow.parquet as pq
import pytest

from app.settings import ROOT
from tests.web.bundle_help import bundle, fill


@pytest.fixture
def run(settings, database, study):
    fill(database, study)
    environment = os.environ | {"TUNESHIFT_DATA_DIR": str(settings.data_dir)}

    def command(*arguments):
        return subprocess.run(
            [sys.executable, "-c", "from app.cli import main; main()", "export", *arguments],
            env=environment,
            cwd=ROOT,
            capture_output=True,
            check=False,
        )

    return command


def test_the_zip_of_the_command_line_is_the_one_of_the_library(run, database, study, tmp_path):
    done = run("kettles", "--out", str(tmp_path / "out.zip"))
    assert done.returncode == 0, done.stderr
    assert b"Export: 100 %" in done.stderr
    bundle(database, study, tmp_path / "lib.zip")
    assert (tmp_path / "out.zip").read_bytes() == (tmp_path / "lib.zip").read_bytes()
    archive = zipfile.ZipFile(tmp_path / "lib.zip")
    for form in ("csv", "jsonl", "parquet"):
        done = run("kettles", "--table", "preferences", "--format", form, "--out", "-")
        assert done.stdout == archive.read(f"preferences.{form}")
    done = run("kettles", "--table", "hallucinations", "--out", "-")
    assert done.stdout == archive.read("hallucinations.jsonl")
    assert run("kettles", "--table", "traces", "--format", "parquet", "--out", str(tmp_path / "t")).returncode == 0
    assert pq.read_table(io.BytesIO((tmp_path / "t").read_bytes())).num_rows == 1


def test_what_cannot_be_written_is_said(run, tmp_path):
    for arguments, words in (
        (("kettles", "--out", "-"), b"A zip is not written to standard output."),
        (("kettles", "--out", str(tmp_path / "no" / "x.zip")), b"does not exist"),
        (("kettles", "--table", "nope", "--out", "-"), b"There is no table 'nope'."),
        (("kettles", "--table", "gold", "--format", "xlsx", "--out", "-"), b"Offered: csv, jsonl, parquet."),
        (("kettles", "--format", "csv", "--out", "-"), b"--format is for one --table"),
    ):
        done = run(*arguments)
        assert done.returncode == 2, arguments
        assert words in done.stderr.replace(b"\n", b" "), (arguments, done.stderr)
    assert not [path for path in tmp_path.iterdir() if "zip" in path.name]
