"""The page reads the database faster than the export does, and holds exactly what the export's rows hold."""

import json
import math
from dataclasses import fields

import numpy as np
import pytest
from sqlmodel import select

from app.cells import UNKNOWN_MS
from app.db import reading, writing
from app.results.export import COLUMNS
from app.results.queries import table_rows
from app.results.reading import read_tables
from app.results.report.coded import Coded
from app.results.report.columns import USED
from app.results.report.found import found
from app.results.report.tables import asked_of, tables_of_rows
from models import Exclusion, Revision, Study
from models.base import now
from tests.web.results_help import everything
from tests.web.test_recompute import recompute, unpacked


@pytest.fixture
def study(database, alice):
    study = everything(database, alice)
    with writing(database) as session:
        session.add(Exclusion(study_id=study.id, rule="min_active", settings={"seconds": 14}, created_at=now()))
        # Revisions are only ever added: a few judgments get a later one, whose time is unknown.
        for one in session.exec(select(Revision).where(Revision.kind == "submitted").limit(5)).all():
            later = {"id": f"later-{one.id}"[:32], "number": 90, "idempotency_key": "later", "active_ms": UNKNOWN_MS}
            session.add(Revision(**one.model_dump() | later))
    return study


def same(one, other):
    for field in fields(one):
        mine, theirs = getattr(one, field.name), getattr(other, field.name)
        if isinstance(mine, Coded):
            assert mine.names == theirs.names, field.name
            mine, theirs = mine.codes, theirs.codes
        assert np.array_equal(np.asarray(mine), np.asarray(theirs)), field.name


def test_the_fast_readers_hold_what_the_rows_of_the_export_hold(database, study):
    with reading(database) as session:
        kept = session.get(Study, study.id)
        fast = read_tables(session, kept)
        rows = {table: list(table_rows(session, kept, table)) for table in USED}
        asked = asked_of(kept.questions)
    for row in rows["exclusions"]:
        row["revoked_at"] = "revoked" if row["revoked_at"] else ""
    slow = tables_of_rows(rows, fast.texts)
    for name in ("judgments", "ratings", "spans", "shown", "accepted"):
        same(getattr(fast, name), getattr(slow, name))
    assert (fast.gold, fast.recognised, fast.rules, fast.asked) == (slow.gold, slow.recognised, slow.rules, asked)
    assert len(fast.judgments) > 20
    assert np.count_nonzero(fast.ratings.values) > 200
    assert len(fast.accepted.judgment) > 40
    assert fast.judgments.excluded.any()
    assert (fast.judgments.active_ms == -1).any()
    assert len(fast.shown.judgment) > 100
    assert len(fast.spans.start) > 20


def test_every_column_used_is_a_column_of_the_export():
    for table, columns in USED.items():
        assert set(columns) <= {column.name for column in COLUMNS[table]}, table


def test_a_study_with_traces_and_evidence_is_recomputed_too(database, study, tmp_path):
    folder = unpacked(database, study, tmp_path)
    done = recompute(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    numbers = json.loads((folder / "results.json").read_text())
    assert numbers["causal.sft.rate"] > numbers["causal.lft.rate"]
    assert numbers["shift.sft.shifted.all.inside_with"] > 0


def test_the_order_of_rows_changes_no_number(database, study):
    with reading(database) as session:
        kept = session.get(Study, study.id)
        texts = read_tables(session, kept).texts
        rows = {table: list(table_rows(session, kept, table)) for table in USED}
    forth = found(tables_of_rows(rows, texts)).flat()
    back = found(tables_of_rows({table: some[::-1] for table, some in rows.items()}, texts)).flat()
    assert forth == back


def test_no_number_is_nan_or_endless(database, study):
    with reading(database) as session:
        numbers = found(read_tables(session, session.get(Study, study.id))).flat()
    assert all(math.isfinite(value) for value in numbers.values() if not isinstance(value, dict))
    assert all(value["reason"] for value in numbers.values() if isinstance(value, dict))
