"""A researcher reads, beside each marked passage, what of the tuning set was shown and what was said of it."""

import re

from bs4 import BeautifulSoup
from sqlmodel import select

from app.db import reading, writing
from models import Evidence
from tests.web.evidence_help import a_mark, ask_for_evidence, shown
from tests.web.judging_help import an_answer, page_data, post, take


def words(tag):
    return re.sub(r"\s+", " ", tag.get_text(" ")).strip()


def test_a_judgment_shows_instances_verdicts_and_which_were_opened(researcher, annotator, database, study):
    with writing(database) as session:
        tuning_set = ask_for_evidence(session, study)
    token = take(annotator, study)
    text = page_data(annotator, token)["texts"]["left"]
    mark = a_mark(text)
    beside = shown(annotator, token, mark)
    said = [
        {"id": one["id"], "verdict": verdict} for one, verdict in zip(beside, ("borrowed", "similar"), strict=False)
    ]
    opening = f"/judge/{token}/evidence/{beside[0]['id']}/opened"
    for _ in range(2):
        assert annotator.post(opening, headers={"Accept": "application/json"}).status_code == 204
    answer = an_answer(spans=[mark | {"evidence": said}])
    assert post(annotator, token, "submit", answer).status_code == 200
    page = BeautifulSoup(researcher.get(f"/studies/{study.id}/judgments/{token}").text, "html.parser")
    rows = page.select(".monitor-instances > li")
    with reading(database) as session:
        stored = session.exec(select(Evidence).order_by(Evidence.place)).all()
    assert len(rows) == len(stored) == 4
    for at, (row, one) in enumerate(zip(rows, stored, strict=True)):
        assert row.a["href"] == f"/tuning-sets/{tuning_set.id}/instances/{one.position}"
        assert row.a.text == f"i{one.position}"
        verdict = ("borrowed", "similar, not borrowed", "no verdict", "no verdict")[at]
        kind = "decoy" if one.is_decoy else "retrieved (verbatim)"
        read = "opened 2 times" if at == 0 else "never opened"
        assert words(row) == f"{verdict} {kind}, i{one.position} : Instruction {one.position} · {read}"
        assert researcher.get(row.a["href"]).status_code == 200
    assert "none of these" not in page.text


def test_none_of_these_is_shown_as_the_answer_it_is(researcher, annotator, database, study):
    with writing(database) as session:
        ask_for_evidence(session, study)
    token = take(annotator, study)
    mark = a_mark(page_data(annotator, token)["texts"]["left"])
    shown(annotator, token, mark)
    post(annotator, token, "submit", an_answer(spans=[mark | {"no_evidence": True}]))
    page = BeautifulSoup(researcher.get(f"/studies/{study.id}/judgments/{token}").text, "html.parser")
    assert "answered none of these" in words(page.select_one(".monitor-spans"))
    assert {row.select_one(".badge").text for row in page.select(".monitor-instances > li")} == {"no verdict"}


def test_a_span_without_instances_says_nothing_of_them(researcher, annotator, database, study):
    with writing(database) as session:
        ask_for_evidence(session, study)
    token = take(annotator, study)
    mark = a_mark(page_data(annotator, token)["texts"]["left"])
    post(annotator, token, "submit", an_answer(spans=[mark]))
    page = BeautifulSoup(researcher.get(f"/studies/{study.id}/judgments/{token}").text, "html.parser")
    assert page.select_one(".monitor-spans q") is not None
    assert page.select(".monitor-instances") == []
