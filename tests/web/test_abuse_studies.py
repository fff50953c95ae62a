"""Abuse of studies and their files: each test is named after the case it settles, and states what must come of it."""

import csv
import gzip
import io
import json
import tracemalloc
import zipfile
from contextlib import suppress
from urllib.parse import quote

import pytest
from bs4 import BeautifulSoup
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlmodel import func, select

from app.db import reading, writing
from app.studies import import_routes
from app.studies.read_files import read_finished, read_known
from app.studies.records import BadFileError
from app.studies.rules import BadPromptsError, prompts_text, read_prompts
from models import (
    Arm,
    Guideline,
    Item,
    ItemResponse,
    Pair,
    Response,
    Study,
    StudyEvent,
    StudyState,
)
from tests.factories import fill_study
from tests.web.judging_help import an_answer, post, take
from tests.web.setup_help import a_form, arm, dimension, fields_of, known, lines, make, question, send_file

BREAD, RIVERS = "Why does bread rise?", "Name two rivers."
MARKUP = [
    "<script>alert(1)</script>",
    "</textarea><img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "</xmp></style></script><base href=//evil>",
    "<math><mtext><style><img src=x onerror=alert(1)></style>",
    "<meta http-equiv=refresh content=0;url=//evil>",
    "<form action=//evil><input name=csrf>",
    "a\u202eb\u200bc",
]
GADGETS = [
    '<div hx-get="/logout" hx-trigger="load">x</div>',
    '<a data-hx-on:click="alert(1)">x</a>',
    "<div hx-vals='js:{a: alert(1)}' hx-post=/studies></div>",
    '<div id="preview" hx-swap-oob="true">x</div>',
]
# 7331 * 7919 = 58054189: no clock or count on a page holds these digits by chance.
PROGRAMS = ["{{7331*7919}}", "{% include 'base.html' %}", "${7331*7919}", "{{ config }}", "{{ ''.__class__ }}"]
TABLES = (Study, Item, Arm, Pair, ItemResponse, Response, Guideline, StudyEvent)


def rows(database):
    with reading(database) as session:
        return [session.exec(select(func.count()).select_from(table)).one() for table in TABLES]


def written_everywhere(text):
    """A form that says the same hostile text in every field that takes any."""
    return a_form(
        name=f"Study {text}"[:200],
        slug="hostile",
        prompts=json.dumps({"prompt": text}),
        arms=(arm("lft", name=f"one {text}"), arm("sft", name=f"two {text}")),
        dimensions=(dimension(f"d {text}"[:60], anchors=(text, text, "", "", text)),),
        questions=(question(text, choices=f"{text}\nother", why=text),),
        known_items=(known(f"known {text}", better=text, worse=f"{text} not", why=text),),
        guidelines=text,
        completion_code=text[:80],
    )


def pages_of(client, study_id, form):
    yield "preview", client.post("/studies/preview", data=form)
    yield "fragment", client.post("/studies/preview", data=form, headers={"HX-Request": "true", "HX-Target": "preview"})
    yield "refused", client.post("/studies", data=form | {"overlap": "x"})
    for path in ("/studies", f"/studies/{study_id}", f"/studies/{study_id}/setup", f"/studies/{study_id}/guidelines"):
        yield path, client.get(path)


# 16, 17, 18, 20: text that is a program elsewhere


@pytest.mark.parametrize("text", [*MARKUP, *GADGETS], ids=lambda text: text[:24])
def test_case_16_17_markup_and_gadgets_in_a_study_are_text_on_every_page(stranger, text):
    form = written_everywhere(text)
    study_id = make(stranger, **form)
    plain = a_form()
    for name, answer in pages_of(stranger, study_id, form):
        assert answer.status_code in {200, 422}, name
        assert "<" not in text or text not in answer.text, name
        page = BeautifulSoup(answer.text, "html.parser")
        assert not page.select("img, math, base, meta[http-equiv], script:not([src]), [onerror], [onload]"), name
        assert not page.select("[hx-get], [hx-vals^='js:'], form[action='//evil'], [data-hx-on\\:click]"), name
    # What the page itself swaps out of band is what it always swaps.
    fragments = [
        BeautifulSoup(answer.text, "html.parser").select("[hx-swap-oob]")
        for answer in (
            stranger.post("/studies/preview", data=sent, headers={"HX-Request": "true", "HX-Target": "preview"})
            for sent in (form, plain)
        )
    ]
    assert [[one["id"] for one in found] for found in fragments] == [["pair-choices", "work"]] * 2
    # And the text itself came through whole.
    sent = fields_of(stranger.get(f"/studies/{study_id}/setup"))
    assert sent["guidelines"] == [text]
    assert sent["known_better"] == [text]


