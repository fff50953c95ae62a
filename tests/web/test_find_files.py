import json
from datetime import timedelta
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from sqlmodel import func, select

from app.db import reading, writing
from app.engines.protocol import Scores
from app.find import imports
from app.find.imports import import_file, undo_stale
from app.main import create_app
from app.settings import Settings
from app.shift.packing import unpack, unpack_names
from app.shift.record import score_record
from app.tokens.store import texts_of
from models import FileState, Origin, Response, ScoredFile, ScoredLine, Trace, TraceAggregate
from models.base import now
from tests.web.find_help import shift


def record(id_="r1", **over):
    """A line as `tuneshift score` writes it: two tokens, the second half of a character."""
    tokens = (shift(83, 9, kl=0.123456789012345), shift(195, 1, base=-0.1))
    scores = Scores(
        tokens=tokens,
        kl_kind="lower_bound",
        dtype="float32",
        border_width=0.001,
        engine="vllm",
        engine_version="0.32",
    )
    return score_record(id_, [80, 81], scores, [("S", b"S"), ("", b"\xc3")]) | over


def token(**over):
    return record()["tokens"][0] | over


def lines(*records):
    return "".join(json.dumps(one) + "\n" for one in records).encode()


def send(client, content, htmx=None, **over):
    data = {"tuned": "sft", "base": "base", "name": ""} | over
    return client.post("/traces/files", files={"file": ("run.jsonl", content)}, data=data, headers=htmx or {})


def nothing_kept(database, settings):
    with reading(database) as session:
        counts = [session.exec(select(func.count()).select_from(t)).one() for t in (Response, Trace, ScoredLine)]
    uploads = settings.data_dir / "uploads"
    return counts == [0, 0, 0] and (not uploads.exists() or list(uploads.iterdir()) == [])


def problems_of(client, answer):
    soup = BeautifulSoup(client.get(answer.headers["location"]).text, "html.parser")
    return [[cell.get_text(strip=True) for cell in row.select("td")] for row in soup.select("tbody tr")]


def test_a_scored_file_comes_in_bit_for_bit(researcher, database, settings, htmx):
    answer = send(researcher, lines(record(prompt="Why?"), record(7)), htmx)
    assert answer.status_code == 303
    with reading(database) as session:
        file = session.exec(select(ScoredFile)).one()
        assert (file.state, file.n, file.done, file.name) == (FileState.READY, 2, 2, "run.jsonl")
        first, second = session.exec(select(ScoredLine).order_by(ScoredLine.position)).all()
        assert (first.record_id, second.record_id) == ("r1", "7")
        response = session.get_one(Response, first.response_id)
        assert (response.origin, response.prompt, response.text) == (Origin.IMPORTED, "Why?", "S")
        assert (response.token_ids, response.prompt_ids, texts_of(response)) == ([83, 195], [80, 81], ("S", ""))
        trace = session.exec(select(Trace).where(Trace.response_id == response.id)).one()
        assert (trace.checkpoint, trace.reference, trace.kl_kind) == ("sft", "base", "lower_bound")
        assert (trace.engine, trace.engine_version, trace.border_width) == ("vllm", "0.32", 0.001)
        assert unpack(trace.tokens) == (shift(83, 9, kl=0.123456789012345), shift(195, 1, base=-0.1))
        assert unpack_names(trace.tokens)[195] == b"\xc3"
        assert session.get_one(TraceAggregate, trace.id).shifted == 1
    assert list((settings.data_dir / "uploads").iterdir()) == []
    page = researcher.get(answer.headers["location"], headers=htmx)
    assert "All 2 lines are stored." in page.text
    listed = BeautifulSoup(researcher.get(f"/traces?source=file:{file.id}", headers=htmx).text, "html.parser")
    assert len(listed.select(".find-hit")) == 2


def test_alternatives_are_named_by_a_tokenizer_that_agrees_with_the_file(researcher, database):
    # The scripted checkpoint `sft` has a byte tokenizer: id 83 is S, 195 is the byte c3, and 1 and 2 are bytes too.
    send(researcher, lines(record()))
    send(researcher, lines(record("other", tokens=[token(bytes_hex="ff", text="?")])))
    with reading(database) as session:
        names = [unpack_names(trace.tokens) for trace in session.exec(select(Trace).order_by(Trace.n.desc()))]
    assert set(names[0]) == {83, 195, 1, 2}
    assert names[1] == {83: b"\xff"}


