import csv
import io
from urllib.parse import urlencode

import pytest
from bs4 import BeautifulSoup
from sqlmodel import delete, select

from app.db import reading, writing
from app.find import upkeep
from app.find.search import PAGE
from app.shift.lexicon import shipped
from app.tokens.lexicon import current_lexicon
from models import Lexicon, Response, Trace, TraceAggregate
from tests.factories import make_study
from tests.web.find_help import add_arm, make_items, read, store

WORDS = ["Sure", ",", " the", " kettle", " boils", " fast", ".", "\n"]
EARLY = [9, 1, 1, 1, 1, 1, 1, 1]
LATE = [1, 1, 1, 1, 1, 20, 1, 1]
BOTH = [9, 1, 2, 1, 1, 50, 1, 1]


@pytest.fixture
def shown(database, alice):
    """A study of three prompts: lft shifts early, sft late or at both ends."""
    with writing(database) as session:
        study = make_study(session, owner=alice)
        items = make_items(session, study, ["Why is the sky blue?", "Name two rivers.", "What is a 100% kettle?"])
        lft = add_arm(session, study, "lft", [(item, (WORDS, EARLY)) for item in items])
        sft = add_arm(session, study, "sft", zip(items, [(WORDS, LATE), (WORDS, BOTH), (WORDS, LATE)], strict=True))
        return study, lft, sft


def page(client, path="/traces", htmx=None, **query):
    answer = client.get(f"{path}?{urlencode(query, doseq=True)}", headers=htmx or {})
    assert answer.status_code == 200, answer.text
    return BeautifulSoup(answer.text, "html.parser")


def hits(soup):
    return [link["href"].split("/")[2].partition("?")[0] for link in soup.select(".find-text a")]


def test_without_a_source_the_page_says_where_to_look(researcher, htmx, shown):
    soup = page(researcher, htmx=htmx)
    assert "Choose where to look" in soup.get_text()
    assert [option["value"] for option in soup.select("#source option")] == ["", f"study:{shown[0].id}", "mine"]


def test_responses_are_sorted_and_link_to_themselves(researcher, htmx, shown):
    study, lft, sft = shown
    soup = page(researcher, htmx=htmx, source=f"study:{study.id}", sort="max_base_rank")
    # Largest base ranks: 50, then 20 twice, then 9 three times.
    found = hits(soup)
    assert found[0] == sft[1]
    assert set(found[1:3]) == {sft[0], sft[2]}
    assert set(found[3:]) == set(lft)
    values = [value.get_text(strip=True) for value in soup.select(".find-value .num")]
    assert values == ["50", "20", "20", "9", "9", "9"]
    assert soup.select_one(".find-text a")["href"].endswith("?checkpoint=sft&base_prompt=same_ids")
    assert soup.select_one(".find-bar svg")["aria-label"] == "5 unshifted, 1 marginal, 2 shifted of 8 tokens"
    low = page(researcher, htmx=htmx, source=f"study:{study.id}", sort="max_base_rank", order="low")
    assert set(hits(low)[:3]) == set(lft)


def test_filters_name_a_shift_pattern_and_the_chart_shows_where_the_hits_lie(researcher, htmx, shown):
    study, _, sft = shown
    query = {"source": f"study:{study.id}", "by": ["late_shift_share", "content_shifted"]}
    # Of the words only " fast" is content when shifted; it stands in the second half.
    soup = page(researcher, htmx=htmx, **query, min=["100", "1"], max=["", ""])
    assert set(hits(soup)) == {sft[0], sft[2]}
    assert "2 of 6 responses" in soup.get_text()
    counts = [[int(cell.get_text()) for cell in row.select(".num")] for row in soup.select("details tbody tr")]
    assert [sum(column) for column in zip(*counts, strict=True)] == [6, 2]
    assert len(soup.select(".find-chart .tick")) == 1
    half = page(researcher, htmx=htmx, **query, min=["50", ""], max=["50", ""])
    assert hits(half) == [sft[1]]
    nothing = page(researcher, htmx=htmx, **query, min=["", "7"], max=["", ""])
    assert "Nothing matches" in nothing.get_text()


