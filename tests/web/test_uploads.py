import hashlib
import os
import time
import tracemalloc

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect

from app.errors import InvalidInputError
from app.web.body import BodyLimitMiddleware
from app.web.errors import add_error_handlers
from app.web.uploads import UploadTooLargeError, receive_upload

LIMIT = 3 * 2**20


@pytest.fixture
def client(tmp_path):
    app = FastAPI(middleware=[Middleware(BodyLimitMiddleware, max_upload_bytes=LIMIT)])
    add_error_handlers(app)

    @app.post("/traces/files")
    async def take(request: Request):
        upload = await receive_upload(request, field="file", max_bytes=LIMIT, folder=tmp_path / "uploads")
        return {
            "filename": upload.filename,
            "sha256": upload.sha256,
            "size": upload.size,
            "fields": upload.fields,
            "same": hashlib.sha256(upload.path.read_bytes()).hexdigest() == upload.sha256,
        }

    return TestClient(app, headers={"accept": "application/json"})


def left(tmp_path):
    folder = tmp_path / "uploads"
    return list(folder.iterdir()) if folder.exists() else []


def test_a_file_arrives_whole_with_its_form(client, tmp_path):
    content = os.urandom(2**21) + b"\r\n--not-a-boundary\r\n"
    sent = client.post(
        "/traces/files", files={"file": ("C:\\runs\\ä.jsonl", content)}, data={"name": "Run ☕", "empty": ""}
    )
    assert sent.status_code == 200, sent.text
    found = sent.json()
    assert (found["filename"], found["size"], found["same"]) == ("ä.jsonl", len(content), True)
    assert found["sha256"] == hashlib.sha256(content).hexdigest()
    assert found["fields"] == {"name": "Run ☕", "empty": ""}
    assert len(left(tmp_path)) == 1


@pytest.mark.parametrize(
    ("files", "status", "words"),
    [
        ({"file": ("", b"")}, 422, "No file was chosen"),
        ({"other": ("a.jsonl", b"{}")}, 422, "No file was chosen"),
        ({"file": ("a.jsonl", b"")}, 422, "'a.jsonl' is empty"),
        ({"file": ("a.jsonl", b"x" * (LIMIT + 1))}, 413, "larger than the 3 MiB this server accepts"),
        ({"file": ("a.jsonl", b"x" * (LIMIT + 2**22))}, 413, "larger than the 3 MiB this server accepts"),
    ],
)
def test_a_form_that_cannot_be_used_is_refused_in_words_and_leaves_nothing(client, tmp_path, files, status, words):
    sent = client.post("/traces/files", files=files, data={"name": "x"})
    assert sent.status_code == status
    assert words in sent.json()["error"]["message"]
    assert left(tmp_path) == []


def test_what_is_no_form_or_no_text_is_refused(client, tmp_path):
    assert "a form with a file" in client.post("/traces/files", content=b"{}").json()["error"]["message"]
    broken = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nhalf of it'
    headers = {"content-type": "multipart/form-data; boundary=b"}
    assert "broke off" in client.post("/traces/files", content=broken, headers=headers).json()["error"]["message"]
    latin = b'--b\r\nContent-Disposition: form-data; name="name"\r\n\r\n\xe4\r\n--b--\r\n'
    assert "not UTF-8" in client.post("/traces/files", content=latin, headers=headers).json()["error"]["message"]
    nothing = client.post("/traces/files", content=b"nonsense", headers=headers)
    assert nothing.status_code == 422
    huge = client.post("/traces/files", files={"file": ("a", b"x")}, data={"name": "x" * 70_000})
    assert "64 KiB" in huge.json()["error"]["message"]
    assert left(tmp_path) == []


def request_of(chunks, headers):
    messages = iter(chunks)

    async def receive():
        message = next(messages)
        if isinstance(message, BaseException):
            raise message
        return {"type": "http.request", "body": message, "more_body": True}

    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "POST", "path": "/traces/files", "headers": raw}, receive)


FORM = {"content-type": "multipart/form-data; boundary=b"}
HEAD = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n'


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.anyio
async def test_a_gigabyte_without_an_announced_length_is_refused_without_growing_memory(tmp_path):
    asked = 0

    def endless():
        nonlocal asked
        yield HEAD
        while True:
            asked += 1
            yield b"x" * 65_536

    limit = 64 * 2**20
    tracemalloc.start()
    with pytest.raises(UploadTooLargeError, match="64 MiB"):
        await receive_upload(request_of(endless(), FORM), field="file", max_bytes=limit, folder=tmp_path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert asked == limit // 65_536 + 1
    assert peak < 8 * 2**20
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.anyio
async def test_an_upload_whose_sender_leaves_is_removed(tmp_path):
    gone = request_of([HEAD, b"half", ClientDisconnect()], FORM)
    with pytest.raises(InvalidInputError, match="broke off"):
        await receive_upload(gone, field="file", max_bytes=LIMIT, folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.anyio
async def test_uploads_a_killed_server_left_are_swept_up_after_a_day(tmp_path):
    stale, fresh, other = tmp_path / "upload-old", tmp_path / "upload-new", tmp_path / "kept"
    for path in (stale, fresh, other):
        path.write_text("x")
    for path in (stale, other):
        os.utime(path, (time.time() - 90_000,) * 2)
    whole = request_of([HEAD + b"{}\r\n--b--\r\n", ClientDisconnect()], FORM)
    with pytest.raises(InvalidInputError):
        await receive_upload(whole, field="file", max_bytes=LIMIT, folder=tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"upload-new", "kept"}
