"""The commands as a person runs them: a process of its own, exit codes, one sentence on an error."""

import json
import os
import socket
import sqlite3
import subprocess
import sys

import pytest

from app.settings import ROOT

COMMANDS = ("serve", "demo", "doctor", "compare", "score", "classify", "finetune", "generate", "export", "user", "db")


@pytest.fixture
def tuneshift(tmp_path):
    def run(*arguments, stdin=None):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("TUNESHIFT_")}
        environment |= {"TUNESHIFT_DATA_DIR": str(tmp_path / "data"), "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
        command = [sys.executable, "-c", "from app.cli import main; main()", *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, input=stdin, capture_output=True, text=True, check=False
        )

    return run


def test_help_names_every_command(tuneshift):
    done = tuneshift("--help")
    assert done.returncode == 0
    for command in COMMANDS:
        assert command in done.stdout


def test_classify_counts_whole_first_and_last(tuneshift, tmp_path):
    # 21 ranks: ceil(21/20) = 2 in the first 5 %: 4 (shifted) and 1 (unshifted). The other 19: one 2, one 9, 17 ones.
    ranks = [4, 1, 2, 9] + [1] * 17
    (tmp_path / "ranks.jsonl").write_text(json.dumps({"id": "a", "ranks": ranks}) + "\n")
    done = tuneshift("classify", "ranks.jsonl")
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    summary = record["summary"]
    assert record["id"] == "a"
    assert [summary[key] for key in ("unshifted", "marginal", "shifted", "n")] == [18, 1, 2, 21]
    assert [summary["first5"][key] for key in ("unshifted", "marginal", "shifted", "n")] == [1, 0, 1, 2]
    assert [summary["last95"][key] for key in ("unshifted", "marginal", "shifted", "n")] == [17, 1, 1, 19]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"id": "a", "ranks": [0]}', "ranks"),
        ('{"id": "a", "ranks": [1, "2"]}', "ranks"),
        ('{"id": "a"}', "ranks"),
        ("{", "line 1"),
    ],
)
def test_classify_refuses_a_bad_line_by_number_and_field(tuneshift, tmp_path, line, said):
    (tmp_path / "ranks.jsonl").write_text(line + "\n")
    done = tuneshift("classify", "ranks.jsonl")
    assert done.returncode == 2
    assert "ranks.jsonl" in done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_only_line_feeds_end_a_line(tuneshift, tmp_path):
    (tmp_path / "ranks.jsonl").write_text(
        '{"id": "a\u2028b\x85c", "ranks": [1]}\r\n{"id": 2, "ranks": [4]}', encoding="utf-8"
    )
    done = tuneshift("classify", "ranks.jsonl")
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["id"] for line in done.stdout.split("\n") if line] == ["a\u2028b\x85c", 2]


def test_a_missing_file_is_one_sentence(tuneshift):
    done = tuneshift("classify", "nothing.jsonl")
    assert (done.returncode, done.stdout) == (2, "")
    assert "nothing.jsonl does not exist" in done.stderr


def test_compare_without_a_registry_says_what_to_do(tuneshift):
    done = tuneshift("compare", "--prompt", "hello")
    assert done.returncode == 2
    assert "make demo" in done.stderr
    assert "Traceback" not in done.stderr


def test_db_upgrade_check_and_backup(tuneshift, tmp_path):
    assert tuneshift("db", "check").returncode == 1
    assert tuneshift("db", "upgrade").returncode == 0
    assert tuneshift("db", "check").returncode == 0
    done = tuneshift("db", "backup", "copy.db")
    assert done.returncode == 0, done.stderr
    with sqlite3.connect(tmp_path / "copy.db") as copy:
        assert copy.execute("SELECT count(*) FROM user").fetchone() == (0,)
    again = tuneshift("db", "backup", "copy.db")
    assert again.returncode == 2
    assert "exists already" in again.stderr
    stream = tuneshift("db", "backup", "-")
    assert (stream.returncode, (tmp_path / "-").exists()) == (2, False)
    assert "Name a file." in stream.stderr


def test_commands_that_need_tables_say_so_on_an_old_database(tuneshift):
    done = tuneshift("invite", "demo")
    assert done.returncode == 2
    assert "tuneshift db upgrade" in done.stderr


def test_a_user_is_added_once_and_gets_a_link(tuneshift):
    tuneshift("db", "upgrade")
    done = tuneshift("user", "add", "ada@example.org", "--role", "owner")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("http://127.0.0.1:8000/invite/")
    again = tuneshift("user", "add", "ADA@example.org")
    assert again.returncode == 1
    assert "already an account" in again.stderr
    nobody = tuneshift("user", "add", "not-an-address")
    assert nobody.returncode == 2
    annotator = tuneshift("user", "add", "eve@example.org", "--role", "annotator")
    assert annotator.returncode == 2
    assert "tuneshift invite" in annotator.stderr


def test_unknown_studies_and_tables_are_refused(tuneshift):
    tuneshift("db", "upgrade")
    for arguments in (("invite", "nope"), ("export", "nope", "--out", "x.zip"), ("generate", "nope")):
        done = tuneshift(*arguments)
        assert done.returncode == 2, arguments
        # Without a registry `generate` does not get as far as the study.
        assert ("There is no study 'nope'." in done.stderr) == (arguments[0] != "generate")
        assert "Traceback" not in done.stderr


def test_several_workers_say_when_their_port_is_taken(tuneshift):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = tuneshift("serve", "--workers", "2", "--port", str(taken.getsockname()[1]))
    assert done.returncode == 2
    assert "in use" in done.stderr
    assert "--port" in done.stderr


def test_doctor_reports_every_part_and_fails_when_one_does(tuneshift):
    done = tuneshift("doctor", "--json")
    assert done.returncode == 1
    findings = {finding["part"]: finding for finding in json.loads(done.stdout)}
    assert findings["settings"]["ok"]
    assert not findings["database"]["ok"]
    assert not findings["registry"]["ok"]
    assert "make demo" in findings["registry"]["detail"]