def test_text_is_searched_in_prompts_and_responses_and_wildcards_are_letters(researcher, htmx, shown):
    study, lft, sft = shown
    source = f"study:{study.id}"
    assert set(hits(page(researcher, htmx=htmx, source=source, q="RIVERS"))) == {lft[1], sft[1]}
    assert len(hits(page(researcher, htmx=htmx, source=source, q="kettle boils"))) == 6
    assert set(hits(page(researcher, htmx=htmx, source=source, q="100%"))) == {lft[2], sft[2]}
    assert hits(page(researcher, htmx=htmx, source=source, q="b_ils")) == []


def test_a_signed_measure_is_sorted_by_magnitude_with_its_sign(researcher, database, alice, htmx):
    with writing(database) as session:
        study = make_study(session, owner=alice)
        items = make_items(session, study, ["One", "Two"])
        add_arm(session, study, "sft", [(item, (WORDS, EARLY)) for item in items])
        # A second arm whose tokens base liked better: difference -3 - (-1) = -2 ... -9 everywhere.
        arm = add_arm(session, study, "tame", [])
        assert arm == []
    with writing(database) as session:
        row = session.exec(select(TraceAggregate)).first()
        row.peak_logprob_difference = -30.0
        session.add(row)
    query = {"source": f"study:{study.id}", "sort": "peak_logprob_difference"}
    soup = page(researcher, htmx=htmx, **query, order="far")
    # The other peak: -0.25 - (-9) = +8.75.
    assert [value.get_text(strip=True) for value in soup.select(".find-value .num")] == [
        "\N{MINUS SIGN}30.000 nats",
        "+8.750 nats",
    ]
    assert soup.select(".bar-low")
    assert soup.select(".bar-high")
    assert soup.select_one(".find-chart .zero")
    assert "highest" in page(researcher, htmx=htmx, **query).select_one("#order option[selected]").get_text()


def test_pages_follow_each_other_without_gaps_or_repeats(researcher, database, alice, htmx):
    with writing(database) as session:
        study = make_study(session, owner=alice)
        items = make_items(session, study, [f"Prompt {at}" for at in range(2 * PAGE + 3)])
        expected = add_arm(session, study, "sft", [(item, (WORDS, EARLY)) for item in items])
    url = f"/traces?source=study:{study.id}"
    seen = []
    while url and len(seen) <= len(expected):
        soup = BeautifulSoup(researcher.get(url, headers=htmx).text, "html.parser")
        seen += hits(soup)
        url = (soup.select_one("a[rel=next]") or {}).get("href")
    assert len(seen) == len(expected)
    assert set(seen) == set(expected)
    beyond = page(researcher, htmx=htmx, source=f"study:{study.id}", after="-1.0,zzz")
    assert "There is nothing after this" in beyond.get_text()


def test_what_cannot_be_used_is_named_and_left_out(researcher, htmx, shown):
    soup = page(
        researcher,
        htmx=htmx,
        source=f"study:{shown[0].id}",
        sort="nonsense",
        order="far",
        arm="nobody",
        after="x,y",
        base_prompt="?",
        by=["first_shift_at", "n", "unknown"],
        min=["half", "9", "1"],
        max=["", "2", ""],
    )
    said = soup.get_text()
    assert "First shift at: 'half' is not a number; write one in per cent." in said
    assert "Length: nothing is at least 9 and at most 2." in said
    assert len(hits(soup)) == 6


def test_a_response_without_the_number_is_counted_and_not_ranked(researcher, database, alice, htmx):
    with writing(database) as session:
        study = make_study(session, owner=alice)
        items = make_items(session, study, ["One", "Two", "Three"])
        answers = [(WORDS, EARLY), (WORDS, [1] * 8), ([], [])]
        ids = add_arm(session, study, "sft", zip(items, answers, strict=True))
    soup = page(researcher, htmx=htmx, source=f"study:{study.id}", sort="first_shift_at")
    assert hits(soup) == ids[:1]
    assert "2 more have no such number, because no token of it is shifted" in soup.get_text()
    assert len(hits(page(researcher, htmx=htmx, source=f"study:{study.id}", sort="n"))) == 3