@pytest.mark.parametrize(
    "text", ["[x](javascript:alert(1))", "[x](data:text/html,x)", "![x](//evil/x.png)", "<b>x</b>"]
)
def test_case_16_19_markdown_of_guidelines_brings_in_no_script_and_no_foreign_image(stranger, text):
    study_id = make(stranger, guidelines=text)
    for _, answer in pages_of(stranger, study_id, a_form(guidelines=text)):
        page = BeautifulSoup(answer.text, "html.parser")
        assert not page.select(".guide-prose b, .guide-prose img")
        links = [a.get("href", "") for a in page.select(".guide-prose a")]
        assert not [href for href in links if href.startswith(("javascript:", "data:"))]


@pytest.mark.parametrize("text", PROGRAMS)
def test_case_20_template_code_in_a_study_is_shown_literally(stranger, text):
    form = written_everywhere(text)
    study_id = make(stranger, **form)
    for name, answer in pages_of(stranger, study_id, form):
        main = BeautifulSoup(answer.text, "html.parser")
        assert "58054189" not in main.get_text(), name
        if name != "/studies":
            assert text in main.get_text(), name
    name = f"{text}.jsonl"
    refused = send_file(stranger, study_id, "prompts", "{oops", name=name)
    assert text.rpartition("/")[2] in BeautifulSoup(refused.text, "html.parser").get_text()


# 21, 22: cells and the structure of CSV


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "=\u0661", "\uff1d1+1", " =cmd|'/C calc'!A0"])
def test_case_21_formulas_in_imported_cells_are_kept_to_the_character(stranger, database, cell):
    buffer = io.StringIO()
    csv.writer(buffer).writerows([("prompt", "note"), (f"{cell} is this a formula?", "x")])
    study_id = make(stranger, prompts="")
    assert send_file(stranger, study_id, "prompts", buffer.getvalue(), name="p.csv").status_code == 303
    with reading(database) as session:
        assert session.exec(select(Item.prompt)).one() == f"{cell} is this a formula?"
    assert fields_of(stranger.get(f"/studies/{study_id}/setup"))["prompts"][0].count(cell.strip()) == 1


@pytest.mark.parametrize(
    ("content", "prompts"),
    [
        ('prompt\r\n"He said ""why?"""\r\n', ['He said "why?"']),
        ('prompt\r\n"two\r\nlines"\r\nnext\r\n', ["two\r\nlines", "next"]),
        ("\ufeffprompt\nWhy?\n", ["Why?"]),
        ("Why?\rHow?\r", ["Why?", "How?"]),
        ("prompt,prompt\nfirst,second\n", ["second"]),
    ],
)
def test_case_22_csv_is_read_as_it_is_written(stranger, database, content, prompts):
    study_id = make(stranger, prompts="")
    assert send_file(stranger, study_id, "prompts", content, name="p.csv").status_code == 303
    with reading(database) as session:
        assert session.exec(select(Item.prompt).order_by(Item.position)).all() == prompts


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('prompt\n"never closed', "The CSV breaks off"),
        ("prompt\na\0b\n", "Row 2 contains a NUL"),
        ('{"prompt": "\\ud800"}', "half of a surrogate pair"),
        ('prompt\n"' + "x" * 200_000 + '"\n', "field larger than field limit"),
        ("x" * 200_000, "has 200000 characters"),
        ("prompt\n" + "\n".join(f"{n}?" for n in range(10_001)), "a study takes at most 10000"),
        (b"\xff\xfep\0r\0", "is not UTF-8 text"),
    ],
)
def test_case_22_broken_structure_is_refused_by_row_and_nothing_is_kept(stranger, database, content, sentence):
    study_id = make(stranger)
    before = rows(database)
    answer = send_file(stranger, study_id, "prompts", content, name="p.csv")
    assert answer.status_code == 422
    assert sentence in BeautifulSoup(answer.text, "html.parser").get_text()
    assert rows(database) == before


