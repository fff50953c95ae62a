"""Bodies no program should send to /api/v1: refused in words that say what would be right, and nothing is kept."""

import gzip
import json
import time

import pytest
from sqlmodel import select

from app.accounts.access import ACCESS
from app.db import reading, writing
from models import Item, Study, StudyState
from tests.web.api_help import program

BOUNDARY = "multipart/form-data; boundary=x"
PART = b'--x\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n--x--\r\n'
BOMB = gzip.compress(b'{"name": "' + b"a" * 50_000_000 + b'"}')
# What is sent, how it is called, and what the refusal says; nothing of it is JSON that names a study.
BODIES = {
    "no body": (b"", "application/json", "There is no body"),
    "no JSON": (b'{"name": "x"', "application/json", "The body is no JSON: expecting ',' delimiter at character 13."),
    "a list": (b"[]", "application/json", "no JSON object"),
    "a number out of range": (b"1e999", "application/json", "no JSON object"),
    "half of a surrogate pair": (b'{"name": "\\ud800"}', "application/json", "half of a surrogate pair"),
    "200,000 lists in each other": (b"[" * 200_000, "application/json", "parsing the body"),
    "100,000 objects in each other": (
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        "application/json",
        "parsing the body",
    ),
    "a number of 5,000 digits": (b'{"name": ' + b"9" * 5_000 + b"}", "application/json", "parsing the body"),
    "bytes that are no text": (b'{"name": "\xff\xfe"}', "application/json", "parsing the body"),
    "50 MB in 50 kB": (BOMB, "application/json", "parsing the body"),
    "an archive": (b"PK\x03\x04" + bytes(100), "application/zip", "no JSON object"),
    "JSON called text": (b'{"name": "x"}', "text/plain", "no JSON object"),
    "a form": (b"name=x", "application/x-www-form-urlencoded", "no JSON object"),
    "a form of parts": (PART % (b"name", b"", b"x"), BOUNDARY, "no JSON object"),
    "a form with a file": (PART % (b"file", b'; filename="x.json"', b'{"name": "x"}'), BOUNDARY, "no JSON object"),
    "parts without a boundary": (PART % (b"name", b"", b"x"), "multipart/form-data", "boundary"),
    "parts that break off": (b"--x\r\nContent-Disposition: form-data; na", BOUNDARY, "no JSON object"),
    "3 MB": (b'{"name": "' + b"a" * 3_000_000 + b'"}', "application/json", "2 MiB"),
}
WHOLE = {
    "/compare": {"prompt": "Why?", "checkpoints": ["base"]},
    "/score": {"base": "base", "tuned": "lft", "records": [{"id": 1, "prompt": "Why?"}]},
    "/studies": {"name": "Rivers"},
}
# A field that is sent beside those, and the place the refusal names.
NUMBERS = [
    ("/compare", {"max_tokens": 10**400}, "max_tokens"),
    ("/compare", {"seed": 2**63}, "seed"),
    ("/compare", {"seed": -1}, "seed"),
    ("/compare", {"temperature": 1e308}, "temperature"),
    ("/compare", {"temperature": float("nan")}, "temperature"),
    ("/compare", {"temperature": float("inf")}, "temperature"),
    ("/compare", {"checkpoints": ["base"] * 10_000}, "checkpoints"),
    ("/score", {"top_k": 2**63}, "top_k"),
    ("/score", {"records": [{"id": 2**63, "prompt": "Why?"}]}, "records → 0 → id"),
    ("/score", {"records": [{"id": 1, "prompt_ids": [2**63]}]}, "records → 0 → prompt_ids → 0"),
    ("/score", {"records": [{"id": 1, "prompt_ids": [10**400]}]}, "records → 0 → prompt_ids → 0"),
    ("/score", {"records": [{"id": 1, "prompt_ids": [1.5]}]}, "records → 0 → prompt_ids → 0"),
    ("/studies", {"overlap": 2**63}, "overlap"),
    ("/studies", {"arms": [{"checkpoint": "base", "seed": 2**63}]}, "arms → 0 → seed"),
    ("/studies", {"per_annotator": 10**30}, "per_annotator"),
]
LINES = [
    (PART % (b"file", b'; filename="p.jsonl"', b'{"prompt": "Why?"}'), BOUNDARY, "not a form"),
    (b'{"prompt": "Why?"}', "application/x-www-form-urlencoded", "not a form"),
    (gzip.compress(b'{"prompt": "Why?"}\n' * 1_000_000), "application/jsonl", "not UTF-8"),
    (b"PK\x03\x04" + bytes(100), "application/zip", "NUL"),
    (b'{"prompt": ' + b"[" * 200_000 + b"\n", "application/jsonl", "not JSON"),
    (b'{"prompt": ' + b"9" * 5_000 + b"}\n", "application/jsonl", "not JSON"),
    (b'{"prompt": NaN}\n', "application/jsonl", "no text under `prompt`"),
    (b"", "application/jsonl", "no prompts"),
]
TAKE_JSON = sorted(
    path for method, path in ACCESS if method == "POST" and path.startswith("/api/v1") and not path.endswith("/prompts")
)


@pytest.fixture
def api(client_for, database, alice):
    return program(client_for, database, alice)


@pytest.fixture
def draft(database, study):
    with writing(database) as session:
        session.get_one(Study, study.id).state = StudyState.DRAFT
    return study


def refused(answer, words):
    """Check that it is a refusal in the one shape, with these words, and return what would be right."""
    assert 400 <= answer.status_code < 500, (answer.status_code, answer.text[:300])
    error = answer.json()["error"]
    assert set(error) == {"status", "message", "where", "remedy"}
    assert words in error["message"], error
    return error["remedy"]


def test_case_31_32_a_body_that_is_no_json_is_refused_in_words(api, draft):
    for content, kind, words in BODIES.values():
        for path in TAKE_JSON:
            headers = {"Content-Type": kind} | ({"Content-Encoding": "gzip"} if content is BOMB else {})
            started = time.process_time()
            answer = api.post(path.replace("{study_id}", draft.id), content=content, headers=headers)
            # Nothing is unpacked, and nothing takes long that is refused.
            assert time.process_time() - started < 2
            remedy = refused(answer, words)
            if answer.status_code == 400 or "JSON" in words:
                assert "not compressed, with Content-Type: application/json" in remedy


def test_case_32_a_number_beyond_any_use_is_refused_by_its_field(api):
    for path, sent, where in NUMBERS:
        content = json.dumps(WHOLE[path] | sent)
        answer = api.post(f"/api/v1{path}", content=content, headers={"Content-Type": "application/json"})
        assert answer.status_code == 422
        assert answer.json()["error"]["where"].startswith(where), answer.json()


def test_case_31_prompts_that_are_no_lines_are_refused_whole(api, database, draft):
    for content, kind, words in LINES:
        answer = api.post(f"/api/v1/studies/{draft.id}/prompts", content=content, headers={"Content-Type": kind})
        assert refused(answer, words)
        with reading(database) as session:
            assert session.exec(select(Item)).all() == []
    sent = api.post(f"/api/v1/studies/{draft.id}/prompts", content=b'{"prompt": "Why?"}', headers={"Content-Type": ""})
    assert sent.json() == {"message": "1 prompt imported."}
