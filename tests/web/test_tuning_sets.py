"""Tuning sets in the pages: imported whole or not at all, looked into, searched, attached, deleted."""

import io
import json
import threading
import time
from dataclasses import replace
from types import MappingProxyType

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bs4 import BeautifulSoup
from sqlmodel import func, select

from app.db import reading, writing
from app.provenance.index import is_built
from app.settings import Settings
from app.tuning_sets import importing
from app.tuning_sets.files import places_of
from app.tuning_sets.queue import Imports
from models import Borrowing, ImportState, TuningInstance, TuningSet, TuningSetUse
from tests.conftest import ORIGIN
from tests.factories import make_response

ROUTES = [
    ("GET", "/tuning-sets"),
    ("POST", "/tuning-sets"),
    ("GET", "/tuning-sets/{id}"),
    ("GET", "/tuning-sets/{id}/progress"),
    ("GET", "/tuning-sets/{id}/instances/0"),
    ("POST", "/tuning-sets/{id}/uses"),
    ("POST", "/tuning-sets/{id}/retry"),
    ("POST", "/tuning-sets/{id}/delete"),
]
WAIT_S = 20


@pytest.fixture
def settings(request, tmp_path, database_url):
    return Settings(_env_file=None, data_dir=tmp_path / "data", public_url=ORIGIN, **getattr(request, "param", {}))


def records(count: int, **over: object) -> list[dict]:
    return [
        {"id": f"r-{at}", "instruction": f"Question {at}?", "output": f"Answer number {at} of a kettle."} | over
        for at in range(count)
    ]


def jsonl(values) -> bytes:
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


def send(client, content, *, filename="kettles.jsonl", name="", headers=None, **tuned):
    data = {"name": name} | {f"tuned:{key}": "yes" for key in tuned}
    files = {"file": (filename, content)}
    return client.post("/tuning-sets", data=data, files=files, headers=headers)


def set_id_of(response) -> str:
    assert response.status_code == 303, response.text
    return response.headers["location"].removeprefix("/tuning-sets/")


def ended(database, set_id) -> TuningSet:
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        with reading(database) as session:
            row = session.get(TuningSet, set_id)
        if row.state in {ImportState.READY, ImportState.FAILED}:
            return row
        time.sleep(0.01)
    pytest.fail(f"the import is still {row.state}")


def imported(client, database, content=None, **options) -> TuningSet:
    return ended(database, set_id_of(send(client, content or jsonl(records(120)), **options)))


def rows_of(database, table=TuningInstance) -> int:
    with reading(database) as session:
        return session.exec(select(func.count()).select_from(table)).one()


def text_of(response) -> str:
    return " ".join(BeautifulSoup(response.text, "html.parser").get_text(" ").split())


def links(response, label) -> list[str]:
    return [a["href"] for a in BeautifulSoup(response.text, "html.parser").select("a") if a.get_text().strip() == label]


def items(response) -> list[str]:
    found = BeautifulSoup(response.text, "html.parser").select("a.set-item")
    return [a["href"].partition("?")[0].rpartition("/")[2] for a in found]


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_tuning_sets_are_for_researchers(anonymous, annotator, method, path):
    headers = {"Accept": "application/json"}
    path = path.format(id="0123456789abcdef")
    assert anonymous.request(method, path, headers=headers).status_code == 401
    assert annotator.request(method, path, headers=headers).status_code == 403


@pytest.mark.parametrize(("method", "path"), [route for route in ROUTES if "{id}" in route[1]])
def test_a_set_that_is_not_there_is_not_found(researcher, htmx, method, path):
    data = {"checkpoint": "lft", "action": "attach"} if method == "POST" else None
    response = researcher.request(method, path.format(id="0123456789abcdef"), data=data, headers=htmx)
    assert response.status_code == 404
    assert "There is no such tuning set" in response.text