# 31: uploads


def left_behind(app):
    folder = app.state.settings.data_dir / "uploads"
    return list(folder.iterdir()) if folder.exists() else []


def test_case_31_a_file_beyond_the_limit_is_refused_while_it_comes_and_leaves_nothing(
    stranger, database, app, monkeypatch
):
    monkeypatch.setattr(import_routes, "MAX_FILE_BYTES", 100_000)
    study_id = make(stranger)
    before = rows(database)
    tracemalloc.start()
    answer = send_file(stranger, study_id, "prompts", b"x" * 3_000_000)
    tracemalloc.stop()
    assert answer.status_code == 413
    assert "larger than the 97.7 KiB" in answer.text
    assert rows(database) == before
    assert left_behind(app) == []


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "C:\\boot.ini", "a/b.jsonl", "x" * 2_000, "<b>.jsonl", "nul\u202etxt"]
)
def test_case_31_a_files_name_is_a_word_and_no_path(stranger, database, app, name):
    study_id = make(stranger, prompts="")
    answer = send_file(stranger, study_id, "prompts", "Why?", name=quote(name, safe="/\\<>:. "))
    assert answer.status_code == 303
    page = stranger.get(answer.headers["location"])
    assert "<b>" not in page.text
    with reading(database) as session:
        detail = session.exec(select(StudyEvent.detail)).one()
    assert "/" not in detail
    assert "\\" not in detail
    assert len(detail) < 300
    assert left_behind(app) == []


def test_case_31_a_name_longer_than_any_header_is_refused(stranger, database, app):
    study_id = make(stranger, prompts="")
    assert send_file(stranger, study_id, "prompts", "Why?", name="x" * 50_000).status_code == 422
    with reading(database) as session:
        assert session.exec(select(Item)).all() == []
    assert left_behind(app) == []


def zip_bomb():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("p.txt", b"0" * 10_000_000)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content", [zip_bomb(), gzip.compress(b"0" * 10_000_000), b"PAR1" + b"\xff" * 64, b"\x80\x04\x95."]
)
@pytest.mark.parametrize("kind", ["prompts", "responses", "known"])
def test_case_31_archives_columns_and_pickles_are_bytes_that_are_no_text(stranger, database, app, content, kind):
    study_id = make(stranger)
    before = rows(database)
    answer = send_file(stranger, study_id, kind, content)
    assert answer.status_code == 422
    assert "is not UTF-8 text" in answer.text
    assert rows(database) == before
    assert left_behind(app) == []


@pytest.mark.parametrize(
    "content",
    [
        "[" * 100_000,
        '{"a":' * 100_000,
        '{"prompt": ' + "9" * 10_000 + "}",
        '{"prompt": NaN, "response": Infinity}',
        json.dumps({f"f{n}": n for n in range(50_000)}),
        ",".join(f"c{n}" for n in range(100_000)) + "\n1\n",
    ],
    ids=["deep list", "deep object", "long number", "no numbers", "many fields", "many columns"],
)
@pytest.mark.parametrize("kind", ["responses", "known"])
def test_case_31_shapes_that_exhaust_a_parser_are_refused_in_words(stranger, database, content, kind):
    study_id = make(stranger)
    before = rows(database)
    assert send_file(stranger, study_id, kind, content).status_code == 422
    assert rows(database) == before


def test_case_31_a_form_of_very_many_rows_is_refused(stranger, database):
    too_many = {f"arm_{name}": ["x"] * 400 for name in ("name", "checkpoint", "max_tokens", "temperature", "seed")}
    assert stranger.post("/studies", data=a_form() | too_many).status_code in {400, 422}
    assert stranger.post("/studies", data=a_form(arms=[arm("lft", name=f"a{n}") for n in range(13)])).status_code == 422
    torn = a_form() | {"arm_seed": ["0"]}
    refused = stranger.post("/studies", data=torn)
    assert refused.status_code == 422
    assert (
        "every row needs name, checkpoint, max_tokens, temperature, seed"
        in BeautifulSoup(refused.text, "html.parser").get_text()
    )
    assert rows(database) == [0] * len(TABLES)


