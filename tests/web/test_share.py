"""Exports: exact, the same twice, safe in a spreadsheet and in a page."""

import csv
import gzip
import hashlib
import io
import json
import re
from base64 import b64decode, b64encode
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from app.cells import raw_cell
from app.db import reading, writing
from app.engines.protocol import Scores
from app.settings import ROOT
from app.share.bundle import bundle, inline_script
from app.share.csv_export import COLUMNS
from app.share.html_export import script_json
from app.shift.packing import unpack
from app.shift.record import token_record
from app.tokens.store import Reading, add_trace, get_response, texts_of, traces_of
from models import BasePrompt, ComparisonColumn
from tests.factories import make_response
from tests.scripted_engine import EOS, Script, ScriptedEngines
from tests.scripted_engine import scripted_engines as build_scripted_engines

HOSTILE = '=1+1\n"</script><!-- <b>\u202e☕,;\r\n'


@pytest.fixture
def scripted_engines(tmp_path: Path) -> ScriptedEngines:
    return build_scripted_engines(
        tmp_path / "tokenizer", base=Script(base_ranks=(1,)), lft=Script(text=HOSTILE), sft=Script()
    )


@pytest.fixture
def place(researcher: TestClient) -> str:
    """A finished comparison."""
    sent = {"prompt": "Why a lid?", "checkpoints": ["base", "lft"], "max_tokens": "64"}
    place = researcher.post("/compare", data=sent).headers["location"]
    researcher.get(f"/compare/{place.removeprefix('/explore/')}/stream")
    return place


@pytest.fixture
def hostile(database: Engine, place: str) -> str:
    """The answer of lft."""
    with reading(database) as session:
        column = session.get_one(ComparisonColumn, (place.removeprefix("/explore/"), 1))
        return column.response_id


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_json_holds_every_token_as_the_command_line_writes_it(
    researcher: TestClient, database: Engine, hostile: str
) -> None:
    answer = researcher.get(f"/responses/{hostile}/export.json")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-disposition"] == f'attachment; filename="tuneshift-response-{hostile}.json"'
    found = answer.json()
    assert (found["schema"], found["schema_version"], found["path"]) == (
        "tuneshift.export",
        1,
        f"/responses/{hostile}",
    )
    assert found["thresholds"] == {"unshifted": 1, "marginal": 3}
    (entry,) = found["responses"]
    with reading(database) as session:
        response = get_response(session, hostile)
        (trace,) = traces_of(session, hostile)
    assert entry["response"]["text"] == HOSTILE == response.text
    assert entry["response"]["text_sha256"] == hashlib.sha256(HOSTILE.encode()).hexdigest()
    assert (entry["response"]["token_ids"], entry["response"]["run"]) == (response.token_ids, response.run)
    (seen,) = entry["readings"]
    assert (seen["checkpoint"], seen["reference"], seen["base_prompt"]) == ("lft", "base", "same_ids")
    assert seen["prompt_ids"] == {"own": list(b"Why a lid?"), "reference": list(b"Why a lid?")}
    assert (seen["summary"]["n"], seen["summary"]["shifted"]) == (trace.n, trace.shifted)
    texts = texts_of(response)
    expected = [
        token_record(at, shift, texts[at], b"<|end|>" if shift.id == EOS else bytes([shift.id]))
        for at, shift in enumerate(unpack(trace.tokens))
    ]
    assert seen["tokens"] == json.loads(json.dumps(expected))


def test_json_of_a_comparison_holds_every_column(researcher: TestClient, place: str) -> None:
    found = researcher.get(f"{place}/export.json").json()
    assert found["comparison"]["decoding"] == {"max_tokens": 64, "temperature": 0.0, "seed": 0}
    assert (found["comparison"]["state"], found["comparison"]["fork"]) == ("done", None)
    assert [entry["column"]["checkpoint"] for entry in found["responses"]] == ["base", "lft"]
    assert [entry["column"]["state"] for entry in found["responses"]] == ["done", "done"]


def test_a_fork_is_exported_with_what_it_left(researcher: TestClient, hostile: str) -> None:
    sent = {"index": "1", "token_id": "88", "checkpoints": ["sft"], "max_tokens": "8"}
    place = researcher.post(f"/responses/{hostile}/fork", data=sent).headers["location"]
    researcher.get(f"/compare/{place.removeprefix('/explore/')}/stream")
    found = researcher.get(f"{place}/export.json").json()
    assert found["comparison"]["fork"] == {"of": hostile, "index": 1, "token_id": 88}
    branch, original = found["responses"]
    assert (branch["response"]["parent_id"], branch["response"]["fork_index"]) == (hostile, 1)
    assert original["response"]["id"] == hostile
    given = [row["given"] for row in rows_of(researcher.get(f"{place}/export.csv").text) if row["checkpoint"] == "sft"]
    assert given == ["true"] * 2 + ["false"] * 8


