"""Saving, side by side: the same clients save answers in Tuneshift, Label Studio and Potato, each as its page does.

Run: python -m tests.bench.bench_peers tuneshift|label-studio|potato [COMMAND] [CLIENTS] [SECONDS]. COMMAND is the
peer's own command in a virtual environment of its own (`pip install label-studio`, `pip install potato-annotation`);
for Tuneshift it may be `drafts`, to save without ever handing out the next item, as the peers do here.

Every client waits for the answer to a save before it sends the next. Then the server is killed with SIGKILL while all
save, started again, and asked for what it had acknowledged last. Peers are never asked to hand out the next item, which
Tuneshift does in every second save otherwise.
"""

import http.client
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import urlencode

from sqlmodel import select

from app import migrate
from app.db import connect, reading
from app.settings import Settings
from models import Revision
from tests.bench import servers
from tests.bench.report import emit
from tests.kill9 import make_writers

CLIENTS, SECONDS, LAST_S = 8, 60, 3
TOKEN = "0123456789abcdef" * 2 + "01234567"
LABELS = """<View><Text name="text" value="$text"/>
<Choices name="preference" toName="text"><Choice value="left"/><Choice value="right"/><Choice value="tie"/></Choices>
<Rating name="helpfulness" toName="text"/><TextArea name="comment" toName="text"/></View>"""
SCHEMES = [
    {"annotation_type": "radio", "name": "preference", "description": "Which is better?",
     "labels": ["left", "right", "tie"]},
    {"annotation_type": "likert", "name": "helpfulness", "description": "How helpful?", "size": 5,
     "min_label": "low", "max_label": "high"},
    {"annotation_type": "text", "name": "comment", "description": "Why?"},
]  # fmt: skip
ITEMS = [{"id": f"i{n}", "text": f"Prompt {n}. A: {'one answer ' * 60}. B: {'another ' * 60}."} for n in range(200)]


@dataclass
class Client:
    """One annotator. `save(connection, number)` sends an answer with that number in it; raises unless it is stored."""

    save: Callable[[http.client.HTTPConnection, int], None]
    latencies: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    number: int = 0


@dataclass
class Tool:
    """A tool to measure: how it starts on a port, who works in it, and which number of each client it still has."""

    version: str
    command: Sequence[str]
    environment: dict[str, str]
    ready: str
    clients: Callable[[int], list[Client]]
    stored: Callable[[], list[int]]


def request(connection, method, path, body=None, headers=None):
    """Send one request; returns status, headers and text."""
    connection.request(method, path, body=body, headers=headers or {})
    answer = connection.getresponse()
    return answer.status, answer.headers, answer.read().decode(errors="replace")


def send_json(connection, path, value, headers):
    """Post JSON and return what came back; raises unless it was taken."""
    sent = {"Content-Type": "application/json", "Accept": "application/json"} | headers
    status, _, text = request(connection, "POST", path, json.dumps(value), sent)
    if status not in {200, 201}:
        raise ValueError(f"{status} {text[:200]}")
    return json.loads(text)


def tuneshift(folder, port, command):
    """Tuneshift on SQLite, as `tuneshift serve` runs it; drafts and submissions in turn, or `drafts` alone."""
    settings = Settings(_env_file=None, data_dir=folder / "data")
    database = connect(settings.resolved_database_url)
    migrate.upgrade(database)
    writers = []

    def clients(people):
        writers.extend(make_writers(database, settings, port, people=people))
        for writer in writers:
            writer.kinds = ("draft",) if command == "drafts" else writer.kinds

        def saver(writer):
            def save(connection, _number):
                writer.step(connection)

            return save

        return [Client(saver(writer)) for writer in writers]

    def stored():
        with reading(database) as session:
            rows = session.exec(select(Revision.presentation_id, Revision.idempotency_key)).all()
        kept = set(rows)
        return [sum((token, key) in kept for token, key, _ in writer.acknowledged) for writer in writers]

    environment = servers.environment_of(settings)
    serve = servers.tuneshift("serve", "--port", str(port))
    return Tool(f"this checkout {command}".strip(), serve, environment, "/healthz", clients, stored)


def label_studio(folder, port, command):
    """Label Studio on SQLite, as `label-studio start` runs it; each save is a new annotation of a task."""
    auth = {"Authorization": f"Token {TOKEN}"}
    made = []

    def clients(people):
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=120)) as connection:
            project = send_json(connection, "/api/projects/", {"title": "bench", "label_config": LABELS}, auth)["id"]
            send_json(connection, f"/api/projects/{project}/import?return_task_ids=true", ITEMS, auth)
            _, _, text = request(connection, "GET", f"/api/tasks/?project={project}&page_size=200", headers=auth)
        tasks = [task["id"] for task in json.loads(text)["tasks"]]

        def saver(mine):
            def save(connection, number):
                said = {"preference": ("choices", {"choices": ["left"]}), "helpfulness": ("rating", {"rating": 4}),
                        "comment": ("textarea", {"text": [f"number {number}"]})}  # fmt: skip
                result = [
                    {"from_name": name, "to_name": "text", "type": kind, "value": value}
                    for name, (kind, value) in said.items()
                ]
                path = f"/api/tasks/{mine[number % len(mine)]}/annotations/"
                send_json(connection, path, {"result": result, "lead_time": 1.5}, auth)

            return save

        made.extend(tasks[at::people] for at in range(people))
        return [Client(saver(mine)) for mine in made]

    def stored():
        found = []
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=120)) as connection:
            for mine in made:
                numbers = set()
                for task in mine:
                    _, _, text = request(connection, "GET", f"/api/tasks/{task}/annotations/", headers=auth)
                    numbers |= {int(number) for number in re.findall(r"number (\d+)", text)}
                found.append(len(numbers))
        return found

    environment = {
        "COLLECT_ANALYTICS": "False",
        "LATEST_VERSION_CHECK": "False",
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
    }
    arguments = ["start", "--no-browser", "--data-dir", str(folder), "--username", "admin@example.org", "--password",
                 "a-password-for-it", "--user-token", TOKEN, "--enable-legacy-api-token", "-p", str(port)]  # fmt: skip
    return Tool(version_of(command, "label-studio"), [command, *arguments], environment, "/health", clients, stored)