def test_keys_that_came_later_may_be_missing(researcher, database):
    old = record()
    for key in ("engine_version", "border_width"):
        del old[key]
    for one in old["tokens"]:
        for key in ("near_border", "base_entropy", "tuned_entropy", "i", "class"):
            del one[key]
    send(researcher, lines(old))
    with reading(database) as session:
        trace = session.exec(select(Trace)).one()
        assert trace.border_width == 0.001
        assert [one.base_entropy for one in unpack(trace.tokens)] == [None, None]


@pytest.mark.parametrize(
    ("content", "line", "field", "words"),
    [
        (lines(record(), record("r2", kl_kind="about")), "2", "kl_kind", "must be 'exact' or 'lower_bound'"),
        (lines(record(), record()), "2", "id", "is the id of line 1 too"),
        (lines({"id": 1}), "1", "kl_kind", "is missing"),
        (lines(record(id=True)), "1", "id", "must be text or a whole number"),
        (lines(record(tokens={})), "1", "tokens", "must be a list"),
        (lines(record(prompt_ids=["a"])), "1", "prompt_ids[0]", "must be a whole number"),
        (lines(record(tokens=[token(base_rank=0)])), "1", "tokens[0].base_rank", "from 1 to"),
        (lines(record(tokens=[token(id=-1)])), "1", "tokens[0].id", "from 0 to"),
        (lines(record(tokens=[token(id=2**40)])), "1", "tokens[0].id", "from 0 to"),
        (lines(record(tokens=[token(i=4)])), "1", "tokens[0].i", "must be 0"),
        (lines(record(tokens=[token(**{"class": "marginal"})])), "1", "tokens[0].class", "a base rank of 9 is shifted"),
        (lines(record(tokens=[token(tuned_logprob=None)])), "1", "tokens[0].tuned_logprob", "must be a number"),
        (lines(record(tokens=[token(base_logprob=1.5)])), "1", "tokens[0].base_logprob", "at most 0"),
        (lines(record(tokens=[token(kl_tuned_base=float("nan"))])), "1", "tokens[0].kl_tuned_base", "at least 0"),
        (lines(record(tokens=[token(kl_tuned_base=float("inf"))])), "1", "tokens[0].kl_tuned_base", "at least 0"),
        (lines(record(tokens=[token(bytes_hex="5")])), "1", "tokens[0].bytes_hex", "hex digits"),
        (lines(record(tokens=[token(text="\x00")])), "1", "tokens[0].text", "cannot be stored"),
        (lines(record(tokens=[token(top_base=[[1]])])), "1", "tokens[0].top_base[0]", "[id, logprob]"),
        (lines(record(tokens=[token(top_base=[[1, -1], [1, -2]])])), "1", "tokens[0].top_base", "an id twice"),
        (lines(record(tokens=["x"])), "1", "tokens[0]", "must be a JSON object"),
        (b"\n[1]\n", "2", "", "must be a JSON object"),
        (b"{", "1", "", "not JSON at character"),
        (b'{"id": "\xe4"}', "1", "", "byte 9 is not UTF-8"),
        (lines(record()) + "ü".encode("latin-1"), "2", "", "byte 1 is not UTF-8"),
        ('{"id": 1}'.encode("utf-16"), "1", "", "UTF-16"),
        (b"[" * 100_000, "1", "", "not JSON"),
        (b"\n \n", "", "", "there are no lines in it"),
    ],
)
def test_what_is_wrong_is_named_by_line_and_field_and_nothing_is_kept(
    researcher, database, settings, content, line, field, words
):
    answer = send(researcher, content)
    found = problems_of(researcher, answer)
    assert found[0][:2] == [line, field]
    assert words in found[0][2]
    assert nothing_kept(database, settings)


def test_every_wrong_line_is_listed_up_to_a_limit(researcher, monkeypatch):
    monkeypatch.setattr(imports, "MAX_PROBLEMS", 3)
    answer = send(researcher, lines(*[{"id": at} for at in range(9)]))
    assert [row[0] for row in problems_of(researcher, answer)] == ["1", "2", "3"]


def test_a_line_without_end_is_refused_without_being_read(researcher, monkeypatch):
    monkeypatch.setattr("app.find.scored.MAX_LINE_BYTES", 100)
    assert "longer than" in problems_of(researcher, send(researcher, lines(record())))[0][2]