def test_csv_has_a_row_per_token_that_no_spreadsheet_runs(researcher: TestClient, hostile: str) -> None:
    answer = researcher.get(f"/responses/{hostile}/export.csv")
    assert answer.headers["content-type"].startswith("text/csv; charset=utf-8")
    # Two line feeds are tokens of the answer.
    assert answer.text.count("\n") == answer.text.count("\r\n") + 2
    rows = rows_of(answer.text)
    assert list(rows[0]) == [column.name for column in COLUMNS]
    assert len(rows) == len(HOSTILE.encode()) + 1
    assert "".join(json.loads(row["text_json"]) for row in rows) == HOSTILE
    assert "".join(raw_cell(row["text"]) for row in rows) == HOSTILE
    assert rows[0]["text"] == "'="
    # The third token has base rank 2 at -2 and -0.25 under the checkpoint: -0.25 - -2 = 1.75. Numbers stay numbers.
    third = rows[2]
    assert (third["base_rank"], third["class"], third["base_logprob"], third["tuned_logprob"]) == (
        "2",
        "marginal",
        "-2",
        "-0.25",
    )
    assert third["logprob_difference"] == "1.75"
    cells = [cell for row in rows for name, cell in row.items() if name not in {"text", "text_json"}]
    assert not [cell for cell in cells if cell[:1] in set("=+@\t\r") or (cell[:1] == "-" and not cell[1:2].isdigit())]


def test_every_reading_is_in_both(researcher: TestClient, database: Engine, hostile: str) -> None:
    with writing(database) as session:
        response = get_response(session, hostile)
        (own,) = traces_of(session, hostile)
        shifts = unpack(own.tokens)
        scores = Scores(shifts, "lower_bound", "bfloat16", 0.25, "scripted", "1")
        add_trace(session, response, Reading("sft", "base", BasePrompt.PLAIN, (1,), (2,), scores), lambda _: b"?")
    found = researcher.get(f"/responses/{hostile}/export.json").json()["responses"][0]["readings"]
    assert [(one["checkpoint"], one["base_prompt"], one["kl_kind"]) for one in found] == [
        ("lft", "same_ids", "exact"),
        ("sft", "plain", "lower_bound"),
    ]
    rows = rows_of(researcher.get(f"/responses/{hostile}/export.csv").text)
    assert len(rows) == 2 * len(shifts)
    assert {(row["checkpoint"], row["base_prompt"]) for row in rows} == {("lft", "same_ids"), ("sft", "plain")}


@pytest.mark.parametrize("format_", ["json", "csv", "html"])
def test_an_export_is_the_same_twice(researcher: TestClient, place: str, hostile: str, format_: str) -> None:
    for path in (place, f"/responses/{hostile}"):
        first, second = (researcher.get(f"{path}/export.{format_}").content for _ in range(2))
        assert first == second


@pytest.mark.parametrize("path", ["/responses/0000/export.json", "/explore/0000/export.csv", "{place}/export.pdf"])
def test_what_is_not_there_is_not_found(researcher: TestClient, place: str, path: str) -> None:
    assert researcher.get(path.format(place=place)).status_code == 404


def test_a_response_nobody_has_read_has_no_rows(researcher: TestClient, database: Engine) -> None:
    with writing(database) as session:
        bare = make_response(session, run={"text_lengths": [1] * 10})
    assert researcher.get(f"/responses/{bare.id}/export.json").json()["responses"][0]["readings"] == []
    assert rows_of(researcher.get(f"/responses/{bare.id}/export.csv").text) == []


def html_of(client: TestClient, path: str) -> str:
    answer = client.get(f"{path}/export.html")
    assert answer.status_code == 200, answer.text[:400]
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    return answer.text