def test_another_base_prompt_is_another_search(researcher, database, alice, htmx):
    with writing(database) as session:
        study = make_study(session, owner=alice)
        (item,) = make_items(session, study, ["One"])
        (id_,) = add_arm(session, study, "sft", [(item, (WORDS, EARLY))])
        response = session.get_one(Response, id_)
        read(session, response, LATE, checkpoint="sft", base_prompt="plain")
        read(session, response, LATE, checkpoint="lft")
    source = f"study:{study.id}"
    assert len(hits(page(researcher, htmx=htmx, source=source))) == 1
    plain = page(researcher, htmx=htmx, source=source, base_prompt="plain", sort="max_base_rank")
    assert plain.select_one(".find-value .num").get_text() == "20"
    assert "No traces here" in page(researcher, htmx=htmx, source=source, base_prompt="few_shot").get_text()


@pytest.mark.parametrize("path", ["/traces", "/traces/types", "/traces/table"])
def test_a_study_of_somebody_else_is_not_there(stranger, shown, htmx, path):
    for key in (f"study:{shown[0].id}", "study:none", "file:none", "what"):
        assert stranger.get(f"{path}?source={key}", headers=htmx).status_code == 404
    assert "Kettles" not in stranger.get(path, headers=htmx).text


def test_annotators_see_none_of_it(annotator, htmx):
    for path in ("/traces", "/traces/types", "/traces/table", "/traces/files", "/lexicon", "/responses/x/shifted"):
        assert annotator.get(path, headers=htmx).status_code == 403


def test_own_comparisons_can_be_searched(researcher, database, alice, htmx):
    soup = page(researcher, htmx=htmx, source="mine")
    assert "No traces here" in soup.get_text()


def test_token_types_of_one_arm_with_rates_and_examples(researcher, htmx, shown):
    study, _, sft = shown
    soup = page(researcher, "/traces/types", htmx=htmx, source=f"study:{study.id}", arm="sft")
    rows = [
        [cell.get_text(" ", strip=True) for cell in row.select("th, td")] for row in soup.select(".find-types tbody tr")
    ]
    # " fast" is shifted in all three answers, "Sure" in one of three.
    assert rows[0][:5] == [rows[0][0], "content", "3 of 3", "100.0 %", "43.9 to 100.0"]
    assert rows[0][0].startswith("␣fast")
    assert rows[1][0].startswith("Sure")
    assert rows[1][1:5] == ["initiation", "1 of 3", "33.3 %", "6.1 to 79.2"]
    example = soup.select_one(".find-examples a")
    assert example["href"].split("/")[2].partition("?")[0] in sft
    assert example["href"].endswith("&pin=0-5")
    only = page(researcher, "/traces/types", htmx=htmx, source=f"study:{study.id}", arm="sft", category="style")
    assert "No shifted tokens" in only.get_text()
    by_rate = page(researcher, "/traces/types", htmx=htmx, source=f"study:{study.id}", arm="sft", order="rate")
    assert "at least 5 tokens" in by_rate.get_text()


def test_the_table_gives_rates_with_intervals_and_paired_differences(researcher, htmx, shown):
    study, *_ = shown
    soup = page(researcher, "/traces/table", htmx=htmx, source=f"study:{study.id}")
    arms, differences = soup.select("table.find-rates")
    cells = [[cell.get_text(" ", strip=True) for cell in row.select("td")] for row in arms.select("tbody tr")]
    # lft: one of 8 tokens shifted, the first; every prompt alike, so the interval has no width.
    assert cells[0] == ["Whole response", "87.5 % 87.5 to 87.5", "0.0 % 0.0 to 0.0", "12.5 % 12.5 to 12.5", "24", "3"]
    assert cells[1][3] == "100.0 % 100.0 to 100.0"
    assert cells[2][3] == "0.0 % 0.0 to 0.0"
    # sft: 1, 2 and 1 shifted of 8 each.
    assert cells[3][3].startswith("16.7 % ")
    assert cells[3][4:] == ["24", "3"]
    row = differences.select_one("tbody tr")
    assert row.select_one("th").get_text(" ", strip=True) == "lft minus sft"
    # 3/24 - 4/24 = -4.2 points.
    assert row.select("td")[3].get_text(" ", strip=True).startswith("\N{MINUS SIGN}4.2 ")