def test_the_same_file_twice_is_refused_with_a_link(researcher, database, htmx):
    first = send(researcher, lines(record()))
    again = send(researcher, lines(record()), htmx)
    assert again.status_code == 409
    assert first.headers["location"] in again.text
    assert "This file is here already" in again.text
    with reading(database) as session:
        assert len(session.exec(select(ScoredLine)).all()) == 1


def test_a_file_that_failed_can_be_sent_again(researcher, database):
    send(researcher, lines({"id": 1}))
    assert send(researcher, lines({"id": 1})).status_code == 303
    with reading(database) as session:
        assert session.exec(select(ScoredFile)).one().state is FileState.FAILED


@pytest.mark.parametrize(
    ("over", "status", "words"),
    [({"tuned": " "}, 422, "Name of the tuned model"), ({"base": "x" * 201}, 422, "Name of the base model")],
)
def test_models_need_names(researcher, database, settings, htmx, over, status, words):
    answer = send(researcher, lines(record()), htmx, **over)
    assert answer.status_code == status
    assert words in answer.text
    assert nothing_kept(database, settings)


def test_no_file_is_refused_in_the_form(researcher, htmx):
    answer = researcher.post("/traces/files", files={"file": ("", b"")}, data={"tuned": "a", "base": "b"}, headers=htmx)
    assert answer.status_code == 422
    assert "No file was chosen" in answer.text


def test_a_file_over_the_limit_is_refused_in_words(database, settings, scripted_engines, alice, client_for, tmp_path):
    small = Settings(_env_file=None, data_dir=settings.data_dir, public_url=settings.public_url, max_upload_mib=1)
    client = client_for(alice)
    client.app.state.settings = small
    answer = send(client, b"x" * (2**20 + 1))
    assert answer.status_code == 413
    assert "larger than the 1 MiB this server accepts" in answer.text
    assert create_app(small, engines=scripted_engines)
    assert nothing_kept(database, settings)


def test_an_import_that_breaks_in_the_middle_leaves_nothing(researcher, database, settings, monkeypatch):
    monkeypatch.setattr(imports, "_CHUNK", 2)
    stored, add = [], imports._add

    def failing(*arguments):
        if len(stored) == 3:
            raise RuntimeError("the disk is full")
        stored.append(add(*arguments))

    monkeypatch.setattr(imports, "_add", failing)
    answer = send(researcher, lines(*[record(at) for at in range(6)]))
    assert len(stored) == 3
    assert "did not expect" in problems_of(researcher, answer)[0][2]
    assert nothing_kept(database, settings)


def test_a_file_is_not_seen_before_it_is_whole_and_a_stopped_one_is_undone(researcher, database, alice, tmp_path):
    path = Path(tmp_path / "run.jsonl")
    path.write_bytes(lines(record(), record("r2")))
    with writing(database) as session:
        file = ScoredFile(name="run", sha256="0" * 64, tuned="sft", base="base", n=9, created_by=alice.id)
        session.add(file)
    import_file(database, file.id, path, lambda _token: None)
    assert not path.exists()
    with writing(database) as session:
        row = session.get_one(ScoredFile, file.id)
        row.state, row.done = FileState.STORING, 1
    assert researcher.get(f"/traces?source=file:{file.id}").status_code == 404
    assert "file:" not in researcher.get("/traces").text
    assert "Storing: 1 of 2 lines" in researcher.get(f"/traces/files/{file.id}").text
    undo_stale(database)
    with writing(database) as session:
        row = session.get_one(ScoredFile, file.id)
        assert row.state is FileState.STORING
        row.touched_at = now() - timedelta(minutes=10)
    undo_stale(database)
    with reading(database) as session:
        assert session.get_one(ScoredFile, file.id).state is FileState.FAILED
        assert session.exec(select(Response)).all() == []
    assert "The server stopped" in researcher.get(f"/traces/files/{file.id}").text
    assert researcher.get("/traces/files/none").status_code == 404


def test_imported_responses_open_even_without_a_single_token(researcher, database, htmx):
    send(researcher, lines(record(), record("empty", tokens=[])))
    with reading(database) as session:
        ids = session.exec(select(ScoredLine.response_id).order_by(ScoredLine.position)).all()
        file = session.exec(select(ScoredFile)).one()
    for id_ in ids:
        for page in (f"/responses/{id_}?checkpoint=sft&base_prompt=same_ids", f"/responses/{id_}/shifted"):
            assert researcher.get(page, headers=htmx).status_code == 200, page
    for path in ("/traces", "/traces/types", "/traces/table"):
        assert researcher.get(f"{path}?source=file:{file.id}", headers=htmx).status_code == 200