# 33: names that reach the database


@pytest.mark.parametrize("value", ["id", "study.seed", "1; DROP TABLE study", "%27 OR 1=1", "../x", "-1"])
def test_case_33_nothing_in_an_address_or_form_names_a_column(researcher, study, value):
    before = researcher.get("/studies").text
    for path in (f"/studies?order={value}", f"/studies?sort={value}&q={value}"):
        assert researcher.get(path).text == before
    assert researcher.get(f"/studies/new?preset={value}").status_code == 200
    assert researcher.get(f"/studies/{study.id}/guidelines?version={value}").status_code in {200, 422}
    assert researcher.get(f"/studies/{quote(value, safe='')}/setup").status_code == 404
    assert researcher.post("/studies/preview", data=a_form(study_id=value)).status_code == 404


def test_case_8_fields_that_are_not_in_the_form_are_not_stored(stranger, database, alice, carol):
    study_id = make(
        stranger, state="open", version="9", guideline_version="9", created_by=alice.id, open_link_sha256="x", id="mine"
    )
    with reading(database) as session:
        study = session.get_one(Study, study_id)
        assert (study.state, study.version, study.guideline_version) == (StudyState.DRAFT, 1, 1)
        assert (study.created_by, study.open_link_sha256) == (carol.id, None)


# 40: what a researcher may do by mistake


@pytest.fixture
def judged(annotator, database, study):
    """An open study with one judgment in it."""
    with writing(database) as session:
        fill_study(session, session.get_one(Study, study.id))
    assert post(annotator, take(annotator, study), "submit", an_answer()).status_code == 200
    return study


@pytest.mark.parametrize("state", [StudyState.OPEN, StudyState.PAUSED, StudyState.CLOSED])
def test_case_40_a_study_with_judgments_is_never_deleted(researcher, database, judged, state):
    with writing(database) as session:
        session.get_one(Study, judged.id).state = state
    before = rows(database)
    answer = researcher.post(f"/studies/{judged.id}/delete", data={"confirm": "yes"})
    assert answer.status_code == 409
    assert "its judgments are kept" in BeautifulSoup(answer.text, "html.parser").get_text()
    assert "Delete this draft" not in researcher.get(f"/studies/{judged.id}").text
    assert rows(database) == before


@pytest.mark.parametrize("field", ["prompts", "seed", "arm_name", "pairing", "known_prompt", "dimension_title"])
def test_case_40_items_and_seed_of_a_judged_study_stand_and_the_reason_is_said(researcher, database, judged, field):
    before = rows(database)
    answer = researcher.post(f"/studies/{judged.id}/setup", data={"name": "Kettles", field: "other"})
    assert answer.status_code == 409
    assert "Duplicate the study to change it." in BeautifulSoup(answer.text, "html.parser").get_text()
    with reading(database) as session:
        assert session.get_one(Study, judged.id).seed == judged.seed
    assert rows(database) == before


def test_case_40_guidelines_changed_midway_are_a_version_that_the_export_tells(researcher, annotator, database, judged):
    old = judged.guidelines
    researcher.post(f"/studies/{judged.id}/setup", data={"guidelines": "Look at the sources too."})
    assert post(annotator, take(annotator, judged), "submit", an_answer()).status_code == 200
    table = researcher.get(f"/studies/{judged.id}/export/preferences.csv")
    told = [row["guideline_version"] for row in csv.DictReader(io.StringIO(table.text.removeprefix("\ufeff")))]
    assert sorted(told) == ["1", "2"]
    first = researcher.get(f"/studies/{judged.id}/guidelines?version=1")
    assert old in BeautifulSoup(first.text, "html.parser").get_text()
    with reading(database) as session:
        assert session.get_one(Study, judged.id).version == 2
        assert {event.action for event in session.exec(select(StudyEvent))} >= {"change_guidelines", "new_version"}


