"""Services of docker-compose.yml run outside Docker: their own commands and checks, with this machine's paths."""

import subprocess
import sys

from app.settings import ROOT
from tests.unit.compose_file import resolved

WEIGHTS = ROOT / "data" / "demo"


def here(words, *, port):
    """A service's words with the weights, address and port of this machine."""
    return [
        word.replace("/models", str(WEIGHTS.resolve())).replace("0.0.0.0", "127.0.0.1").replace("8000", str(port))
        for word in words
    ]


def service(name, *profiles):
    return resolved(*profiles)["services"][name]


def is_healthy(name, *profiles, port):
    """Run a service's own health check."""
    _, python, *words = here(service(name, *profiles)["healthcheck"]["test"], port=port)
    assert python.startswith("python")
    return subprocess.run([sys.executable, *words], capture_output=True, check=False).returncode == 0