def test_a_file_becomes_a_ready_set_with_its_index(researcher, database, settings, app, htmx):
    sent = send(researcher, jsonl(records(120)), name="  Kettles \n", headers=htmx, lft=1, sft=1)
    if htmx:
        assert sent.status_code == 204
        set_id = sent.headers["HX-Redirect"].removeprefix("/tuning-sets/")
    else:
        set_id = set_id_of(sent)
    row = ended(database, set_id)
    assert (row.state, row.name, row.version, row.n, row.shape) == (ImportState.READY, "Kettles", 1, 120, "Alpaca")
    assert (row.done, row.total, row.filename, row.message) == (240, 240, "kettles.jsonl", "")
    places = places_of(settings)
    tokenizer = app.state.engines.tokenizer_for("lft")
    assert is_built(places.indexes, row.sha256, tokenizer)
    assert places.words(row.id).exists()
    assert not places.source(row.id).exists()
    with reading(database) as session:
        assert {use.checkpoint for use in session.exec(select(TuningSetUse))} == {"lft", "sft"}
    page = researcher.get(f"/tuning-sets/{row.id}")
    assert page.status_code == 200
    assert row.sha256 in page.text
    listed = text_of(researcher.get("/tuning-sets"))
    assert f"Kettles 1 {row.sha256[:12]} 120 Alpaca lft, sft ready" in listed


def test_one_wrong_record_and_nothing_is_imported(researcher, database, settings, htmx):
    content = jsonl([*records(700), {"instruction": 3, "output": "x"}])
    row = imported(researcher, database, content)
    assert row.state is ImportState.FAILED
    assert row.message.startswith('kettles.jsonl, line 701: field "instruction" is int.')
    assert rows_of(database) == 0
    assert not places_of(settings).source(row.id).exists()
    page = researcher.get(f"/tuning-sets/{row.id}", headers=htmx)
    assert page.status_code == 200
    assert "line 701" in page.text
    assert "Try again" not in page.text
    assert researcher.get(f"/tuning-sets/{row.id}/instances/0", headers=htmx).status_code == 404
    assert researcher.post(f"/tuning-sets/{row.id}/retry").status_code == 409
    # The corrected file takes the place of the failed one.
    again = imported(researcher, database, jsonl(records(700)))
    assert (again.state, again.version) == (ImportState.READY, 1)
    assert rows_of(database, TuningSet) == 1


def test_the_same_bytes_lead_to_the_set_that_is_there(researcher, database, htmx):
    row = imported(researcher, database)
    second = send(researcher, jsonl(records(120)), name="Another name", headers=htmx)
    assert second.status_code == (422 if htmx else 409)
    assert "The same file was imported as &#39;kettles&#39;, version 1." in second.text
    assert f'href="/tuning-sets/{row.id}"' in second.text
    assert 'value="Another name"' in second.text
    assert rows_of(database, TuningSet) == 1


def test_new_bytes_under_a_name_are_its_next_version(researcher, database):
    first = imported(researcher, database, jsonl(records(3)), name="Kettles")
    second = imported(researcher, database, jsonl(records(4)), name="Kettles")
    assert (first.version, second.version) == (1, 2)
    assert rows_of(database) == 7


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"PK\x03\x04" + bytes(50), None),
        (json.dumps(records(2)).encode("utf-16"), "looks like UTF-16"),
        (jsonl([{"prompt": "x", "completion": "y"}]), "unknown shape with fields completion, prompt"),
        (jsonl([*records(1), *records(1)]), 'id "r-0" was used at kettles.jsonl, line 1'),
        (b'{"instruction": ' + b"[" * 200_000, "nested too deeply"),
    ],
)
def test_bad_files_are_refused_in_words(researcher, database, content, said):
    response = send(researcher, content)
    if response.status_code == 303:
        row = ended(database, set_id_of(response))
        assert row.state is ImportState.FAILED
        assert (said or "kettles.jsonl, line 1") in row.message
    else:
        assert response.status_code == 422
        assert said in text_of(response)
    assert rows_of(database) == 0


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"data": {"name": "x"}}, "with a file"),
        ({"data": {"tuned:nobody": "yes"}, "files": {"file": ("a.jsonl", b"{}")}}, "There is no checkpoint"),
        ({"data": {"name": "x" * 201}, "files": {"file": ("a.jsonl", b"{}")}}, "up to 200 printable characters"),
        ({"data": {"name": "a\u202eb"}, "files": {"file": ("a.jsonl", b"{}")}}, "printable characters"),
        ({"params": {"checkpoint": "lft"}}, "names no tuning set"),
    ],
)
def test_bad_forms_are_refused_and_leave_no_file(researcher, settings, form, said, htmx):
    response = researcher.post("/tuning-sets", headers=htmx, **form)
    assert response.status_code == 422
    assert said in text_of(response)
    folder = places_of(settings).folder
    assert not folder.exists() or list(folder.iterdir()) == []