def test_the_file_asks_for_nothing_and_allows_only_what_stands_in_it(researcher: TestClient, place: str) -> None:
    page = BeautifulSoup(html_of(researcher, place), "html.parser")
    policy = page.select_one('meta[http-equiv="Content-Security-Policy"]')["content"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    for element, rule in (("script:not([type])", "script-src"), ("style", "style-src")):
        made = [
            f"'sha256-{b64encode(hashlib.sha256(one.string.encode()).digest()).decode()}'"
            for one in page.select(element)
        ]
        assert rules[rule].split() == made
        assert made
    assert not page.select("[src], link, iframe, object, [style], [hx-get], [data-stream], [data-fork]")
    assert "connect-src" not in policy
    assert [a["href"] for a in page.select("a[href]") if not a["href"].startswith("#")] == [f"http://testserver{place}"]


def test_the_file_carries_every_panel_and_measure_and_no_markup_of_a_model(researcher: TestClient, place: str) -> None:
    text = html_of(researcher, place)
    page = BeautifulSoup(text, "html.parser")
    panels = json.loads(gzip.decompress(b64decode(page.select_one("[data-share-panels]").string)))
    assert [len(panels[column]) for column in "01"] == [43, len(HOSTILE.encode()) + 1]
    first = BeautifulSoup(panels["1"][3], "html.parser")
    assert first.select_one(".token-panel-title").get_text() == "Token 4 of lft: 1"
    measures = json.loads(page.select_one("[data-share-measures]").string)
    assert measures["1"]["measures"]["base_rank"]["values"][:4] == [1, 1, 2, 7]
    # What the model wrote stands in the page as text, and ends no element.
    # (The test's parser takes a carriage return for a space.)
    assert page.select_one('[data-column="1"] [data-tokens]').get_text() == HOSTILE.replace("\r", " ")
    assert not page.select("[data-tokens] b, [data-tokens] script")
    data = page.select_one("[data-share-measures]").string
    assert not set("<>&") & set(data)


def test_a_response_is_one_column_per_reading(researcher: TestClient, database: Engine, hostile: str) -> None:
    with writing(database) as session:
        response = get_response(session, hostile)
        (own,) = traces_of(session, hostile)
        scores = Scores(unpack(own.tokens), "exact", "float32", 0.001, "scripted", "1")
        add_trace(session, response, Reading("sft", "base", BasePrompt.PLAIN, (1,), (2,), scores), lambda _: b"?")
    page = BeautifulSoup(html_of(researcher, f"/responses/{hostile}"), "html.parser")
    assert [column["data-checkpoint"] for column in page.select("[data-column]")] == ["lft", "sft"]
    states = [state.get_text() for state in page.select("[data-state]")]
    assert states[1].endswith("base read the bare prompt")


def test_json_in_a_page_ends_no_element() -> None:
    said = {"text": "</script><!-- & \u2028\u2029 <b>"}
    written = script_json(said)
    assert json.loads(str(written)) == said
    assert not set("<>&\u2028\u2029") & set(written)


def test_the_bundler_writes_what_the_modules_mean(tmp_path: Path) -> None:
    (tmp_path / "a.js").write_text(
        'import { twice as double, ten } from "./b.js";\nimport "./c.js";\n\nlog(double(ten));\n'
    )
    (tmp_path / "b.js").write_text("export const ten = 10;\nexport function twice(n) {\n  return 2 * n;\n}\n")
    (tmp_path / "c.js").write_text('import { ten } from "./b.js";\nexport class C {}\nlog(ten);\n')
    script = bundle(tmp_path, ["a.js"])
    assert script.index('$modules["b.js"]') < script.index('$modules["c.js"]') < script.index('$modules["a.js"]')
    assert "return { ten, twice };" in script
    assert 'const { twice: double, ten } = $modules["b.js"];' in script
    assert not re.search(r"^(import|export)", script, re.MULTILINE)


@pytest.mark.parametrize(
    "code",
    [
        'import all from "./b.js";\n',
        "export default 1;\n",
        'const b = import("./b.js");\n',
        'export { a } from "./b.js";\n',
    ],
)
def test_the_bundler_refuses_what_it_does_not_understand(tmp_path: Path, code: str) -> None:
    (tmp_path / "a.js").write_text(code)
    (tmp_path / "b.js").write_text("")
    with pytest.raises(ValueError, match=r"a\.js: this form"):
        bundle(tmp_path, ["a.js"])


def test_modules_in_a_circle_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.js").write_text('import "./b.js";\n')
    (tmp_path / "b.js").write_text('import "./a.js";\n')
    with pytest.raises(ValueError, match=r"a\.js > b\.js > a\.js"):
        bundle(tmp_path, ["a.js"])


def test_what_would_end_an_element_is_not_inlined() -> None:
    for code in ("'</script>'", "'<!--'"):
        with pytest.raises(ValueError, match="cannot stand in a page"):
            inline_script(code)


def test_every_column_of_the_csv_is_documented_as_it_is() -> None:
    documented = (ROOT / "docs" / "sharing.md").read_text(encoding="utf-8")
    assert [column.name for column in COLUMNS if f"| {column.name} | {column.meaning} |" not in documented] == []


def test_a_response_without_tokens_is_a_page_too(researcher: TestClient, database: Engine) -> None:
    with writing(database) as session:
        empty = make_response(session, text="", token_ids=[], run={"text_lengths": []})
    page = BeautifulSoup(html_of(researcher, f"/responses/{empty.id}"), "html.parser")
    assert len(page.select("[data-column]")) == 1
    assert not page.select("[data-i]")
