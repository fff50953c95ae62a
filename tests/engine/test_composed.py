"""The app as docker-compose.yml starts it, without Docker: its command, settings, registry and health check."""

import os
import signal
import subprocess
import sys
import time

import httpx2

from app.engines.registry import load_registry
from app.serving.serve import free_ports
from app.settings import ROOT
from tests.engine.composed import WEIGHTS, here, is_healthy, service


def test_the_app_starts_is_found_healthy_and_stops_when_asked(tmp_path):
    app, port = service("app"), next(free_ports())
    for name in ("local", "vllm"):
        text = (ROOT / "deploy" / "registry" / f"{name}.toml").read_text()
        (tmp_path / f"{name}.toml").write_text(text.replace("/models", str(WEIGHTS.resolve())))
        registry = load_registry(tmp_path / f"{name}.toml")
        assert {c.name: c.is_local for c in registry.checkpoints.values()} == dict.fromkeys(
            ("base", "lft", "sft"), name == "local"
        )
    tuneshift, *words = here(app["command"], port=port)
    assert tuneshift == "tuneshift"
    data = {"TUNESHIFT_DATA_DIR": str(tmp_path / "data"), "TUNESHIFT_CHECKPOINTS": str(tmp_path / "local.toml")}
    assert data.keys() <= app["environment"].keys()
    environment = os.environ | app["environment"] | data | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", "from app.cli import main; main()", *words]
    with subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=subprocess.DEVNULL) as running:
        deadline = time.monotonic() + 120
        while not is_healthy("app", port=port):
            assert running.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert httpx2.get(f"http://127.0.0.1:{port}/readyz", trust_env=False).status_code == 200
        running.send_signal(signal.SIGTERM)
        running.wait(float(app["stop_grace_period"].removesuffix("s")))
    assert (tmp_path / "data" / "tuneshift.db").is_file()