@pytest.mark.parametrize("settings", [{"max_upload_mib": 1}], indirect=True)
def test_a_file_beyond_the_limit_is_refused_in_words(researcher, settings, database):
    response = send(researcher, jsonl(records(1, output="x" * (1 << 20))))
    assert response.status_code == 413
    assert "larger than the 1 MiB this server accepts" in text_of(response)
    assert list(places_of(settings).folder.glob("*")) == []
    # Small packed, large unpacked: a Parquet file of one text a thousand times.
    packed = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([{"instruction": "Why?", "output": "x" * 5_000}] * 1_000), packed)
    row = imported(researcher, database, packed.getvalue(), filename="bomb.parquet")
    assert row.state is ImportState.FAILED
    assert "bomb.parquet: it unpacks to more than 1 MiB of text." in row.message


def test_empty_answers_are_kept_and_counted(researcher, database):
    row = imported(researcher, database, jsonl([*records(2), {"instruction": "Why?", "output": ""}]))
    assert (row.state, row.n) == (ImportState.READY, 3)
    assert "1 instance has an empty answer" in researcher.get(f"/tuning-sets/{row.id}").text
    page = researcher.get(f"/tuning-sets/{row.id}/instances/2")
    assert page.status_code == 200
    assert "Empty" in text_of(page)


def with_set(app, path, *names):
    registry = app.state.engines.registry
    changed = {
        name: replace(checkpoint, tuning_set=path) if name in names else checkpoint
        for name, checkpoint in registry.checkpoints.items()
    }
    app.state.engines.registry = replace(registry, checkpoints=MappingProxyType(changed))


def test_the_registrys_set_is_imported_in_one_click(researcher, database, app, tmp_path, htmx):
    path = tmp_path / "house.jsonl"
    path.write_bytes(jsonl(records(5)))
    with_set(app, path, "lft", "sft")
    page = researcher.get("/tuning-sets", headers=htmx)
    assert "Import the set lft and sft were tuned on" in text_of(page)
    set_id = set_id_of(researcher.post("/tuning-sets?checkpoint=lft"))
    assert ended(database, set_id).name == "house"
    assert "Import the set" not in researcher.get("/tuning-sets", headers=htmx).text
    # Detached, it is offered again, and asking for it attaches the set that is there.
    researcher.post(f"/tuning-sets/{set_id}/uses", data={"checkpoint": "lft", "action": "detach"})
    assert "Import the set lft was tuned on" in text_of(researcher.get("/tuning-sets", headers=htmx))
    assert set_id_of(researcher.post("/tuning-sets?checkpoint=lft")) == set_id
    with reading(database) as session:
        assert {use.checkpoint for use in session.exec(select(TuningSetUse))} == {"lft", "sft"}


def test_a_path_is_never_taken_from_a_person(researcher, app, tmp_path):
    with_set(app, tmp_path / "gone.jsonl", "lft")
    response = researcher.post("/tuning-sets?checkpoint=lft")
    assert response.status_code == 422
    assert "cannot be read" in text_of(response)
    assert researcher.post("/tuning-sets?checkpoint=/etc/passwd").status_code == 422


def test_instances_are_paged_and_searched(researcher, database, htmx):
    values = [*records(110), {"id": "z", "instruction": "Über Äpfel?", "output": "<b>Boiling</b> 水が沸く"}]
    row = imported(researcher, database, jsonl(values))
    url = f"/tuning-sets/{row.id}"

    def get(query=""):
        response = researcher.get(f"{url}?{query}", headers=htmx)
        assert response.status_code == 200
        return response

    first = get()
    assert items(first) == [str(at) for at in range(50)]
    (later,) = links(first, "Next")
    second = researcher.get(later, headers=htmx)
    assert items(second) == [str(at) for at in range(50, 100)]
    assert items(researcher.get(links(second, "Next")[0], headers=htmx)) == [str(at) for at in range(100, 111)]
    assert items(researcher.get(links(second, "Previous")[0], headers=htmx)) == [str(at) for at in range(50)]

    hits = get("q=kettle")
    assert "110 instances" in text_of(hits)
    assert items(hits) == [str(at) for at in range(50)]
    middle = researcher.get(links(hits, "Next")[0], headers=htmx)
    assert items(middle) == [str(at) for at in range(50, 100)]
    assert items(researcher.get(links(middle, "Previous")[0], headers=htmx)) == [str(at) for at in range(50)]

    boiling = get("q=boil+apfel")
    assert items(boiling) == ["110"]
    assert "&lt;b&gt;" in boiling.text
    assert "<b>" not in boiling.text
    assert '<mark class="set-hit">Boiling</mark>' in boiling.text
    assert '<mark class="set-hit">Äpfel</mark>' in boiling.text
    # No word of its own in the index: found by its letters.
    assert items(get("q=沸")) == ["110"]
    assert items(get("q=%22number+7+of%22")) == ["7"]
    assert items(get("q=%22of+number+7%22")) == []


