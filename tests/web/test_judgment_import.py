"""Judgments made elsewhere: checked by row, imported whole or not at all, marked as imported, never twice."""

import csv
import io
import json
import os
import subprocess
import sys

import pytest
from sqlmodel import func, select

from app.cells import raw_cell
from app.db import reading, snapshot, writing
from app.results.queries import iter_table
from app.settings import ROOT
from models import Membership, Presentation, Revision, Study, StudyEvent, StudyState, User
from tests.factories import fill_study, make_study
from tests.web.bundle_help import HOSTILE, L, fill
from tests.web.monitor_help import items_of, judge, person

PROMPTS = ("Why?", "Name two rivers.", "=1+1")


@pytest.fixture
def exported(database, study):
    """preferences.csv of a study with every kind of answer and hostile comments."""
    fill(database, study, prompts=PROMPTS)
    with writing(database) as session:
        one = session.get(Study, study.id)
        for number, text in enumerate(HOSTILE, start=30):
            judge(session, one, person(session, one, number), items_of(session, one)[1], L, comment=text)
    return preferences(database, study)


@pytest.fixture
def other(database, alice):
    """Another study with the same prompts, arms and texts, judged by nobody."""
    with writing(database) as session:
        one = make_study(session, owner=alice, slug="other", name="Other")
        fill_study(session, one, prompts=PROMPTS)
        return one


def preferences(database, study, file="preferences.csv"):
    with snapshot(database) as session:
        return "".join(iter_table(session, session.get_one(Study, study.id), file))


def send(client, study, text, do="import", name="p.csv", **headers):
    form = {"study_id": study.id, "do": do}
    return client.post("/studies/judgments", data=form, files={"file": (name, text)}, headers=headers)


def counts(database):
    with reading(database) as session:
        return [session.exec(select(func.count()).select_from(one)).one() for one in (Presentation, Revision, User)]


def rows(text):
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def written(some):
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, some[0])
    writer.writeheader()
    writer.writerows(some)
    return file.getvalue()


def alike(text):
    """The rows without what belongs to one study alone, and without what the file does not carry."""
    own = {"study_id", "item_id", "presentation_id", "first_preference", "excluded", "exclusion_reason"}
    return sorted(tuple((key, value) for key, value in row.items() if key not in own) for row in rows(text))


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_case_21_importing_our_own_export_restores_the_original(
    researcher, database, study, other, exported, form, htmx
):
    file = exported if form == "csv" else preferences(database, study, "preferences.jsonl")
    before = counts(database)
    checked = send(researcher, other, file, do="check", **htmx)
    assert checked.status_code == 200
    assert "15 judgments would be added, of 12 annotators, 12 of them new here" in checked.text
    assert counts(database) == before
    done = send(researcher, other, file, **htmx)
    assert "was imported" in done.text
    assert alike(preferences(database, other)) == alike(exported)
    assert ("<html" in done.text) is not htmx
    again = send(researcher, other, file, **htmx)
    assert "0 judgments added" in again.text
    assert "15 there already" in again.text


def test_what_is_imported_is_marked_and_nobody_can_sign_in_with_it(researcher, database, other, exported):
    send(researcher, other, exported)
    shown = rows(preferences(database, other, "presentations.csv"))
    assert {len(row["imported_from"]) for row in shown} == {64}
    with reading(database) as session:
        members = session.exec(
            select(Membership, User).join(User, User.id == Membership.user_id).where(Membership.study_id == other.id)
        ).all()
        (event,) = session.exec(select(StudyEvent).where(StudyEvent.action == "judgments imported")).all()
    assert {member.told for member, _ in members} == {"imported from p.csv"}
    assert all(user.disabled_at and user.password_hash is None for _, user in members)
    assert event.detail.startswith("p.csv: 15 judgments of 12 annotators")


def test_importing_into_the_study_it_came_from_adds_nothing(researcher, database, study, exported):
    before = counts(database)
    assert "15 there already" in send(researcher, study, exported).text
    assert counts(database) == before


WRONG = {
    "preference_raw": ("LEFT", "Row 2: preference_raw must be one of left, right, tie_good, tie_bad, cannot_judge"),
    "model_left": ("gpt", "&#39;gpt&#39; is no arm of this study, which has lft, sft"),
    "prompt": ("Who?", "its prompt is none of this study&#39;s"),
    "created_at": ("2026-03-01 09:00", "created_at is &#39;2026-03-01 09:00&#39;, and must be a moment with its zone"),
    "submitted_at": ("2020-03-01T09:00:00Z", "submitted_at is before created_at"),
    "active_ms": ("", "active_ms is missing"),
    "wall_ms": ("1e3", "wall_ms is &#39;1e3&#39;, and must be a whole number from 0 to"),
    "strength": ("4", "strength is &#39;4&#39;, and must be a whole number from 0 to 3"),
    "flagged": ("yes", "flagged is &#39;yes&#39;, and must be true or false"),
    "annotator_pid": ("", "annotator_pid is missing"),
    "response_left_sha256": ("0" * 64, "response_left_sha256 is that of another response than the study&#39;s"),
}


