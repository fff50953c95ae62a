"""The table of commands tells the truth, and a command imports what its work needs and nothing else."""

import json
import os
import re
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from app import migrate
from app.cli import cli
from app.cli.lazy import LazyCommand
from app.db import connect
from app.settings import ROOT

HEAVY = {
    "alembic",
    "fastapi",
    "huggingface_hub",
    "jinja2",
    "numpy",
    "pyarrow",
    "pydantic_settings",
    "scipy",
    "sqlalchemy",
    "tokenizers",
    "torch",
    "transformers",
    "uvicorn",
}
SCHEMA = {"alembic", "pydantic_settings", "sqlalchemy"}
ENGINES = {"huggingface_hub", "jinja2", "numpy", "pydantic_settings", "tokenizers"}


def rows(group, *words):
    for name, command in group.commands.items():
        if isinstance(command, LazyCommand):
            yield pytest.param((*words, name), command, id=" ".join((*words, name)))
        else:
            yield from rows(command, *words, name)


def run(tmp_path, *words):
    """Run a command in a process of its own: what it ended with and wrote, and which heavy modules it had imported."""
    code = f"""
import json, sys
from app.cli import main
sys.argv[0] = "tuneshift"
try:
    main()
except SystemExit as end:
    print(json.dumps([end.code or 0, sorted({HEAVY!r} & set(sys.modules))]))
"""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TUNESHIFT_")}
    environment |= {"TUNESHIFT_DATA_DIR": str(tmp_path / "data"), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    *lines, last = done.stdout.splitlines()
    code, imported = json.loads(last)
    return code, "\n".join(lines) + done.stderr, set(imported)


@pytest.mark.parametrize(("words", "command"), list(rows(typer.main.get_command(cli))))
def test_the_table_says_of_a_command_what_its_own_help_says(words, command):
    whole = command.loaded()
    assert whole.name == command.name == words[-1]
    assert whole.help.partition("\n\n")[0] == command.help
    shown = CliRunner().invoke(cli, [*words, "--help"], env={"COLUMNS": "200", "TERM": "dumb"})
    assert shown.exit_code == 0
    assert f"Usage: tuneshift {' '.join(words)} " in shown.output
    # Sentences of its own help and each option: the whole command answered, and not its row.
    assert command.help in shown.output
    for one in whole.params:
        assert one.help, f"{one.name} is not explained"
        if one.param_type_name == "argument":
            assert one.metavar.partition(".")[0].isupper(), f"{one.name} is not written as the guide writes it"
        else:
            assert all(option in shown.output for option in one.opts)


def test_no_command_is_left_out_of_the_table():
    """A module that no row names would hold commands that nobody can call."""
    named = {param.values[1].place.partition(":")[0] for param in rows(typer.main.get_command(cli))}
    shared = {
        "__init__",
        "common",
        "failures",
        "files",
        "lazy",
        "opened_database",
        "opened_engines",
        "printing",
        "stats_files",
        "table",
    }
    assert named | shared == {path.stem for path in (ROOT / "app" / "cli").glob("*.py")}


@pytest.mark.parametrize("words", [("--help",), (), ("NOSUCH",), ("user", "--help"), ("stats", "NOSUCH")], ids=str)
def test_what_only_names_commands_imports_none_of_them(tmp_path, words):
    code, said, imported = run(tmp_path, *words)
    assert code == (0 if "--help" in words else 2)
    assert "Usage: tuneshift" in said
    assert imported == set()


def test_a_name_like_a_command_is_answered_with_that_command():
    for words, meant in ((["exprot"], "'export'"), (["db", "chekc"], "'check'")):
        done = CliRunner().invoke(cli, words)
        assert done.exit_code == 2
        assert f"Did you mean {meant}?" in done.output


@pytest.mark.parametrize(
    ("words", "needed"),
    [
        (["classify", "ranks.jsonl"], {"numpy"}),
        (["stats", "agreement", "ratings.csv", "--level", "nominal"], {"numpy", "scipy"}),
        (["stats", "effects", "battles.csv"], {"numpy", "scipy"}),
        (["judgments", "convert", "arena.jsonl", "--out", "-"], set()),
        (["trace", "--help"], {"numpy", "pydantic_settings"}),
        (["finetune", "--help"], ENGINES - {"numpy"}),
        (["score", "--help"], ENGINES),
        (["export", "--help"], SCHEMA | {"numpy"}),
        (["serve", "--help"], SCHEMA | ENGINES | {"fastapi", "uvicorn"}),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, list) else "",
)
def test_a_command_imports_what_its_work_needs(tmp_path, words, needed):
    (tmp_path / "ranks.jsonl").write_text('{"id": "a", "ranks": [1, 2, 9]}\n')
    (tmp_path / "ratings.csv").write_text("1,2,1,2\n1,2,2,2\n")
    (tmp_path / "battles.csv").write_text("left,right,winner\na,b,left\nb,a,tie\na,b,right\n")
    battle = {"question_id": "1", "model_a": "a", "model_b": "b", "winner": "model_a", "judge": "j", "turn": 1}
    (tmp_path / "arena.jsonl").write_text(json.dumps(battle) + "\n")
    code, said, imported = run(tmp_path, *words)
    assert code == 0, said
    assert imported <= needed, f"imported in vain: {', '.join(sorted(imported - needed))}"


def test_no_command_but_those_that_serve_needs_the_web_and_none_needs_torch_to_start():
    places = {param.values[1].place.partition(":")[0] for param in rows(typer.main.get_command(cli))}
    names = ", ".join(f"app.cli.{place}" for place in sorted(places - {"serve", "demo"}))
    code = f"import sys, {names}; print(sorted({{'fastapi', 'uvicorn', 'torch', 'transformers'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_adding_a_person_needs_the_database_alone(tmp_path):
    database = connect(f"sqlite:///{tmp_path / 'data' / 'tuneshift.db'}")
    migrate.upgrade(database)
    database.dispose()
    for words in (["user", "add", "a@example.org"], ["token", "add", "a@example.org"], ["db", "check"]):
        code, said, imported = run(tmp_path, *words)
        assert code == 0, said
        assert imported <= SCHEMA, words


@pytest.mark.parametrize(("words", "command"), list(rows(typer.main.get_command(cli))))
def test_every_command_has_an_example(words, command):
    guide = (ROOT / "docs" / "commands.md").read_text()
    (examples,) = re.findall(r"^## Examples$.*?^```sh\n(.*?)^```$", guide, re.MULTILINE | re.DOTALL)
    assert [line for line in examples.splitlines() if f"{line} ".startswith(f"tuneshift {' '.join(words)} ")]