@pytest.mark.parametrize("kind", ["prompts", "responses", "known"])
def test_case_40_nothing_is_imported_into_a_judged_study(researcher, database, judged, kind):
    before = rows(database)
    answer = send_file(researcher, judged.id, kind, lines({"prompt": "More?", "response": "x", "model": "m"}))
    assert answer.status_code == 409
    assert rows(database) == before


def test_case_40_the_same_file_again_changes_nothing(stranger, database):
    study_id = make(stranger)
    responses = lines({"prompt": BREAD, "response": "Yeast."}, {"prompt": RIVERS, "response": "Rhine, Po."})
    assert send_file(stranger, study_id, "responses", responses, arm="lab").status_code == 303
    items = lines(known("Is water wet?"))
    assert send_file(stranger, study_id, "known", items).status_code == 303
    before = rows(database)
    for kind, content in (("responses", responses), ("known", items)):
        again = send_file(stranger, study_id, kind, content, arm="lab")
        assert again.status_code in {409, 422}, kind
        assert "already" in BeautifulSoup(again.text, "html.parser").get_text()
        assert rows(database) == before


# Any text and any form: read or refused in words, never half stored

anything = st.text(max_size=120) | st.sampled_from(["prompt\n", '{"prompt": "', '"', "[{", "\r", "\ufeff", "\0"])


@given(st.lists(anything, max_size=6).map("".join))
def test_any_text_is_a_list_of_prompts_or_refused_by_row(text):
    try:
        prompts = read_prompts(text, max_chars=100)
    except BadPromptsError:
        return
    assert prompts
    assert len(set(prompts)) == len(prompts)
    # What a page shows of them is read as the same ones.
    assert read_prompts(prompts_text(prompts), max_chars=100) == prompts


@given(st.lists(st.text(min_size=1, max_size=40).filter(str.strip), min_size=1, max_size=6, unique=True))
def test_any_prompts_come_back_from_the_text_they_are_shown_as(prompts):
    prompts = [prompt for prompt in prompts if "\0" not in prompt] or ["x"]
    assert read_prompts(prompts_text(prompts), max_chars=100) == prompts


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
fields = st.sampled_from(
    ["prompt", "response", "model", "instruction", "output", "kind", "better", "worse", "expected"]
)


@given(st.lists(st.dictionaries(fields, json_values, max_size=6) | json_values, max_size=5), st.booleans())
def test_any_records_are_read_or_refused_by_row(records, as_list):
    text = json.dumps(records) if as_list else "\n".join(map(json.dumps, records))
    for read in (
        lambda: read_finished(text, arm="a", prompts=[BREAD], max_chars=50),
        lambda: read_finished(text, arm="", prompts=[], max_chars=50),
        lambda: read_known(text, prompts=[BREAD], max_chars=50),
    ):
        with suppress(BadFileError):
            read()


hostile = st.sampled_from(
    ["", "0", "-1", "9" * 30, "1e9", "nan", "inf", "\u0663", "2030-02-30", "yes", "x" * 300, "٣", "\ud7ff"]
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.sampled_from(
            sorted(set(a_form()) - {"prompts"} | {"sample_n", "sample_overlap", "target", "ends_on", "seed"})
        ),
        hostile | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30),
        min_size=1,
        max_size=4,
    )
)
def test_any_form_is_stored_whole_or_refused_with_nothing_kept(stranger, database, over):
    before = rows(database)
    answer = stranger.post("/studies", data=a_form() | {"slug": "", "name": "Again"} | over)
    if answer.status_code == 303:
        study_id = answer.headers["location"].split("/")[2]
        assert stranger.get(f"/studies/{study_id}/setup").status_code == 200
        assert stranger.post(f"/studies/{study_id}/delete", data={"confirm": "yes"}).status_code == 303
        return
    assert answer.status_code in {409, 422}, answer.text[:500]
    page = BeautifulSoup(answer.text, "html.parser")
    # Rows that do not fit together cannot be shown again.
    assert page.select(".setup-form :is(.field-error, .banner-error)") or "Load the page again." in page.get_text()
    assert rows(database) == before
