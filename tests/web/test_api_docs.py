"""The examples of docs/api.md are run as they stand, by a shell, against a running server."""

import os
import re
import shutil
import subprocess

import pytest

from app.settings import ROOT
from models import Scope
from tests.web.api_help import token_for

DOCS = (ROOT / "docs" / "api.md").read_text()


@pytest.mark.skipif(shutil.which("curl") is None, reason="the examples need curl")
def test_every_example_works_as_written(server, database, alice):
    (block,) = re.findall(r"<!-- examples -->\n```bash\n(.*?)```", DOCS, re.DOTALL)
    # Each example fails the script when its answer is an error, as `curl --fail` would.
    script = "set -euo pipefail\n" + re.sub(
        r"\bcurl -sS", "curl -sS --fail-with-body -w '\\\\n%{http_code}\\\\n'", block
    )
    done = subprocess.run(
        ["bash", "-c", script],
        env={"PATH": os.environ["PATH"], "TUNESHIFT": server.url, "TOKEN": token_for(database, alice)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2_000:] + done.stderr
    codes = re.findall(r"^(\d{3})$", done.stdout, re.MULTILINE)
    assert len(codes) == block.count("curl ")
    assert set(codes) <= {"200", "201", "202"}
    assert "event: done" in done.stdout
    assert '"message":"2 prompts imported."' in done.stdout


def test_every_scope_and_event_is_explained():
    for word in (*Scope, "started", "token", "scored", "column", "done"):
        assert f"| `{word}` |" in DOCS
