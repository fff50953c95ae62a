"""The other tables of an export: what is excluded and why, who judged, gold, acceptability, and the whole history."""

import csv
import io
import json
import tracemalloc
from datetime import timedelta

import pytest
from sqlmodel import select

from app.cells import raw_cell
from app.db import snapshot, writing
from app.results.queries import iter_table
from app.studies.questions import Dimension, Questions, write_questions
from models import (
    ComprehensionAttempt,
    Exclusion,
    ExitAnswer,
    ItemKind,
    Membership,
    MemberState,
    Preference,
    Presentation,
    Response,
    Revision,
    RevisionKind,
    Severity,
    Side,
    Span,
    Study,
    WithdrawalPolicy,
)
from tests.factories import add, fill_study
from tests.web.monitor_help import SKIPPED, START, gold, items_of, judge, person, shown

L, R, GOOD = Preference.LEFT, Preference.RIGHT, Preference.TIE_GOOD


def rows_of(client, study, table, query=""):
    answer = client.get(f"/studies/{study.id}/export/{table}{query}")
    assert answer.status_code == 200, answer.text
    if table.endswith(".jsonl"):
        return [json.loads(line) for line in answer.text.splitlines()]
    return [
        {name: raw_cell(cell) for name, cell in row.items()}
        for row in csv.DictReader(io.StringIO(answer.text, newline=""), strict=True)
    ]


@pytest.fixture
def filled(database, study):
    """Questions of its own, three items, a second annotator; returns that one."""
    questions = Questions(
        dimensions=(Dimension("warmth", "Warmth", ("cold", "cool", "mild", "warm", "hot")),),
        strength=True,
        acceptability=True,
    )
    with writing(database) as session:
        one = session.get(Study, study.id)
        one.questions = write_questions(questions)
        fill_study(session, one)
        return person(session, one, 2)


def test_strength_guess_acceptability_and_the_studys_own_dimensions(researcher, database, study, bob, filled):
    with writing(database) as session:
        items = items_of(session, study)
        first = judge(
            session, study, bob, items[0], L, strength=3, recognised_model=True, recognised_guess="=Kettle",
            acceptability={"left": True, "right": False}, ratings={"left": {"warmth": 5}, "right": {"warmth": 2}},
        )  # fmt: skip
        judge(session, study, bob, items[1], GOOD)
    rows = rows_of(researcher, study, "preferences.csv")
    assert [(row["strength"], row["recognised_guess"]) for row in rows] == [("3", "=Kettle"), ("", "")]
    ratings = rows_of(researcher, study, "ratings.csv")
    assert [(row["side"], row["dimension"], row["value"]) for row in ratings] == [
        ("left", "warmth", "5"),
        ("right", "warmth", "2"),
    ]
    acceptable = rows_of(researcher, study, "acceptability.csv")
    assert [(row["presentation_id"], row["side"], row["acceptable"]) for row in acceptable] == [
        (first.id, "left", "true"),
        (first.id, "right", "false"),
    ]
    assert {row["model"] for row in acceptable} == {"lft", "sft"}


def test_practice_and_gold_are_no_results(researcher, database, study, bob, filled):
    full = {"ratings": {"left": {"warmth": 1}}, "acceptability": {"left": True}}
    with writing(database) as session:
        regular = judge(session, study, bob, items_of(session, study)[0], L, **full)
        right = judge(session, study, bob, gold(session, study), R, left="worse", **full)
        wrong = judge(session, study, bob, gold(session, study, position=101, expected="tie_bad"), L, **full)
        practice = judge(session, study, bob, gold(session, study, position=102, kind=ItemKind.PRACTICE), L, **full)
        for one in (right, practice):
            revision = session.exec(select(Revision).where(Revision.presentation_id == one.id)).one()
            text = session.get_one(Response, one.left_response_id).text
            add(
                session,
                Span(
                    revision_id=revision.id, position=1, side=Side.LEFT, start=0, end=1, quote=text[:1], prefix="",
                    suffix=text[1:33], type="other", severity=Severity.MINOR,
                ),
            )  # fmt: skip
    for table in ("preferences.csv", "ratings.csv", "acceptability.csv"):
        assert {row["presentation_id"] for row in rows_of(researcher, study, table)} == {regular.id}
    assert rows_of(researcher, study, "hallucinations.jsonl") == []
    rows = rows_of(researcher, study, "gold.csv")
    assert [(row["presentation_id"], row["expected"], row["preference_raw"], row["right"]) for row in rows] == [
        (right.id, "right", "right", "true"),
        (wrong.id, "tie_bad", "left", "false"),
    ]
    kinds = {row["presentation_id"]: row["item_kind"] for row in rows_of(researcher, study, "revisions.jsonl")}
    assert kinds == {regular.id: "regular", right.id: "gold", wrong.id: "gold", practice.id: "practice"}


