"""The app behind deploy/Caddyfile: do tokens come one by one, are headers kept, is what clients send bounded?

Needs Debian's `caddy`. Starts the app on the registry of the settings, and Caddy in front of it with a certificate of
its own making; the same comparison is followed without the proxy and through it, in turn.
"""

import contextlib
import itertools
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2

from app import migrate
from app.accounts.queries import add_user, create_invite
from app.db import connect, writing
from app.serving.serve import free_ports
from app.settings import ROOT, Settings
from models import Role
from tests.bench.report import emit

PROMPT = "Explain how a glacier moves and how it shapes the valley below it."
TOKENS = "64"
ROUNDS = 3
BODY_LIMIT = 1_000_000
PASSWORD = "glacier-moss-7301"
# What differs between any two answers, and what a proxy says of itself.
OWN_HEADERS = {"date", "server", "via", "alt-svc", "x-request-id", "connection", "transfer-encoding", "content-length"}


@contextlib.contextmanager
def process(command: list[str], url: str, **environment: str) -> Iterator[None]:
    """Run a command until the block ends; it is up when the address answers."""
    with subprocess.Popen(command, env=os.environ | environment, stderr=subprocess.DEVNULL, cwd=ROOT) as running:
        try:
            deadline = time.monotonic() + 120
            while not answers(url):
                assert running.poll() is None, command
                assert time.monotonic() < deadline, command
                time.sleep(0.2)
            yield
        finally:
            running.terminate()


def answers(url: str) -> bool:
    with contextlib.suppress(httpx2.HTTPError):
        return httpx2.get(url, verify=False, trust_env=False).status_code == 200
    return False


def signed_in(url: str, origin: str, data: Path) -> httpx2.Client:
    settings = Settings(data_dir=data, database_url="")
    database = connect(settings.resolved_database_url)
    migrate.upgrade(database)
    with writing(database) as session:
        name = f"r{time.monotonic_ns()}@example.org"
        user = add_user(session, email=name, name=name, role=Role.OWNER)
        token = create_invite(session, role=Role.OWNER, user_id=user.id, days=1)
    database.dispose()
    client = httpx2.Client(base_url=url, verify=False, trust_env=False, timeout=300, headers={"Origin": origin})
    answer = client.post(f"/invite/{token}", data={"name": name, "email": name, "password": PASSWORD})
    assert answer.status_code == 303, answer.text
    return client


def followed(client: httpx2.Client) -> tuple[list[float], float]:
    """Run a comparison; return when each piece of its stream came, and when it ended, in seconds from the first."""
    sent = {"prompt": PROMPT, "checkpoints": ["base", "lft", "sft"], "max_tokens": TOKENS}
    answer = client.post("/compare", data=sent)
    assert answer.status_code in {200, 303}, answer.text
    target = (answer.headers.get("HX-Redirect") or answer.headers["location"]).removeprefix("/explore/")
    with client.stream("GET", f"/compare/{target}/stream") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        came = [time.monotonic() for _ in stream.iter_raw()]
    return [moment - came[0] for moment in came], time.monotonic() - came[0]


def pieces(client: httpx2.Client) -> dict[str, float]:
    came, ended = followed(client)
    gaps = [after - before for before, after in itertools.pairwise(came)]
    return {
        "pieces": len(came),
        "seconds": round(ended, 2),
        "longest_gap_ms": round(1000 * max(gaps)),
        "median_gap_ms": round(1000 * statistics.median(gaps)),
    }


def too_much(client: httpx2.Client) -> int:
    """Send more than the proxy passes on, without saying how much it will be."""

    def body() -> Iterator[bytes]:
        for _ in range(4):
            yield b"x" * (BODY_LIMIT // 2)

    with contextlib.suppress(httpx2.HTTPError):
        return client.post("/tuning-sets", content=body()).status_code
    return 0


def measure(direct: httpx2.Client, proxied: httpx2.Client) -> None:
    for _ in range(ROUNDS):
        emit(bench="proxy", direct=pieces(direct), proxied=pieces(proxied))
    ours, theirs = (
        {k: v for k, v in client.get("/explore").headers.items() if k not in OWN_HEADERS}
        for client in (direct, proxied)
    )
    emit(
        bench="proxy_rules",
        headers_kept=ours == theirs,
        headers=len(ours),
        metrics=proxied.get("/metrics").status_code,
        too_large=too_much(proxied),
    )


def main() -> None:
    caddy = shutil.which("caddy")
    if caddy is None:
        emit(bench="proxy", left_out="the package caddy is not installed")
        return
    ports = free_ports()
    app, tls = f"http://127.0.0.1:{next(ports)}", f"https://localhost:{next(ports)}"
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        data = Path(folder)
        serve = [sys.executable, "-c", "from app.cli import main; main()", "serve", "--port", app.rpartition(":")[2]]
        registry = str(Settings().resolved_checkpoints.resolve())
        settings = {
            "TUNESHIFT_DATA_DIR": folder,
            "TUNESHIFT_DATABASE_URL": f"sqlite:///{folder}/tuneshift.db",
            "TUNESHIFT_CHECKPOINTS": registry,
            "TUNESHIFT_PUBLIC_URL": tls,
        }
        clients = [(app, tls), (tls, tls)]
        stack.enter_context(process(serve, f"{app}/healthz", **settings))
        front = {
            "TUNESHIFT_DOMAIN": tls,
            "TUNESHIFT_UPSTREAM": app.removeprefix("http://"),
            "TUNESHIFT_PROXY_MAX_BODY": str(BODY_LIMIT),
            "XDG_DATA_HOME": folder,
            "XDG_CONFIG_HOME": folder,
        }
        run = [caddy, "run", "--config", str(ROOT / "deploy" / "Caddyfile"), "--adapter", "caddyfile"]
        stack.enter_context(process(run, f"{tls}/healthz", **front))
        direct, proxied = (signed_in(url, origin, data) for url, origin in clients)
        stack.callback(direct.close)
        stack.callback(proxied.close)
        measure(direct, proxied)


if __name__ == "__main__":
    main()
