"""What an operator copies: units, the proxy's file and the commands of the guide say what the command line takes."""

import re
import shlex

import pytest
import typer

from app.cli import cli
from app.settings import ROOT, Settings

UNITS = sorted((ROOT / "deploy" / "systemd").glob("*.service"))
GUIDES = [ROOT / "docs" / name for name in ("commands.md", "operating.md", "serving.md")]
_FENCE = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def parsed(line):
    """Read the arguments of a `tuneshift` command as typer would; nothing runs."""
    words = shlex.split(line, comments=True)
    start = next(n for n, word in enumerate(words) if word.rpartition("/")[2] == "tuneshift")
    command, name, rest = typer.main.get_command(cli), "tuneshift", words[start + 1 :]
    while hasattr(command, "commands"):
        name, *rest = rest
        command = command.commands[name]
    return command.make_context(name, rest).params


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_units_start_commands_that_exist(unit):
    text = unit.read_text()
    (line,) = re.findall(r"^ExecStart=(.+)$", text, re.MULTILINE)
    assert parsed(line)
    (folder,) = re.findall(r"^WorkingDirectory=(.+)$", text, re.MULTILINE)
    # Nothing but the data is written to.
    assert re.findall(r"^ReadWritePaths=(.+)$", text, re.MULTILINE) == [f"{folder}/data"]
    assert "NoNewPrivileges=yes" in text


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.stem)
def test_the_guides_name_commands_options_and_settings_that_exist(guide):
    text = guide.read_text()
    lines = [line for block in _FENCE.findall(text) for line in block.replace("\\\n", " ").splitlines()]
    commands = [line for line in lines if re.search(r"(^|bin/|exec app )tuneshift ", line)]
    assert commands
    for line in commands:
        assert parsed(line) is not None, line
    known = {f"TUNESHIFT_{field.upper()}" for field in Settings.model_fields}
    beside = "".join((ROOT / name).read_text() for name in ("docker-compose.yml", "deploy/Caddyfile"))
    for name in set(re.findall(r"TUNESHIFT_\w+", text)) - known:
        assert f"${{{name}:-" in beside or f"{{${name}:" in beside, name


def test_the_proxy_passes_tokens_on_at_once_and_bounds_what_it_takes():
    """`python -m tests.bench.bench_proxy` runs it; this holds what that rests on."""
    text = re.sub(r"^\s*#.*$", "", (ROOT / "deploy" / "Caddyfile").read_text(), flags=re.MULTILINE)
    proxy = re.search(r"reverse_proxy [^{]*\{\$TUNESHIFT_UPSTREAM:[^}]*\} \{(.*?)\}", text, re.DOTALL)[1]
    assert "flush_interval -1" in proxy
    bound = re.search(r"max_size \{\$TUNESHIFT_PROXY_MAX_BODY:(\d+)MiB\}", text)
    # The app refuses in words what is too large; the proxy must not be first.
    assert Settings(_env_file=None).max_upload_mib < int(bound[1])
    assert "respond @operator 404" in text