def test_excluded_judgments_stay_marked_with_their_rules(researcher, database, study, bob, filled):
    with writing(database) as session:
        items = items_of(session, study)
        fast = judge(session, study, bob, items[0], L, active_ms=500, recognised_model=True)
        kept = judge(session, study, bob, items[1], L)
        other = judge(session, study, filled, items[1], R)
        revoked = START + timedelta(days=1)
        for at, (rule, settings, over) in enumerate(
            [
                ("min_active", {"seconds": 1.0}, {"reason": "=too fast"}),
                ("recognised", {}, {}),
                ("annotator", {"annotator": "a00000000002"}, {"reason": "sorry", "revoked_at": revoked}),
            ]
        ):
            values = {"created_at": START + timedelta(hours=at), "created_by": study.created_by} | over
            add(session, Exclusion(study_id=study.id, rule=rule, settings=settings, **values))
    rows = {row["presentation_id"]: row for row in rows_of(researcher, study, "preferences.csv")}
    assert {key: (row["excluded"], row["exclusion_reason"]) for key, row in rows.items()} == {
        fast.id: ("true", "min_active; recognised"),
        kept.id: ("false", ""),
        other.id: ("false", ""),
    }
    found = rows_of(researcher, study, "exclusions.csv")
    assert [(row["rule"], row["settings"], row["reason"], row["judgments"], row["annotators"]) for row in found] == [
        ("min_active", '{"seconds": 1.0}', "=too fast", "1", "1"),
        ("recognised", "{}", "", "1", "1"),
        ("annotator", '{"annotator": "a00000000002"}', "sorry", "1", "1"),
    ]
    assert [row["revoked_at"] for row in found] == ["", "", "2026-03-02T09:00:00.000Z"]
    assert {row["created_by"] for row in found} == {"Alice"}
    people = {row["annotator_pid"]: row for row in rows_of(researcher, study, "annotators.csv")}
    assert {pid: (row["judgments"], row["excluded"]) for pid, row in people.items()} == {
        "a00000000001": ("2", "1"),
        "a00000000002": ("1", "0"),
    }


def test_who_withdrew_under_an_excluding_policy_counts_nowhere(researcher, database, study, bob, filled):
    with writing(database) as session:
        items = items_of(session, study)
        judge(session, study, bob, items[0], L)
        judge(session, study, filled, items[0], R)
        session.get_one(Membership, (study.id, bob.id)).state = MemberState.WITHDRAWN
    assert {row["excluded"] for row in rows_of(researcher, study, "preferences.csv")} == {"false"}
    assert rows_of(researcher, study, "exclusions.csv") == []
    with writing(database) as session:
        session.get_one(Study, study.id).withdrawal = WithdrawalPolicy.EXCLUDE
    rows = {row["annotator_pid"]: row for row in rows_of(researcher, study, "preferences.csv")}
    assert (rows["a00000000001"]["excluded"], rows["a00000000001"]["exclusion_reason"]) == ("true", "withdrawn")
    assert rows["a00000000002"]["excluded"] == "false"
    (policy,) = rows_of(researcher, study, "exclusions.csv")
    assert (policy["rule"], policy["exclusion_id"], policy["judgments"]) == ("withdrawn", "", "1")