def test_the_table_comes_as_csv_with_seed_and_draws(researcher, shown):
    study, *_ = shown
    answer = researcher.get(f"/traces/table?source=study:{study.id}&format=csv")
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(rows) == 27
    first = rows[2]
    assert (first["arm"], first["part"], first["class"], first["rate"]) == ("lft", "whole", "shifted", "0.125")
    assert (first["draws"], first["tokens"], first["prompts"]) == ("2000", "24", "3")
    assert {row["minus_arm"] for row in rows} == {"", "sft"}


def test_what_has_no_interval_says_why(researcher, database, alice, htmx):
    with writing(database) as session:
        study = make_study(session, owner=alice)
        one, two = make_items(session, study, ["One", "Two"])
        add_arm(session, study, "lft", [(one, (["a"], [9]))])
        add_arm(session, study, "sft", [(two, (["a"], [9]))])
    said = page(researcher, "/traces/table", htmx=htmx, source=f"study:{study.id}").get_text(" ", strip=True)
    assert "one prompt: its own variation says nothing of other prompts" in said
    # One token has no last 95 %.
    assert "nothing to divide by" in said
    assert "no prompt was answered by both arms" in said


def test_the_most_shifted_tokens_of_a_response_by_category(researcher, database, htmx):
    with writing(database) as session:
        response = store(session, WORDS, [9, 4, 7, 1, 1, 900, 1, 5])
    answer = researcher.get(f"/responses/{response.id}/shifted", headers=htmx)
    soup = BeautifulSoup(answer.text, "html.parser")
    assert ("<html" in answer.text) == (not htmx)
    groups = {
        section.select_one("h3").get_text(" ", strip=True): [
            [cell.get_text(strip=True) for cell in row.select("th, td")] for row in section.select("tbody tr")
        ]
        for section in soup.select(".find-groups section")
    }
    assert groups == {
        "Response initiation 20 %": [["Sure", "9", "+8.75", "0.800"]],
        "Style and discourse 20 %": [["␣the", "7", "+6.75", "0.600"]],
        "Format 40 %": [["⏎", "5", "+4.75", "0.400"], [",", "4", "+3.75", "0.300"]],
        "Content 20 %": [["␣fast", "900", "+899.75", "89.900"]],
    }
    link = soup.select_one("[data-token-link]")
    assert link["data-token-link"] == "0"
    assert link["href"] == f"/responses/{response.id}?checkpoint=sft&base_prompt=same_ids&pin=0-0"


def test_shifted_tokens_by_another_reading_or_none(researcher, database, htmx):
    with writing(database) as session:
        response = store(session, WORDS, [1] * 8)
        read(session, response, EARLY, checkpoint="lft")
    url = f"/responses/{response.id}/shifted"
    assert "None of its 8 tokens is shifted, as sft reads it" in researcher.get(url, headers=htmx).text
    assert "1 of 8 tokens are shifted, as lft reads it" in researcher.get(f"{url}?checkpoint=lft", headers=htmx).text
    assert researcher.get(f"{url}?checkpoint=who", headers=htmx).status_code == 404
    assert researcher.get("/responses/none/shifted", headers=htmx).status_code == 404
    with writing(database) as session:
        session.execute(delete(TraceAggregate))
        session.execute(delete(Trace))
    assert "No checkpoint has read this response yet" in researcher.get(url, headers=htmx).text


def test_model_text_stays_text(researcher, database, alice, htmx):
    evil = ["<script>", "alert(1)", "</script>", "&amp;"]
    with writing(database) as session:
        study = make_study(session, owner=alice)
        (item,) = make_items(session, study, ["<b>bold</b>"])
        (id_,) = add_arm(session, study, "sft", [(item, (evil, [9, 9, 9, 9]))])
    for path in ("/traces", "/traces/types", "/traces/table", f"/responses/{id_}/shifted"):
        text = researcher.get(f"{path}?source=study:{study.id}", headers=htmx).text
        assert "<script>alert" not in text
        assert "<b>bold" not in text