@pytest.mark.parametrize(
    "query",
    [
        "q=%22", "q=*", "q=AND", "q=NEAR(a+b)", "q=instruction:x", "q=-", "q='%3B--", "q=" + "a+" * 100,
        "q=" + "%22" * 99,
        "from=-1", "from=999999999999", "from=%D9%A3", "after=x&q=kettle", "before=0&q=kettle", "q=kettle&after=999999",
        "q=%25_%5C", "q=%F0%9F%8C%A7",
    ],
)  # fmt: skip
def test_no_query_breaks_the_page(researcher, database, query):
    row = imported(researcher, database)
    assert researcher.get(f"/tuning-sets/{row.id}?{query}").status_code == 200


def test_an_instance_is_shown_whole(researcher, database, htmx):
    turns = [("system", "Be kind."), ("human", "One?"), ("gpt", "Kettle <i>one</i>"), ("human", "Two?"), ("gpt", "Two")]
    conversation = {"id": "c", "conversations": [{"from": who, "value": text} for who, text in turns]}
    row = imported(researcher, database, jsonl([*records(1), conversation, *records(2)[1:]]))
    response = researcher.get(f"/tuning-sets/{row.id}/instances/1?q=kettle", headers=htmx)
    soup = BeautifulSoup(response.text, "html.parser")
    assert [text.get_text() for text in soup.select(".set-text")] == [text for _, text in turns]
    assert [mark.get_text() for mark in soup.select("mark")] == ["Kettle"]
    assert ("<!doctype html>" in response.text) is not bool(htmx)
    assert links(response, "Next") == ([] if htmx else [f"/tuning-sets/{row.id}/instances/2?q=kettle"])
    for position in ("3", "-1", "99999999999999999999", "x"):
        assert researcher.get(f"/tuning-sets/{row.id}/instances/{position}", headers=htmx).status_code == 404


def test_checkpoints_are_attached_and_detached(researcher, database, htmx):
    row = imported(researcher, database)
    url = f"/tuning-sets/{row.id}/uses"
    for _ in range(2):
        assert researcher.post(url, data={"checkpoint": "sft", "action": "attach"}).status_code == 303
    assert rows_of(database, TuningSetUse) == 1
    assert "kettles" in researcher.get("/checkpoints", headers=htmx).text
    for data in ({"checkpoint": "nobody"}, {"checkpoint": "sft", "action": "eat"}, {}):
        assert researcher.post(url, data=data, headers=htmx).status_code == 422
    researcher.post(url, data={"checkpoint": "sft", "action": "detach"})
    assert rows_of(database, TuningSetUse) == 0


def test_a_set_with_measurements_is_deleted_only_on_purpose(researcher, database, settings, htmx):
    row = imported(researcher, database, sft=1)
    with writing(database) as session:
        response = make_response(session)
        session.add(
            Borrowing(response_id=response.id, checkpoint="sft", set_id=row.id, method="bm25", shifted=3, found=1)
        )
    refused = researcher.post(f"/tuning-sets/{row.id}/delete", headers=htmx)
    assert refused.status_code == 409
    assert "1 stored measurement of borrowing" in refused.text
    assert rows_of(database) == 120
    assert researcher.post(f"/tuning-sets/{row.id}/delete", data={"confirm": "yes"}).status_code == 303
    assert [rows_of(database, table) for table in (TuningSet, TuningInstance, TuningSetUse, Borrowing)] == [0] * 4
    places = places_of(settings)
    assert list(places.folder.iterdir()) == []
    assert list(places.indexes.iterdir()) == []