def test_annotators_by_pseudonym_and_external_ids_only_when_asked(researcher, database, study, bob, filled):
    with writing(database) as session:
        member = session.get_one(Membership, (study.id, bob.id))
        member.external_id = "PROLIFIC-77"
        judge(session, study, bob, items_of(session, study)[0], SKIPPED)
        add(
            session,
            ExitAnswer(study_id=study.id, user_id=bob.id, recognised_model=True, recognised_guess="g", comment="bye"),
        )
        for number, passed in ((1, False), (2, True)):
            attempt = {"study_id": study.id, "user_id": bob.id, "number": number, "answers": [0], "right": 0}
            add(session, ComprehensionAttempt(**attempt, passed=passed))
    first, second = rows_of(researcher, study, "annotators.csv")
    assert (first["annotator_pid"], first["state"], first["judgments"]) == ("a00000000001", "active", "1")
    assert (first["recognised_model"], first["recognised_guess"], first["exit_comment"]) == ("true", "g", "bye")
    assert (first["comprehension_attempts"], first["comprehension_passed"], first["external_id"]) == ("2", "true", "")
    assert (second["recognised_model"], second["comprehension_attempts"], second["comprehension_passed"]) == (
        "",
        "0",
        "",
    )
    asked = rows_of(researcher, study, "annotators.csv", "?external_ids=true")
    assert [row["external_id"] for row in asked] == ["PROLIFIC-77", ""]


def test_the_history_holds_every_revision(researcher, database, study, bob, filled):
    with writing(database) as session:
        items = items_of(session, study)
        one = judge(session, study, bob, items[0], L, edit_reason="", reading={"left": 1.0, "right": 0.5})
        for number, kind, preference in ((2, RevisionKind.DRAFT, None), (3, RevisionKind.SUBMITTED, R)):
            values = {"presentation_id": one.id, "number": number, "kind": kind, "preference": preference}
            revision = add(session, Revision(**values, idempotency_key=f"attempt-{number}", app_version="0"))
        text = session.get_one(Response, one.right_response_id).text
        add(
            session,
            Span(
                revision_id=revision.id, position=1, side=Side.RIGHT, start=1, end=3, quote=text[1:3],
                prefix=text[:1], suffix=text[3:35], type="other", severity=Severity.MAJOR, note="n",
            ),
        )  # fmt: skip
        held = shown(session, study, filled, items[1])
        values = {"presentation_id": held.id, "number": 1, "kind": RevisionKind.DRAFT, "comment": "so far"}
        add(session, Revision(**values, idempotency_key="attempt-1", app_version="0"))
    rows = rows_of(researcher, study, "revisions.jsonl")
    assert [
        (row["presentation_id"], row["revision"], row["kind"], row["preference"], row["state"]) for row in rows
    ] == [
        (one.id, 1, "submitted", "left", "submitted"),
        (one.id, 2, "draft", None, "submitted"),
        (one.id, 3, "submitted", "right", "submitted"),
        (held.id, 1, "draft", None, "leased"),
    ]
    assert rows[0]["reading"] == {"left": 1.0, "right": 0.5}
    assert rows[0]["spans"] == []
    assert rows[2]["spans"] == [
        {"side": "right", "start": 1, "end": 3, "quote": text[1:3], "type": "other", "severity": "major", "note": "n"}
    ]
    assert rows[3]["annotator_pid"] == "a00000000002"


def test_a_rule_does_not_make_an_export_hold_the_study_in_memory(database, study, alice):
    with writing(database) as session:
        one = session.get_one(Study, study.id)
        fill_study(session, one, prompts=tuple(f"{n} " + "x" * 2_000 for n in range(100)))
        people = [person(session, one, n) for n in range(10, 20)]
        for item in items_of(session, one):
            for who in people:
                judge(session, one, who, item, L, comment="y" * 8_000, active_ms=1)
        add(session, Exclusion(study_id=one.id, rule="min_active", settings={"seconds": 1.0}))
    for table in ("preferences.csv", "exclusions.csv", "revisions.jsonl"):
        with snapshot(database) as session:
            one = session.get_one(Study, study.id)
            next(iter_table(session, one, table))
            tracemalloc.start()
            size = sum(map(len, iter_table(session, one, table)))
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
        # A thousand judgments of 8 to 10 kB each; rules read them 200 at a time.
        assert size > 8_000_000 or table == "exclusions.csv"
        assert peak < 5_000_000, (table, peak)


def test_presentations_that_were_never_answered_are_in_no_table(researcher, database, study, bob, filled):
    with writing(database) as session:
        shown(session, study, bob, items_of(session, study)[0])
        assert session.exec(select(Presentation)).one()
    for table in ("preferences.csv", "gold.csv", "revisions.jsonl"):
        assert rows_of(researcher, study, table) == []