def test_traces_without_an_aggregate_are_summed_up_on_first_use(researcher, database, shown, monkeypatch):
    monkeypatch.setattr(upkeep, "CHUNK", 2)
    with writing(database) as session:
        before = {row.trace_id: row.model_dump() for row in session.exec(select(TraceAggregate))}
        session.execute(delete(TraceAggregate))
    soup = page(researcher, source=f"study:{shown[0].id}")
    assert "0 of 6" in soup.select_one("#find-progress").get_text()
    assert soup.select_one("#find-progress")["hx-get"] == "/traces/progress"
    with reading(database) as session:
        after = {row.trace_id: row.model_dump() for row in session.exec(select(TraceAggregate))}
    assert after == before
    done = researcher.get("/traces/progress", headers={"HX-Request": "true"})
    assert done.headers["HX-Refresh"] == "true"
    assert page(researcher, source=f"study:{shown[0].id}").select_one("#find-progress") is None


def test_a_damaged_trace_keeps_nothing_else_from_being_summed_up(researcher, database, shown):
    with writing(database) as session:
        session.execute(delete(TraceAggregate))
        trace = session.exec(select(Trace)).first()
        trace.tokens = b"\x01damaged"
        session.add(trace)
    page(researcher, source=f"study:{shown[0].id}")
    assert len(hits(page(researcher, source=f"study:{shown[0].id}"))) == 5


def lexicon_form(**changes):
    return {name: "\n".join(entries) for name, entries in shipped().as_dict().items()} | changes


def test_an_edited_lexicon_changes_the_shares_and_can_be_restored(researcher, database, shown, htmx):
    study, _, sft = shown
    saved = researcher.post("/lexicon", data=lexicon_form(style="The\nfast"), headers=htmx)
    assert (saved.status_code, saved.headers["location"]) == (303, "/lexicon")
    with reading(database) as session:
        words = current_lexicon(session)
    assert words.style == {"the", "fast"}
    soup = page(researcher, "/lexicon", htmx=htmx)
    assert f"version {words.sha256[:8]}" in soup.get_text()
    # The page that showed the new version set the shares to be worked out again: " fast" is no content word now.
    found = page(researcher, htmx=htmx, source=f"study:{study.id}", by="content_shifted", min="1", max="")
    assert hits(found) == []
    assert words.sha256[:8] in found.get_text()
    restored = researcher.post("/lexicon", data={"restore": shipped().sha256}, headers=htmx)
    assert restored.status_code == 303
    assert "version shipped" in page(researcher, "/lexicon", htmx=htmx).get_text()
    again = page(researcher, htmx=htmx, source=f"study:{study.id}", by="content_shifted", min="1", max="")
    assert set(hits(again)) == set(sft)
    with reading(database) as session:
        assert len(session.exec(select(Lexicon)).all()) == 2


def test_an_unusable_lexicon_names_its_lines_and_stores_nothing(researcher, database, htmx):
    sent = researcher.post("/lexicon", data=lexicon_form(style="the\n\n4ever", format="{letters}"), headers=htmx)
    assert sent.status_code == 422
    said = BeautifulSoup(sent.text, "html.parser")
    assert "style, line 3: '4ever' is not a word" in said.get_text()
    assert "format, line 1: '{letters}' is no class of characters" in said.get_text()
    assert said.select_one("#style").get_text().strip() == "the\n\n4ever".strip()
    assert researcher.post("/lexicon", data={"restore": "0" * 64}, headers=htmx).status_code == 404
    with reading(database) as session:
        assert session.exec(select(Lexicon)).all() == []


def test_saving_the_lexicon_in_force_adds_no_version(researcher, database):
    assert researcher.post("/lexicon", data=lexicon_form()).status_code == 303
    with reading(database) as session:
        assert session.exec(select(Lexicon)).all() == []