def held(monkeypatch):
    """Stop every import before its first row, until the event is set."""
    reached, go = threading.Event(), threading.Event()
    original = importing._check

    def slow(*args):
        facts = original(*args)
        reached.set()
        assert go.wait(WAIT_S)
        return facts

    monkeypatch.setattr(importing, "_check", slow)
    return reached, go


def test_an_import_under_way_shows_its_progress_and_nothing_else(researcher, database, monkeypatch, htmx):
    reached, go = held(monkeypatch)
    set_id = set_id_of(send(researcher, jsonl(records(120))))
    assert reached.wait(WAIT_S)
    url = f"/tuning-sets/{set_id}"
    for path in (url, f"{url}/progress", "/tuning-sets"):
        response = researcher.get(path, headers=htmx)
        assert response.status_code == 200
        assert f'hx-get="{url}/progress"' in response.text
    assert researcher.get(f"{url}/instances/0", headers=htmx).status_code == 404
    assert researcher.post(f"{url}/delete", headers=htmx).status_code == 409
    assert researcher.post(f"{url}/retry", headers=htmx).status_code == 409
    same = send(researcher, jsonl(records(120)), headers=htmx)
    assert same.status_code == (422 if htmx else 409)
    assert "is being imported" in same.text
    go.set()
    assert ended(database, set_id).state is ImportState.READY
    after = researcher.get(f"{url}/progress", headers=htmx | {"HX-Current-URL": f"http://testserver{url}"})
    assert after.headers.get("HX-Refresh") == ("true" if htmx else None)
    if htmx:
        assert "ready" in researcher.get(f"{url}/progress", headers=htmx).text
    else:
        assert after.headers["location"] == url


def test_a_restart_ends_an_import_in_words_and_it_can_be_tried_again(researcher, database, settings, app, monkeypatch):
    imports = app.state.imports
    monkeypatch.setattr(imports, "start", lambda set_id: None)
    set_id = set_id_of(send(researcher, jsonl(records(1200))))
    with writing(database) as session:
        row = session.get(TuningSet, set_id)
        session.add_all(
            TuningInstance(set_id=set_id, position=at, instance_id=str(at), instruction="?", answer="!")
            for at in range(700)
        )
        row.state, row.done = ImportState.READING, 10
    monkeypatch.undo()
    restarted = Imports(database, places_of(settings), app.state.engines)
    row = ended(database, set_id)
    assert (row.state, row.message) == (ImportState.FAILED, importing.STOPPED)
    assert rows_of(database) == 0
    assert "Try again" in researcher.get(f"/tuning-sets/{set_id}").text
    assert researcher.post(f"/tuning-sets/{set_id}/retry").status_code == 303
    assert ended(database, set_id).state is ImportState.READY
    assert rows_of(database) == 1200
    restarted.close()


def test_a_lost_word_file_is_made_again_at_the_next_start(researcher, database, settings, app):
    row = imported(researcher, database)
    places = places_of(settings)
    places.words(row.id).unlink()
    # Until then the letters are looked for.
    assert "these hold the letters" in researcher.get(f"/tuning-sets/{row.id}?q=kettle").text
    restarted = Imports(database, places, app.state.engines)
    restarted._worker.shutdown(wait=True)
    assert "120 instances" in researcher.get(f"/tuning-sets/{row.id}?q=kettle").text


def test_closing_the_server_stops_an_import_and_says_so(database, settings, app, researcher, monkeypatch):
    reached, go = held(monkeypatch)
    set_id = set_id_of(send(researcher, jsonl(records(1200))))
    assert reached.wait(WAIT_S)
    closing = threading.Thread(target=app.state.imports.close)
    closing.start()
    app.state.imports._stopping.wait(WAIT_S)
    go.set()
    closing.join(WAIT_S)
    row = ended(database, set_id)
    assert (row.state, row.message) == (ImportState.FAILED, importing.STOPPED)
    assert rows_of(database) == 0


def test_an_unforeseen_failure_is_told_and_leaves_nothing(researcher, database, monkeypatch):
    def burst(*args, **options):
        msg = "disk on fire"
        raise OSError(msg)

    monkeypatch.setattr(importing.words, "build_words", burst)
    row = imported(researcher, database)
    assert row.state is ImportState.FAILED
    assert "the server's log has the details" in row.message
    assert rows_of(database) == 0
    monkeypatch.undo()
    researcher.post(f"/tuning-sets/{row.id}/retry")
    assert ended(database, row.id).state is ImportState.READY