def potato(folder, port, command):
    """Potato on its own files, as `potato start` runs it; each save is the page's own save of an item, sent again."""
    (folder / "data").mkdir()
    (folder / "data" / "items.jsonl").write_text("".join(json.dumps(item) + "\n" for item in ITEMS))
    config = {
        "annotation_task_name": "bench", "task_dir": ".", "output_annotation_dir": "annotation_output",
        "output_annotation_format": "jsonl", "data_files": ["data/items.jsonl"], "require_password": False,
        "item_properties": {"id_key": "id", "text_key": "text"}, "user_config": {"allow_all_users": True, "users": []},
        "annotation_schemes": SCHEMES,
    }  # fmt: skip
    # JSON is YAML too.
    (folder / "config.yaml").write_text(json.dumps(config))
    people_made = []

    def clients(people):
        return [Client(saver(f"annotator{number}")) for number in range(people)]

    def saver(name):
        people_made.append(name)
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=120)) as connection:
            form = {"Content-Type": "application/x-www-form-urlencoded"}
            _, headers, _ = request(connection, "POST", "/auth", urlencode({"email": name, "pass": ""}), form)
            cookie = {"Cookie": "; ".join(line.split(";")[0] for line in headers.get_all("Set-Cookie"))}
            _, _, page = request(connection, "GET", "/annotate", headers=cookie)
        item = re.search(r'id="instance_id"[^>]*value="([^"]+)"', page).group(1)

        def save(connection, number):
            said = {"preference:left": "left", "helpfulness:4": "4", "comment:text_box": f"number {number}"}
            value = {"instance_id": item, "annotations": said, "span_annotations": []}
            reply = send_json(connection, "/updateinstance", value, cookie)
            if reply.get("status") not in {"success", "ok"}:
                raise ValueError(str(reply)[:200])

        return save

    def stored():
        # An item is saved again and again, so the newest number tells how many of them were kept.
        states = [(folder / "annotation_output" / name / "user_state.json") for name in people_made]
        texts = [state.read_text() if state.exists() else "" for state in states]
        return [max((int(number) for number in re.findall(r"number (\d+)", text)), default=-1) + 1 for text in texts]

    arguments = ["start", "config.yaml", "-p", str(port), "--host", "127.0.0.1"]
    return Tool(version_of(command, "potato-annotation"), [command, *arguments], {}, "/", clients, stored)


def version_of(command, package):
    """Ask the peer's own environment for the version of its package."""
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    python = Path(command).parent / "python"
    return f"{package} {subprocess.check_output([str(python), '-c', code], text=True).strip()}"


def work(client, port, over):
    """Save without pause until it is over; an answer that never came ends it when the server is dead."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    while not over.is_set():
        started = time.monotonic()
        try:
            client.save(connection, client.number)
        except (OSError, http.client.HTTPException, ValueError) as error:
            if over.is_set():
                return
            client.errors.append(repr(error)[:200])
            connection.close()
            continue
        client.latencies.append(time.monotonic() - started)
        client.number += 1
    connection.close()


def run(clients, port, seconds, ending=lambda: None):
    """Let all clients save for so long; `ending` is done while they still do."""
    over = threading.Event()
    threads = [threading.Thread(target=work, args=(client, port, over)) for client in clients]
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    ending()
    over.set()
    for thread in threads:
        thread.join(120)


def main(name, command, people, seconds):
    """Measure one tool and print what came of it."""
    with tempfile.TemporaryDirectory() as place:
        folder, port = Path(place), servers.free_port()
        tool = {"tuneshift": tuneshift, "label-studio": label_studio, "potato": potato}[name](folder, port, command)
        started = partial(servers.start, tool.command, tool.environment, folder, port=port, ready=tool.ready)
        server = started()
        clients = tool.clients(people)
        before = servers.processor_seconds(server)
        run(clients, port, seconds)
        spent = servers.processor_seconds(server) - before
        latencies = sorted(one for client in clients for one in client.latencies)
        errors = [error for client in clients for error in client.errors]

        run(clients, port, LAST_S, ending=partial(servers.kill, server))
        server = started()
        kept, acknowledged = tool.stored(), [client.number for client in clients]
        servers.kill(server)
    lost = sum(max(0, said - has) for said, has in zip(acknowledged, kept, strict=True))
    p50, p99 = (round(latencies[int(len(latencies) * share)] * 1000, 1) for share in (0.5, 0.99))
    emit(
        bench="peers", tool=tool.version, clients=people, seconds=seconds, saves=len(latencies),
        saves_per_s=round(len(latencies) / seconds, 1), p50_ms=p50, p99_ms=p99, errors=len(errors),
        first_error=errors[:1], server_cpu_ms_per_save=round(1000 * spent / len(latencies), 2),
        acknowledged=sum(acknowledged), lost_by_kill9=lost,
    )  # fmt: skip
    return 0


if __name__ == "__main__":
    tool_name, tool_command = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ""
    given = [int(argument) for argument in sys.argv[3:]]
    sys.exit(main(tool_name, tool_command, *(given + [CLIENTS, SECONDS][len(given) :])))
