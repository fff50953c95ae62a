"""What the arms of a study borrowed: measured in the background, kept, shown with intervals, exported."""

import csv
import io
import json
import re
import time

import pytest
from bs4 import BeautifulSoup
from sqlmodel import select
from typer.testing import CliRunner

from app.cli import cli
from app.db import reading, writing
from app.errors import InvalidInputError
from app.provenance import borrowing_rows
from app.provenance.borrowing_rates import KINDS, Measured, arm_rates, differences
from app.provenance.borrowing_rows import METHOD, measure
from app.provenance.store import Indexes
from models import Borrowing, ItemResponse, TuningSet
from tests.factories import add, make_arm, make_item, make_response, make_tuning_set
from tests.patience import PATIENCE_S
from tests.web.test_sources import ANSWERS, make_scored

LFT = ("Bread rises well because warm yeast makes gas.", "Rivers always carry silt down.", "Owls sleep by day.")
SFT = (
    "We know Neil Armstrong and Buzz Aldrin on the Moon saw it.",
    "Chess began in India long ago, they say.",
    "Copper conducts heat very well indeed.",
)


def fill(database, study) -> TuningSet:
    """Give the study three items, an arm for lft and sft with scored responses, and a set both were tuned on."""
    with writing(database) as session:
        tuning_set = make_tuning_set(session, answers=ANSWERS, used_by=("lft", "sft"))
        arms = {name: make_arm(session, study=study, name=name) for name in ("lft", "sft")}
        for at in range(3):
            item = make_item(session, study=study, position=at + 1)
            for name, texts in (("lft", LFT), ("sft", SFT)):
                response = make_scored(session, texts[at], checkpoint=name, ranks=(1, 9))
                add(session, ItemResponse(item_id=item.id, arm_id=arms[name].id, response_id=response.id))
        return tuning_set


@pytest.fixture
def filled(database, study) -> TuningSet:
    return fill(database, study)


def rows(database) -> list[Borrowing]:
    with reading(database) as session:
        return list(session.exec(select(Borrowing)))


def measured(client, study, tuning_set) -> BeautifulSoup:
    """Start the measurement and wait for the page to show its figures."""
    link = f"/studies/{study.id}/borrowing"
    assert client.post(link, data={"set": tuning_set.id}).headers["location"] == f"{link}?set={tuning_set.id}"
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        soup = BeautifulSoup(client.get(link).text, "html.parser")
        if soup.select_one(".arm-rates") and not soup.select_one("progress"):
            return soup
        time.sleep(0.05)
    pytest.fail(f"the measurement did not end in {PATIENCE_S} s")


def said(soup) -> str:
    return " ".join(soup.get_text(" ").split())


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("POST", ""), ("GET", ".csv")])
def test_borrowing_is_for_the_researchers_of_a_study(anonymous, annotator, stranger, study, method, path) -> None:
    link = f"/studies/{study.id}/borrowing{path}"
    assert anonymous.request(method, link, headers={"Accept": "application/json"}).status_code == 401
    assert annotator.request(method, link).status_code == 403
    assert stranger.request(method, link).status_code == 404


def test_without_a_set_or_responses_the_page_says_what_to_do(researcher, database, study, htmx) -> None:
    link = f"/studies/{study.id}/borrowing"
    assert "No checkpoint of this study has a tuning set here." in researcher.get(link, headers=htmx).text
    assert researcher.post(link).status_code == 409
    with writing(database) as session:
        tuning_set = make_tuning_set(session)
    assert "has no responses yet" in researcher.get(f"{link}?set={tuning_set.id}", headers=htmx).text
    assert researcher.get(f"{link}?set=none", headers=htmx).status_code == 404


def test_a_measurement_fills_the_table_and_links_to_its_rows(researcher, database, study, filled) -> None:
    soup = measured(researcher, study, filled)
    table = soup.select_one(".arm-rates")
    assert [row.th.text for row in table.select("tbody tr")] == ["lft", "sft"]
    # SFT's shifted tokens all stand in one of the ten nearest of twelve answers, but for "know", "they" and "indeed".
    stored = {(row.checkpoint, row.shifted): row for row in rows(database)}
    assert len(rows(database)) == 6
    assert {row.method for row in rows(database)} == {METHOD}
    assert all(row.found <= row.shifted and 0 <= row.expected <= 1 for row in stored.values())
    assert soup.select_one(f'a[href^="/responses/"][href*="set={filled.id}"]')
    assert "Measure" not in said(soup)
    overview = BeautifulSoup(researcher.get(f"/studies/{study.id}").text, "html.parser")
    assert overview.select_one(f'nav a[href="/studies/{study.id}/borrowing"]')


def test_lft_less_sft_is_told_first_with_its_interval(researcher, study, filled) -> None:
    soup = measured(researcher, study, filled)
    table = soup.find("caption", string=lambda text: text and "Paired differences" in text).parent
    first = said(table.select_one("tbody tr"))
    assert first.startswith("lft less sft shifted")
    assert re.search(r" points \([+−]\d+\.\d to [+−]\d+\.\d\) ", first)
    assert first.endswith(" 3")


