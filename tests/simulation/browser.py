"""Robots at a browser: real HTTP, cookies and forms as the pages send them; what was acknowledged is remembered."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode, urlsplit

from bs4 import BeautifulSoup

from app.settings import ROOT
from app.studies.questions import Questions
from tests.simulation.robot import Shown, Truth, answer_of

START_S = 60
PATIENCE_S = 300


def payload(answer: dict[str, Any], *, key: str, base_revision: int) -> dict[str, Any]:
    """What the judging page's script sends: the answer, the revision it was made from, and the attempt's key."""
    return answer | {"base_revision": base_revision, "idempotency_key": key}


def run_command(data_dir: Path, *arguments: str) -> str:
    """Run a `tuneshift` command as a person would, in a process of its own, and return what it printed."""
    command = [sys.executable, "-c", "from app.cli import main; main()", *arguments]
    done = subprocess.run(command, env=_environment(data_dir), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


class ServedApp:
    """`tuneshift serve` in a process of its own, on a port nobody else has."""

    def __init__(self, data_dir: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port: int = listener.getsockname()[1]
        command = [sys.executable, "-c", "from app.cli import main; main()", "serve", "--port", str(self.port)]
        # A file and no pipe: one that nobody reads fills up, and then the server stands still at its next line.
        self.log = data_dir.with_name(f"served-{self.port}.log").open("w+")
        self.process = subprocess.Popen(
            command, env=_environment(data_dir), stdout=self.log, stderr=subprocess.STDOUT, text=True
        )

    def __enter__(self) -> Self:
        deadline = time.monotonic() + START_S
        while True:
            assert self.process.poll() is None, "the server stopped while it was starting"
            assert time.monotonic() < deadline, f"the server did not start in {START_S} s"
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return self

    def __exit__(self, *_: object) -> None:
        """Stop it as Ctrl+C does; `said` is then what it wrote."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(timeout=PATIENCE_S)
        self.log.seek(0)
        self.said = self.log.read()
        self.log.close()


def _environment(data_dir: Path) -> dict[str, str]:
    # Where the run keeps its databases is said by the environment, unless it is in that folder.
    kept = {
        name: value
        for name, value in os.environ.items()
        if name == "TUNESHIFT_DATABASE_URL" or not name.startswith("TUNESHIFT_")
    }
    return kept | {"TUNESHIFT_DATA_DIR": str(data_dir), "PYTHONPATH": str(ROOT), "COLUMNS": "200"}


