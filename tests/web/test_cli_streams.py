"""Standard input and output of the command line: dashes, readers that leave, full disks; settings that are wrong."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.settings import ROOT

LINES = "".join(json.dumps({"id": number, "ranks": [1, 2, 9]}) + "\n" for number in range(3000))
FULL = Path("/dev/full")


@pytest.fixture
def start(tmp_path):
    """Start a command with its standard output where the test wants it; returns the process."""
    started = []

    def run(*arguments, stdout, **settings):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TUNESHIFT_")}
        environment |= {"TUNESHIFT_DATA_DIR": str(tmp_path / "data"), "PYTHONPATH": str(ROOT), **settings}
        command = [sys.executable, "-c", "from app.cli import main; main()", *arguments]
        process = subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdin=subprocess.PIPE, stdout=stdout, stderr=subprocess.PIPE
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.wait()


def test_classify_reads_standard_input_and_answers_all_or_nothing(start):
    done = start("classify", "-", stdout=subprocess.PIPE)
    out, err = done.communicate(LINES.encode())
    assert done.returncode == 0, err
    assert out.count(b"\n") == 3000
    done = start("classify", "-", stdout=subprocess.PIPE)
    out, err = done.communicate(LINES.encode() + b'{"id": "x", "ranks": [0]}\n')
    assert (done.returncode, out) == (2, b"")
    assert b"standard input, line 3001: ranks[0] is 0" in err


def test_a_reader_that_leaves_ends_the_command_without_a_word(start):
    for lines in (LINES, LINES[:30]):  # more and less than Python keeps before it writes
        reading, writing = os.pipe()
        os.close(reading)
        done = start("classify", "-", stdout=writing)
        os.close(writing)
        _, err = done.communicate(lines.encode())
        assert (done.returncode, err) == (1, b"")


@pytest.mark.skipif(not FULL.exists(), reason="no device that is always full")
def test_a_full_disk_behind_standard_output_is_one_sentence(start):
    for lines in (LINES, LINES[:30]):
        with FULL.open("wb") as full:
            done = start("classify", "-", stdout=full)
            _, err = done.communicate(lines.encode())
        assert done.returncode == 1
        assert b"No space left on device" in err
        assert b"Traceback" not in err
        assert b"ignored" not in err


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"TUNESHIFT_DTYPE": "half"}, "TUNESHIFT_DTYPE: input should be 'float32' or 'bfloat16'."),
        ({"TUNESHIFT_DATABASE_URL": "hunter2"}, "What names the database is no URL."),
    ],
)
def test_a_wrong_setting_is_one_sentence(start, settings, said):
    done = start("db", "check", stdout=subprocess.PIPE, **settings)
    _, err = done.communicate()
    assert done.returncode == 2
    assert said in " ".join(err.decode().split())
    assert b"Traceback" not in err
    assert b"hunter2" not in err