def test_the_export_has_a_row_for_each_response(researcher, database, study, filled) -> None:
    measured(researcher, study, filled)
    answer = researcher.get(f"/studies/{study.id}/borrowing.csv?set={filled.id}")
    assert answer.headers["content-disposition"] == 'attachment; filename="kettles-borrowing.csv"'
    table = list(csv.DictReader(io.StringIO(answer.text)))
    assert [(row["item_position"], row["arm"]) for row in table] == [
        (str(at), arm) for at in (1, 2, 3) for arm in ("lft", "sft")
    ]
    by_response = {row.response_id: row for row in rows(database)}
    for line in table:
        row = by_response[line["response_id"]]
        assert (int(line["shifted"]), int(line["found"])) == (row.shifted, row.found)
        assert float(line["expected"]) == row.expected
        assert line["tuning_set_sha256"] == filled.sha256
    # "Neil Armstrong and Buzz Aldrin on the Moon": 42 characters of a response of 58.
    assert [(line["verbatim_characters"], line["characters"]) for line in table if line["item_position"] == "1"] == [
        ("0", str(len(LFT[0]))),
        ("42", str(len(SFT[0]))),
    ]


def test_what_is_measured_is_kept_and_only_the_rest_is_measured(
    database, study, filled, tmp_path, scripted_engines
) -> None:
    indexes = Indexes(tmp_path / "indexes", database)

    def stop(done: int, _total: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(borrowing_rows, "_AT_ONCE", 2)
        with pytest.raises(KeyboardInterrupt):
            measure(database, indexes, scripted_engines, study.id, filled.id, on_progress=stop)
    assert len(rows(database)) == 2
    calls: list[tuple[int, int]] = []
    done = measure(
        database, indexes, scripted_engines, study.id, filled.id, on_progress=lambda *so_far: calls.append(so_far)
    )
    assert (done, calls[0], calls[-1]) == (4, (0, 4), (4, 4))
    assert measure(database, indexes, scripted_engines, study.id, filled.id, on_progress=lambda *_: None) == 0
    # A new method measures everything again, in place.
    with writing(database) as session:
        for row in session.exec(select(Borrowing)):
            row.method = "0, old"
            session.add(row)
    assert measure(database, indexes, scripted_engines, study.id, filled.id, on_progress=lambda *_: None) == 6
    assert len(rows(database)) == 6
    indexes.close()


def test_a_response_that_nobody_scored_has_a_reason_instead_of_a_number(researcher, database, study, filled) -> None:
    with writing(database) as session:
        item = make_item(session, study=study, position=9)
        arm_id = session.exec(select(ItemResponse.arm_id)).first()
        response = make_response(session, checkpoint="lft", text="Bread rises because yeast makes gas.")
        add(session, ItemResponse(item_id=item.id, arm_id=arm_id, response_id=response.id))
    soup = measured(researcher, study, filled)
    (row,) = [row for row in rows(database) if row.response_id == response.id]
    assert (row.found, row.expected, row.p_value, row.verbatim_spans) == (None, None, None, 1)
    assert row.reason
    assert row.reason in said(soup.select_one("#rows").find_next("table"))


def test_rates_pool_tokens_and_take_off_what_chance_gives() -> None:
    def one(item: str, tokens: int, found: int | None, expected: float | None) -> Measured:
        return Measured(item, dict.fromkeys(KINDS, (tokens, found, expected)), 5, 50)

    arm = arm_rates("sft", [one("a", 10, 6, 0.2), one("b", 30, 12, 0.1), one("c", 0, None, None)])
    shifted = arm.kinds["shifted"]
    # (6 + 12) / (10 + 30); (10 * 0.2 + 30 * 0.1) / 40; the difference of both; 15 of 150 characters.
    assert shifted.found.estimate == pytest.approx(18 / 40)
    assert shifted.expected == pytest.approx(5 / 40)
    assert shifted.excess.estimate == pytest.approx(13 / 40)
    assert (shifted.found.n, shifted.found.clusters, shifted.responses, arm.responses) == (40, 2, 2, 3)
    assert arm.verbatim.estimate == pytest.approx(0.1)
    (difference,) = differences({"lft": [one("a", 10, 2, 0.2)], "sft": [one("a", 10, 6, 0.2), one("b", 5, 5, 0.5)]})
    # Only item a was answered by both: 2/10 - 6/10.
    assert difference.found.estimate == pytest.approx(-0.4)
    assert difference.items == 1
    assert difference.found.low is None


def test_the_command_measures_and_writes_what_the_page_shows(
    database, study, filled, settings, scripted_engines, tmp_path, monkeypatch
) -> None:
    registry = settings.data_dir / "checkpoints.toml"
    # The scripted engines' tokenizer is all a registry needs for this; no model is asked.
    facts = {"name": "base", "role": "base", "model": str(tmp_path / "tokenizer"), "engine": "http://127.0.0.1:9/v1"}
    lines = "".join(f"{name} = {json.dumps(value)}\n" for name, value in facts.items())
    registry.write_text(f"[[checkpoint]]\n{lines}")
    monkeypatch.setenv("TUNESHIFT_DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("COLUMNS", "200")
    shown = CliRunner().invoke(cli, ["borrowing", study.slug, "--tuning-set", filled.name])
    assert shown.exit_code == 0, shown.output
    assert "lft less sft, shifted tokens: " in shown.output
    assert "(3 items)" in shown.output
    assert len(rows(database)) == 6
    written = CliRunner().invoke(cli, ["borrowing", study.slug, "--out", str(settings.data_dir / "rows.csv")])
    assert written.exit_code == 0, written.output
    assert len(list(csv.DictReader(io.StringIO((settings.data_dir / "rows.csv").read_text())))) == 6
    refused = CliRunner().invoke(cli, ["borrowing", study.slug, "--tuning-set", "nope"])
    assert isinstance(refused.exception, InvalidInputError)
    assert "There are: Kettle facts." in str(refused.exception)