@dataclass
class Reply:
    """What came back: status, headers by lower-case name, and the text."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def place(self) -> str:
        """Where a redirect leads, else nothing."""
        return self.headers.get("location", "")


@dataclass
class Browser:
    """One person's browser: keeps its cookies and says where requests come from; a connection for each request."""

    port: int
    cookies: dict[str, str] = field(default_factory=dict)

    def get(self, path: str) -> Reply:
        """Open a page."""
        return self._send("GET", path, None, {})

    def submit(self, path: str, fields: Mapping[str, str]) -> Reply:
        """Send a form."""
        return self._send("POST", path, urlencode(fields), {"Content-Type": "application/x-www-form-urlencoded"})

    def post_json(self, path: str, body: object) -> Reply:
        """Send what a script sends."""
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        return self._send("POST", path, json.dumps(body), headers)

    def _send(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> Reply:
        sent = {"Origin": f"http://127.0.0.1:{self.port}", "Sec-Fetch-Site": "same-origin"} | headers
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        try:
            connection.request(method, path, body=body, headers=sent)
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        for header in answer.headers.get_all("set-cookie", ()):
            self.cookies |= {name: one.value for name, one in SimpleCookie(header).items()}
        return Reply(answer.status, {name.lower(): value for name, value in answer.headers.items()}, text)


@dataclass
class Annotator:
    """A robot with a browser. `acknowledged` holds, per item's token, the last answer the server called saved.

    `arms` tells which arm wrote a text: a secret of the robot's, nothing that was sent.
    """

    browser: Browser
    truth: Truth
    questions: Questions
    arms: Mapping[str, str]
    name: str
    study_id: str = ""
    token: str = ""
    drafts: dict[str, int] = field(default_factory=dict)
    acknowledged: dict[str, tuple[int, dict[str, Any]]] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    attempts: int = 0

    def accept(self, invite: str) -> None:
        """Open the invitation, fill in its form and press the button."""
        path = urlsplit(invite).path
        form = BeautifulSoup(self.browser.get(path).text, "html.parser").select_one("main form, form[action]")
        wanted = {field["name"]: field.get("value", "") for field in form.select("input[name]")}
        given = {"name": self.name, "email": f"{self.name}@example.org", "password": f"a long password of {self.name}"}
        done = self.browser.submit(path, wanted | {name: given[name] for name in given if name in wanted})
        assert (done.status, done.place) == (303, "/judge"), done.text

    def take(self) -> bool:
        """Press "Next item" on the desk; tells whether there is one."""
        reply = self.browser.submit("/judge/next", {"study_id": self.study_id})
        assert reply.status == 303, reply.text
        self._go(reply.place)
        return bool(self.token)

    def judge(self, *, draft: bool = False, edit: bool = False) -> bool:
        """Open the item in hand and submit an answer; tells whether it was taken. The next one is then in hand."""
        token, data = self.token, self._open(self.token)
        revision = data["answer"]["revision"]
        if draft:
            revision = self._save(token, data, "draft", revision)
        saved = self._save(token, data, "submit", revision) if revision is not None else None
        if saved is None:
            self.token = ""
            return False
        if edit and self.acknowledged[token][1]["preference"] != "cannot_judge":
            self.change(token)
        return True

    def leave_half_done(self) -> None:
        """Open the item in hand, save a draft, and close the laptop."""
        data = self._open(self.token)
        self._save(self.token, data, "draft", data["answer"]["revision"])

    def change(self, token: str) -> None:
        """Go back to an item that was submitted, and think again."""
        upcoming, data = self.token, self._open(token)
        assert data["submitted"]
        assert data["answer"]["revision"] == self.acknowledged[token][0]
        self._save(token, data, "submit", data["answer"]["revision"], edit=1)
        self.token = upcoming

    def _open(self, token: str) -> dict[str, Any]:
        page = self.browser.get(f"/judge/{token}")
        assert page.status == 200, page.text
        start = page.text.index('id="judging"')
        tag = page.text[page.text.rindex("<", 0, start) : page.text.index(">", start) + 1]
        return json.loads(BeautifulSoup(tag, "html.parser").form["data-item"])

    def _save(self, token: str, data: dict[str, Any], what: str, revision: int, *, edit: int = 0) -> int | None:
        texts = data["texts"]
        shown = Shown(
            item="/".join(sorted(texts.values())),
            left_arm=self.arms[texts["left"]],
            right_arm=self.arms[texts["right"]],
            left=texts["left"],
            right=texts["right"],
        )
        answer = answer_of(self.truth, self.name, shown, self.questions, edit=edit)
        self.attempts += 1
        sent = payload(answer, key=f"{self.name}-{self.attempts:06d}", base_revision=revision)
        reply = self.browser.post_json(f"/judge/{token}/{what}", sent)
        if reply.status != 200:
            self.refused.append(f"{what} {reply.status}: {reply.text}")
            return None
        receipt = json.loads(reply.text)
        if what == "draft":
            self.drafts[token] = receipt["revision"]
        else:
            self.acknowledged[token] = receipt["revision"], answer
            self._go(receipt["next"])
        return receipt["revision"]

    def _go(self, place: str) -> None:
        self.token = place.removeprefix("/judge/") if place.startswith("/judge/") else ""


def annotators(
    port: int, invites: Sequence[str], truth: Truth, questions: Questions, arms: Mapping[str, str], study_id: str
) -> list[Annotator]:
    """Give each invitation to somebody with a browser of their own."""
    people = []
    for number, _ in enumerate(invites, start=1):
        browser = Browser(port)
        people.append(Annotator(browser, truth, questions, arms, name=f"robot{number}", study_id=study_id))
    return people
