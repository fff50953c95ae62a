"""Evidence in the export: which spans are causal, which instance is named, and a row for every instance shown."""

import json

import pytest
from sqlmodel import select

from app.db import reading, writing
from app.results.attribution import Judged, attribution
from app.results.export import TABLES
from models import Evidence, EvidenceVerdict
from tests.web.evidence_help import a_mark, ask_for_evidence, shown
from tests.web.judging_help import an_answer, page_data, post, take


@pytest.fixture
def tuning_set(database, study):
    with writing(database) as session:
        return ask_for_evidence(session, study)


@pytest.fixture
def token(tuning_set, annotator, study):
    return take(annotator, study)


@pytest.fixture
def text(annotator, token):
    return page_data(annotator, token)["texts"]["left"]


def export(client, study, table):
    answer = client.get(f"/studies/{study.id}/export/{table}")
    assert answer.status_code == 200
    return [json.loads(line) for line in answer.text.splitlines()]


def rows_of(database):
    with reading(database) as session:
        return {row.id: row for row in session.exec(select(Evidence).order_by(Evidence.place))}


def judge(client, token, *marks, base=0):
    assert post(client, token, "submit", an_answer(spans=list(marks), base_revision=base)).status_code == 200


def a_judged(*, place=1, decoy=False, verdict="borrowed"):
    return Judged(place, decoy, f"{'d' if decoy else 't'}{place}", EvidenceVerdict(verdict))


@pytest.mark.parametrize(
    ("judged", "none", "expected"),
    [
        ([], False, (None, None, None)),
        ([], True, (False, None, None)),
        ([a_judged(verdict="similar"), a_judged(place=2, verdict="unrelated")], False, (False, None, None)),
        ([a_judged(verdict="unrelated")], True, (False, None, None)),
        ([a_judged(place=3), a_judged(place=1, decoy=True)], False, (True, "t3", False)),
        ([a_judged(place=3), a_judged(place=2)], False, (True, "t2", False)),
        ([a_judged(place=4, decoy=True), a_judged(place=2, decoy=True)], False, (False, "d2", True)),
        ([a_judged(place=1, decoy=True), a_judged(place=2, verdict="similar")], False, (False, "d1", True)),
    ],
)
def test_the_instance_named_is_the_first_retrieved_one_judged_borrowed(judged, none, expected):
    columns = attribution(judged, none_of_these=none)
    assert tuple(columns) == ("causal", "evidence_instance_id", "evidence_is_decoy")
    assert tuple(columns.values()) == expected


def test_what_was_judged_is_exported_with_what_was_shown(
    researcher, annotator, study, token, text, database, tuning_set
):
    entries = shown(annotator, token, a_mark(text))
    rows = rows_of(database)
    verdicts = {one["id"]: "unrelated" if rows[one["id"]].is_decoy else "borrowed" for one in entries}
    last = entries[-1]["id"]
    given = [{"id": one, "verdict": verdict} for one, verdict in verdicts.items() if one != last]
    annotator.post(f"/judge/{token}/evidence/{last}/opened", headers={"Accept": "application/json"})
    shown(annotator, token, a_mark(text, "Whales"))
    shown(annotator, token, a_mark(text, "nobody"))
    judge(annotator, token, a_mark(text, evidence=given), a_mark(text, "Whales"))
    first, second = export(researcher, study, "hallucinations.jsonl")
    named = min((rows[one["id"]] for one in given if one["verdict"] == "borrowed"), key=lambda row: row.place)
    assert (first["causal"], first["evidence_instance_id"], first["evidence_is_decoy"]) == (
        True,
        f"i{named.position}",
        False,
    )
    assert (second["causal"], second["evidence_instance_id"], second["evidence_is_decoy"]) == (None, None, None)
    lines = export(researcher, study, "evidence.jsonl")
    assert len(lines) == 12
    assert [list(line) for line in lines] == [[column.name for column in TABLES["evidence.jsonl"]]] * 12
    own = [line for line in lines if line["start"] == first["start"]]
    assert [line["place"] for line in own] == [1, 2, 3, 4]
    for line, entry in zip(own, entries, strict=True):
        row = rows[entry["id"]]
        assert line["instance_id"] == f"i{row.position}"
        assert (line["is_decoy"], line["origin"], line["score"]) == (row.is_decoy, row.origin, row.score)
        assert line["tuning_set_sha256"] == tuning_set.sha256
        assert line["verdict"] == (None if entry["id"] == last else verdicts[entry["id"]])
        assert line["opened"] == (entry["id"] == last)
        assert (line["presentation_id"], line["side"], line["model"]) == (token, "left", first["model"])
    assert {line["marked"] for line in lines if line["start"] == text.index("Whales")} == {True}
    assert {line["marked"] for line in lines if line["start"] == text.index("nobody")} == {False}


def test_the_last_submitted_revision_is_the_one_that_counts(researcher, annotator, study, token, text, database):
    entries = shown(annotator, token, a_mark(text))
    rows = rows_of(database)
    decoy = next(one["id"] for one in entries if rows[one["id"]].is_decoy)
    judge(annotator, token, a_mark(text, evidence=[{"id": decoy, "verdict": "borrowed"}]))
    (span,) = export(researcher, study, "hallucinations.jsonl")
    assert (span["causal"], span["evidence_instance_id"], span["evidence_is_decoy"]) == (
        False, f"i{rows[decoy].position}", True,
    )  # fmt: skip
    judge(annotator, token, a_mark(text, no_evidence=True), base=1)
    post(annotator, token, "draft", an_answer(spans=[], base_revision=2))
    (span,) = export(researcher, study, "hallucinations.jsonl")
    assert (span["causal"], span["evidence_instance_id"], span["evidence_is_decoy"]) == (False, None, None)
    lines = export(researcher, study, "evidence.jsonl")
    assert {(line["verdict"], line["none_of_these"], line["marked"]) for line in lines} == {(None, True, True)}


def test_a_causal_rate_comes_out_of_the_export_alone(researcher, annotator, study, token, text, database):
    """True attribution minus decoy attribution, as docs/evidence.md defines it."""
    entries = shown(annotator, token, a_mark(text))
    rows = rows_of(database)
    true = [one["id"] for one in entries if not rows[one["id"]].is_decoy]
    decoys = [one["id"] for one in entries if rows[one["id"]].is_decoy]
    said = {true[0]: "borrowed", true[1]: "similar", decoys[0]: "unrelated", decoys[1]: "unrelated"}
    shown(annotator, token, a_mark(text, "Whales"))
    judge(
        annotator,
        token,
        a_mark(text, evidence=[{"id": one, "verdict": verdict} for one, verdict in said.items()]),
        a_mark(text, "Whales", no_evidence=True),
    )
    counted = [
        line
        for line in export(researcher, study, "evidence.jsonl")
        if line["marked"] and (line["verdict"] is not None or line["none_of_these"])
    ]
    shares = {}
    for is_decoy in (False, True):
        kind = [line for line in counted if line["is_decoy"] is is_decoy]
        shares[is_decoy] = sum(line["verdict"] == "borrowed" for line in kind) / len(kind)
    retrieved = sum(not line["is_decoy"] for line in counted)
    assert shares[False] - shares[True] == 1 / retrieved
    assert len(counted) == 8


def test_drafts_and_their_instances_are_not_exported(researcher, annotator, study, token, text):
    shown(annotator, token, a_mark(text))
    post(annotator, token, "draft", an_answer(spans=[a_mark(text)]))
    assert export(researcher, study, "evidence.jsonl") == []