@pytest.mark.parametrize("column", WRONG)
def test_one_wrong_row_is_named_and_nothing_is_imported(researcher, database, other, exported, column):
    value, words = WRONG[column]
    changed = rows(exported)
    changed[0][column] = value
    if column == "prompt":
        changed[0]["item_id"] = ""
    before = counts(database)
    answer = send(researcher, other, written(changed))
    assert answer.status_code == 422
    assert words in answer.text
    assert "Row 2" in answer.text
    assert "Nothing of" in answer.text
    assert counts(database) == before


def test_two_judgments_of_one_pair_by_one_annotator_are_refused(researcher, database, other, exported):
    first = rows(exported)[0]
    answer = send(researcher, other, written([first, first]))
    assert "Row 3: it is a second judgment of what row 2 judges" in answer.text


def test_a_name_from_elsewhere_becomes_a_pseudonym(researcher, database, other, exported):
    file = exported.replace("a00000000002", "canary@example.org")
    send(researcher, other, file)
    text = preferences(database, other)
    assert "canary" not in text
    assert len({row["annotator_pid"] for row in rows(text)}) == 12
    assert "there already" in send(researcher, other, file).text


def test_a_draft_and_a_strangers_study_take_nothing(researcher, stranger, database, other, exported):
    assert send(stranger, other, exported).status_code == 404
    with writing(database) as session:
        session.get(Study, other.id).state = StudyState.DRAFT
    assert send(researcher, other, exported).status_code == 409


@pytest.mark.parametrize("file", [b"\xff\xfe", b"{", b"a,b\r\n", b"[1]", b'{"prompt": 1}', b'"', b"[" * 100_000])
def test_any_file_is_answered_in_words(researcher, database, other, exported, file):
    before = counts(database)
    assert send(researcher, other, file).status_code == 422
    assert counts(database) == before


@pytest.fixture
def run(settings, tmp_path):
    environment = os.environ | {"TUNESHIFT_DATA_DIR": str(settings.data_dir), "COLUMNS": "200"}

    def command(*arguments):
        code = "from app.cli import main; main()"
        call = [sys.executable, "-c", code, *map(str, arguments)]
        return subprocess.run(call, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)

    return command


def test_the_command_line_imports_and_converts(run, database, other, exported, tmp_path):
    path = tmp_path / "p.csv"
    path.write_text(exported, encoding="utf-8", newline="")
    done = run("judgments", "import", "other", path, "--check")
    assert "15 judgments would be added, of 12 annotators." in done.stderr
    assert run("judgments", "import", "other", path).returncode == 0
    assert alike(preferences(database, other)) == alike(exported)
    battle = {"question_id": 1, "model_a": "m", "model_b": "=n", "winner": "tie (bothbad)", "judge": "j", "turn": 1}
    (tmp_path / "b.json").write_text(json.dumps([battle]))
    done = run("judgments", "convert", tmp_path / "b.json", "--out", "-")
    assert done.stdout.replace("\r\n", "\n") == "left,right,winner,item,annotator\nm,'=n,tie,1,j\n"
    assert "Chatbot Arena or MT-bench: 1 comparisons." in done.stderr
    run("judgments", "convert", path, "--out", tmp_path / "c.csv")
    systems = json.loads(run("stats", "preference", tmp_path / "c.csv").stdout)["systems"]
    assert sorted((one["name"], one["n"]) for one in systems) == [("lft", 13), ("sft", 13)]
    done = run("judgments", "pick", path, "--models", "lft, sft", "--out", tmp_path / "part.csv")
    assert "15 rows kept, 0 of other models left out." in done.stderr
    assert "15 are there already." in run("judgments", "import", "other", tmp_path / "part.csv", "--check").stderr
    done = run("judgments", "pick", path, "--models", "lft,none", "--out", tmp_path / "part2.csv")
    assert (done.returncode, "No row names the model 'none'" in done.stderr) == (2, True)
    (tmp_path / "b.json").write_text(json.dumps([battle | {"winner": "both"}]))
    done = run("judgments", "convert", tmp_path / "b.json", "--out", tmp_path / "out.csv")
    assert done.returncode == 2
    assert "Row 1: winner is 'both'" in done.stderr
    assert not (tmp_path / "out.csv").exists()
    assert raw_cell("'=n") == "=n"
