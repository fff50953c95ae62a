"""A small HTTP server that speaks vLLM's language, or misbehaves in the way a test chooses. Listens on 127.0.0.1 alone.

Every model answers with the same token, and scoring gives every token the same log-probability as generating it.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

TOKEN, LOGPROB = 98, -0.5
VERSION = "0.33.0"
LONGEST_S = 30.0


@dataclass
class State:
    """What a test may change while the server runs, and what the server was asked.

    `models` maps a served name to its parent (None: a full model). `misbehave(handler, body)` answers instead of the
    server where it is set and returns True. `pause_s` is slept before each token. `largest_rank` bounds adapters.
    `marks` are the ids that came with the requests, in their order.
    """

    models: dict[str, str | None] = field(default_factory=lambda: {"base": None})
    loads_adapters: bool = False
    largest_rank: int = 16
    pause_s: float = 0.0
    score_pause_s: float = 0.0
    misbehave: Callable[["Handler", dict], bool] | None = None
    requests: list[tuple[str, dict]] = field(default_factory=list)
    marks: list[str | None] = field(default_factory=list)
    running: int = 0
    most_running: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def asked(self, path: str = "/v1/completions") -> list[dict]:
        """List the bodies that came to one address."""
        return [body for where, body in self.requests if where == path]


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    state: State
    counted = False

    def log_message(self, *_args: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self.send_response(405 if self.state.loads_adapters and self.path.endswith("_lora_adapter") else 404)
        self.send_header("content-length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        self._work({})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self._work(body)

    def _work(self, body: dict) -> None:
        state = self.state
        with state.lock:
            state.requests.append((self.path, body))
            state.marks.append(self.headers.get("x-request-id"))
            self.counted = self.path == "/v1/completions"
            state.running += self.counted
            state.most_running = max(state.most_running, state.running)
        try:
            if state.misbehave is None or not state.misbehave(self, body):
                self._answer(body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            self._ends()

    def _ends(self) -> None:
        """Stop counting this request: before its last byte, after which the next one may come."""
        with self.state.lock:
            self.state.running -= self.counted
            self.counted = False

    def _answer(self, body: dict) -> None:
        if self.path == "/health":
            self.json(200, {})
        elif self.path == "/version":
            self.json(200, {"version": VERSION})
        elif self.path == "/v1/models":
            rows = [{"id": name, "parent": parent} for name, parent in self.state.models.items()]
            self.json(200, {"data": rows})
        elif self.path == "/v1/completions":
            self._complete(body)
        elif self.path in {"/v1/load_lora_adapter", "/v1/unload_lora_adapter"} and self.state.loads_adapters:
            self._adapter(body)
        else:
            self.json(404, {"detail": "Not Found"})

    def _adapter(self, body: dict) -> None:
        name = body["lora_name"]
        if "unload" in self.path:
            del self.state.models[name]
        elif (rank := self._rank(body["lora_path"])) > self.state.largest_rank:
            words = f"LoRA rank {rank} is greater than max_lora_rank {self.state.largest_rank}."
            self.json(500, {"error": {"message": words}})
            return
        else:
            self.state.models[name] = "base"
        self.text(200, "Success", "text/plain")

    def _rank(self, path: str) -> int:
        return json.loads((Path(path) / "adapter_config.json").read_text())["r"]

    def _complete(self, body: dict) -> None:
        if body["model"] not in self.state.models:
            self.json(404, {"error": {"message": f"The model `{body['model']}` does not exist."}})
        elif body.get("stream"):
            self.begin_stream()
            for index in range(body["max_tokens"]):
                time.sleep(self.state.pause_s)
                last = index + 1 == body["max_tokens"]
                if last:
                    self._ends()
                self.token("length" if last else None)
            self.end_stream()
        else:
            time.sleep(self.state.score_pause_s)
            self._ends()
            self.json(200, {"choices": [{"prompt_logprobs": entries(body["prompt"], body["prompt_logprobs"])}]})

    def begin_stream(self) -> None:
        """Send the headers of a stream."""
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()

    def token(self, finish: str | None = None) -> None:
        """Send one token."""
        choice = {"token_ids": [TOKEN], "logprobs": {"token_logprobs": [LOGPROB]}, "finish_reason": finish}
        self.chunk(f"data: {json.dumps({'choices': [choice]})}\n\n".encode())

    def chunk(self, data: bytes) -> None:
        """Send some bytes of a stream."""
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def end_stream(self) -> None:
        """Send the end of a stream."""
        self.chunk(b"data: [DONE]\n\n")
        self.wfile.write(b"0\r\n\r\n")

    def json(self, status: int, content: object) -> None:
        """Send an answer."""
        self.text(status, json.dumps(content), "application/json")

    def text(self, status: int, content: str, kind: str) -> None:
        """Send an answer of any kind."""
        data = content.encode()
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def entries(ids: list[int], k: int) -> list[dict | None]:
    """Score every id alike; the others of a position follow it."""
    others = {str(1_000 + n): {"logprob": LOGPROB - 1 - n, "rank": n + 2} for n in range(k - 1)}
    return [None, *({str(token): {"logprob": LOGPROB, "rank": 1}} | others for token in ids[1:])]


@contextmanager
def fake_vllm(port: int = 0, **over) -> Iterator[tuple[str, State]]:
    """Run a server for a block; yields its address (ending in /v1) and its state."""
    state = State(**over)
    server = ThreadingHTTPServer(("127.0.0.1", port), type("Bound", (Handler,), {"state": state}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1", state
    finally:
        server.shutdown()
        server.server_close()
        thread.join(LONGEST_S)
