"""One stored response under any number of checkpoints and base prompts, with and without htmx."""

import asyncio
import threading
from dataclasses import dataclass

import pytest
from sqlmodel import select

from app.accounts.access import ACCESS
from app.db import writing
from app.engines.tokenizer import Tokenizer
from app.shift.packing import pack, unpack, unpack_names
from models import BasePrompt, Origin, Trace
from tests.factories import fill_study
from tests.patience import PATIENCE_S
from tests.scripted_engine import ScriptedEngines
from tests.web.responses_help import TEXT, have_read, other_tokenizer, page, readers, store, traces, words


@pytest.fixture
def scripted_engines(tmp_path) -> ScriptedEngines:
    return readers(tmp_path / "tokenizer")


@pytest.fixture
def response_id(database, alice) -> str:
    return store(database, created_by=alice.id)


def row(soup, name: str) -> str:
    return words(soup, f'[data-reader="{name}"]')


def test_checkpoints_read_a_response_they_did_not_write(researcher, database, response_id, htmx):
    answer = have_read(researcher, response_id, "base", "lft", "sft", headers=htmx)
    assert (answer.status_code, "HX-Redirect" in answer.headers) == ((204, True) if htmx else (303, False))
    assert [(t.checkpoint, t.reference, t.base_prompt) for t in traces(database, response_id)] == [
        ("base", "base", BasePrompt.SAME_IDS),
        ("lft", "base", BasePrompt.SAME_IDS),
        ("sft", "base", BasePrompt.SAME_IDS),
    ]
    soup = page(researcher, f"/responses/{response_id}", headers=htmx)
    assert soup.select_one("[data-tokens]").get_text() == TEXT
    # Own ranks over eight tokens: base 1 1 2 7, LFT 1 2, SFT 1, in turn; by class (1, 2 or 3, above).
    assert row(soup, "base").startswith("line 1 base Show the reading of base 4 2 2 ")
    assert row(soup, "lft").startswith("line 2 lft Show the reading of lft 4 4 0 ")
    assert row(soup, "sft").startswith("line 3 sft wrote it shown 8 0 0 ")
    assert "Reading shown: sft against base: scripted 1, float32, exact KL, " in words(soup, ".readings")
    # The text is coloured as its writer reads it: base ranks 1 1 2 7.
    assert [span["class"][0] for span in soup.select("[data-tokens] > [data-i]")[:4]] == [
        "shift-unshifted",
        "shift-unshifted",
        "shift-marginal",
        "shift-shifted",
    ]


def test_each_token_carries_a_line_per_reading(researcher, response_id, htmx):
    have_read(researcher, response_id, "base", "lft", "sft")
    soup = page(researcher, f"/responses/{response_id}", headers=htmx)
    lines = [" ".join(span["class"][1:]) for span in soup.select("[data-tokens] > [data-i]")[:4]]
    assert lines == ["", "l2m", "l1m", "l1s l2m"]
    assert "lanes-3" in soup.select_one("#tokens")["class"]
    assert [(lane["data-name"], lane["value"]) for lane in soup.select("[data-ranks]")] == [
        ("base", "1 1 2 7 1 1 2 7"),
        ("lft", "1 2 1 2 1 2 1 2"),
        ("sft", "1 1 1 1 1 1 1 1"),
    ]
    only = page(researcher, f"/responses/{response_id}?lane=lft", headers=htmx)
    assert [lane["data-name"] for lane in only.select("[data-ranks]")] == ["lft"]
    hide = soup.select_one('[data-reader="base"] a[href*="lane="]')["href"]
    assert hide == f"/responses/{response_id}?lane=lft&lane=sft#tokens"
    assert row(only, "lft").endswith(" –")
    assert [" ".join(s["class"][1:]) for s in only.select("[data-tokens] > [data-i]")[:4]] == ["", "l1m", "", "l1m"]


def test_a_trace_shows_its_base_too_before_base_reads_alone(researcher, response_id):
    have_read(researcher, response_id, "sft")
    soup = page(researcher, f"/responses/{response_id}")
    assert row(soup, "base").startswith("line 1 base Read with base 4 2 2 – ")
    assert row(soup, "lft") == "lft Read with lft has not read it – –"


def test_thresholds_move_lines_and_counts(researcher, response_id, htmx):
    have_read(researcher, response_id, "base", "lft", "sft")
    soup = page(researcher, f"/responses/{response_id}?unshifted=2&marginal=8", headers=htmx)
    assert [cell.get_text() for cell in soup.select("[data-rank-words]")] == ["Rank 1–2", "Rank 3–8", "Above 8"]
    assert row(soup, "base").startswith("line 1 base Show the reading of base 6 2 0 ")
    assert [" ".join(s["class"][1:]) for s in soup.select("[data-tokens] > [data-i]")[:4]] == ["", "", "", "l1m"]


def test_reading_twice_asks_once(researcher, database, response_id, scripted_engines):
    have_read(researcher, response_id, "lft")
    have_read(researcher, response_id, "lft", "lft")
    assert len(scripted_engines.engine.readings) == len(traces(database, response_id)) == 1


def test_two_people_who_read_at_once_store_one_reading(researcher, database, response_id, scripted_engines):
    scripted_engines.engine.scripts["lft"].score_pause_s = 0.3
    answers = []
    people = [
        threading.Thread(target=lambda: answers.append(have_read(researcher, response_id, "lft"))) for _ in range(3)
    ]
    for person in people:
        person.start()
    for person in people:
        person.join()
    assert [answer.status_code for answer in answers] == [303] * 3
    assert len(traces(database, response_id)) == 1


def test_a_long_reading_keeps_nobody_waiting(researcher, database, response_id, scripted_engines, monkeypatch):
    score, begun, shown = scripted_engines.engine.score, threading.Event(), threading.Event()

    async def long(*asked, **options):
        begun.set()
        # Until the page was shown, or so long that it was not while this was read.
        assert await asyncio.to_thread(shown.wait, PATIENCE_S)
        return await score(*asked, **options)

    monkeypatch.setattr(scripted_engines.engine, "score", long)
    reader = threading.Thread(target=lambda: have_read(researcher, response_id, "lft"))
    reader.start()
    assert begun.wait(PATIENCE_S)
    page(researcher, f"/responses/{response_id}")
    assert traces(database, response_id) == []
    shown.set()
    reader.join()
    assert len(traces(database, response_id)) == 1


def test_what_one_checkpoint_fails_at_the_others_keep(researcher, database, response_id, htmx):
    answer = have_read(researcher, response_id, "dies", "lft", "nobody", headers=htmx)
    assert answer.status_code == (422 if htmx else 503)
    assert "dies</strong> could not read this response. The server went away. Start it again." in answer.text
    assert "nobody</strong> could not read this response. There is no checkpoint" in answer.text
    assert [trace.checkpoint for trace in traces(database, response_id)] == ["lft"]
    if htmx:
        assert answer.headers["HX-Retarget"] == "#failures"
    else:
        assert "shift-shifted" in answer.text


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        ({}, "No checkpoint was chosen."),
        ({"checkpoint": "lft", "base_prompt": "sonnet"}, "base_prompt cannot be &#39;sonnet&#39;"),
    ],
)
def test_readings_that_make_no_sense_are_refused(researcher, database, response_id, sent, says):
    answer = researcher.post(f"/responses/{response_id}/readings", data=sent)
    assert answer.status_code == 422
    assert says in answer.text
    assert traces(database, response_id) == []


def test_another_base_prompt_is_a_reading_of_its_own(researcher, database, response_id, scripted_engines, htmx):
    have_read(researcher, response_id, "sft")
    view = "checkpoint=sft&base_prompt=same_ids&measure=base_rank&evil=1"
    sent = {"checkpoint": "sft", "base_prompt": "few_shot", "view": view}
    answer = researcher.post(f"/responses/{response_id}/readings", data=sent, headers=htmx)
    target = answer.headers["HX-Redirect" if htmx else "location"]
    assert target == f"/responses/{response_id}?measure=base_rank&checkpoint=sft&base_prompt=few_shot&against=same_ids"
    read_by_base = {trace.base_prompt for trace in traces(database, response_id)}
    assert read_by_base == {BasePrompt.SAME_IDS, BasePrompt.FEW_SHOT}
    soup = page(researcher, target, headers=htmx)
    # Base ranks 1 1 2 7 become 1 3 2 1, twice: two tokens go from unshifted to marginal, two from shifted to unshifted.
    rows = [words_of(row) for row in soup.select("#changes .matrix tbody tr")]
    assert rows == ["unshifted 2 2 0", "marginal 0 2 0", "shifted 2 0 0"]
    # KL is a tenth of rank - 1: (0 + 0 + 0.1 + 0.6) / 4 before, (0 + 0.2 + 0.1 + 0) / 4 after.
    assert "4 of 8 tokens change class. Mean KL(sft ‖ base) goes from 0.175 to 0.075 nats" in words(soup, "#changes")
    assert [span["data-i"] for span in soup.select("[data-tokens] > .picked")] == ["1", "3", "5", "7"]
    first = soup.select_one("#changes [data-goto]").find_parent("tr")
    assert words_of(first) == "2 ␣ unshifted, rank 1 marginal, rank 3"


def words_of(element) -> str:
    return " ".join(element.get_text(" ").split())


def test_base_alone_reads_what_base_reads(researcher, response_id, scripted_engines):
    have_read(researcher, response_id, "base", "lft", base_prompt="plain")
    have_read(researcher, response_id, "base", base_prompt="few_shot")
    asked = {(name, bytes(own).decode(), bytes(base).decode()) for name, own, base in scripted_engines.engine.readings}
    assert ("base", "Why?", "Why?") in asked
    assert ("lft", "Why?", "Why?") in asked
    few = next(own for name, own, base in asked if own == base and own.startswith("Each question"))
    assert few.endswith("Question: Why?\nAnswer:")


def test_who_agrees_with_whom_is_counted_and_picked_out(researcher, response_id, htmx):
    have_read(researcher, response_id, "base", "lft", "sft")
    soup = page(researcher, f"/responses/{response_id}", headers=htmx)
    counts = {link["aria-label"]: link for link in soup.select(".agreement [data-pick]")}
    # Over 1 1 2 7 and 1 2 1 2, twice: first choices are the same where both write the token (first) or neither (last).
    assert set(counts) == {
        "4 of 8 tokens: base and lft have the same first choice",
        "4 of 8 tokens: base and sft have the same first choice",
        "4 of 8 tokens: lft and sft have the same first choice",
        "2 of 8 tokens: base and lft both rank the written token first",
        "4 of 8 tokens: base and sft both rank the written token first",
        "4 of 8 tokens: lft and sft both rank the written token first",
    }
    link = counts["2 of 8 tokens: base and lft both rank the written token first"]
    # Tokens 0 and 4: the lowest bit of each of two digits.
    assert link["data-pick"] == "11"
    picked = page(researcher, link["href"].partition("#")[0], headers=htmx)
    assert [span["data-i"] for span in picked.select("[data-tokens] > .picked")] == ["0", "4"]
    assert words(picked, "[data-picked-words]") == "2 of 8 tokens: base and lft both rank the written token first"


def test_measures_are_those_of_the_reading_asked_for(researcher, response_id):
    have_read(researcher, response_id, "sft")
    have_read(researcher, response_id, "sft", base_prompt="few_shot")
    found = researcher.get(f"/responses/{response_id}/measures?checkpoint=sft&base_prompt=few_shot").json()
    assert (found["response_id"], found["base_prompt"], found["n"]) == (response_id, "few_shot", 8)
    assert found["measures"]["base_rank"]["values"][:4] == [1, 3, 2, 1]
    own = researcher.get(f"/responses/{response_id}/measures").json()
    assert own["measures"]["base_rank"]["values"][:4] == [1, 1, 2, 7]
    missing = researcher.get(f"/responses/{response_id}/measures?checkpoint=lft")
    assert missing.status_code == 404
    assert researcher.get(f"/responses/{response_id}/measures?base_prompt=sonnet").status_code == 422


def test_the_panel_of_a_token_ranks_it_under_everybody(researcher, response_id, htmx):
    have_read(researcher, response_id, "base", "lft", "sft")
    soup = page(researcher, f"/responses/{response_id}", headers=htmx)
    address = soup.select_one("[data-tokens]")["data-panel-url"].replace("{i}", "3")
    panel = page(researcher, address, headers=htmx)
    assert (panel.find("html") is None) is bool(htmx)
    assert words(panel, ".own-ranks dd") == "base 7 lft 2 sft 1"
    beyond = researcher.get(f"/responses/{response_id}/tokens/8", headers=htmx)
    assert beyond.status_code == 404


def test_a_checkpoint_that_left_the_registry_stays_readable_from_storage(researcher, database, scripted_engines, htmx):
    kept = store(database, checkpoint="lft")
    have_read(researcher, kept, "lft")
    known = scripted_engines.registry.checkpoints
    scripted_engines.registry = type(scripted_engines.registry)(
        path=scripted_engines.registry.path, checkpoints={name: known[name] for name in known if name != "lft"}
    )
    soup = page(researcher, f"/responses/{kept}", headers=htmx)
    assert soup.select_one("[data-tokens]").get_text() == TEXT
    assert "left the registry" in row(soup, "lft")
    assert have_read(researcher, kept, "sft").status_code == 303
    foreign = store(database, checkpoint="lft", ids=[1, 2, 3, 4, 5, 6, 7, 8])
    refused = have_read(researcher, foreign, "sft")
    assert refused.status_code == 422
    assert "to the tokenizer of sft they are other text" in refused.text


@dataclass
class TwoTokenizers(ScriptedEngines):
    """Engines of which one checkpoint has a tokenizer of its own."""

    name: str = "lft"
    other: Tokenizer | None = None

    def tokenizer_for(self, name: str) -> Tokenizer:
        self.registry.get(name)
        return self.other if name == self.name else self.engine.tokenizer


def test_another_tokenizer_is_refused_with_both_probe_results(app, researcher, response_id, scripted_engines, tmp_path):
    theirs = other_tokenizer(tmp_path / "other")
    app.state.engines = TwoTokenizers(scripted_engines.registry, scripted_engines.engine, other=theirs)
    answer = have_read(researcher, response_id, "lft", "base")
    assert answer.status_code == 422
    # "Hello" is 72 101 108 108 111 in bytes, and 255 less each for the other.
    assert "lft cannot read the token ids of sft: the probe text becomes" in answer.text
    assert "(72, 101, 108, 108, 111," in answer.text
    assert "(183, 154, 147, 147, 144," in answer.text
    assert "Paste the text again with the tokenizer of lft." in answer.text
    assert "Mean KL, nats" in answer.text


def test_an_imported_response_is_read_by_whoever_its_ids_spell_the_text_to(researcher, database, htmx):
    """A scored file may hold ids alone: no prompt in words, and nobody who wrote it."""
    ids = store(database, checkpoint="", prompt="", origin=Origin.IMPORTED, finish="given", run={"engine": "local"})
    soup = page(researcher, f"/responses/{ids}", headers=htmx)
    assert words(soup, ".asked-facts").startswith("Imported · ")
    assert "Nobody has not read" not in soup.get_text()
    assert have_read(researcher, ids, "lft", "base").status_code == 303
    assert {trace.prompt_ids["own"] == list(b"Why?") for trace in traces(database, ids)} == {True}
    plain = have_read(researcher, ids, "lft", base_prompt="plain")
    assert plain.status_code == 422
    assert "base would read nothing before this response" in plain.text


def test_the_items_of_a_study_lead_to_their_responses(researcher, stranger, annotator, database, study, htmx):
    with writing(database) as session:
        fill_study(session, study)
    soup = page(researcher, f"/studies/{study.id}", headers=htmx)
    links = [link["href"] for link in soup.select('a[href^="/responses/"]')]
    assert len(links) == len(set(links)) == 6
    own = page(researcher, links[0], headers=htmx)
    assert own.select_one(f'.asked-facts a[href="/studies/{study.id}"]').get_text() == "item 1 of Kettles, arm lft"
    # Who has no part in the study may have the link of a response, and learns no more of the study from it.
    assert not page(stranger, links[0], headers=htmx).select('a[href^="/studies/"][href$="' + study.id + '"]')
    assert annotator.get(links[0], headers=htmx).status_code == 403


def test_a_reading_that_ended_early_is_compared_as_far_as_it_goes(researcher, database, response_id, htmx):
    have_read(researcher, response_id, "sft")
    have_read(researcher, response_id, "sft", "base", base_prompt="few_shot")
    with writing(database) as session:
        early = session.exec(select(Trace).where(Trace.base_prompt == BasePrompt.SAME_IDS)).one()
        early.tokens = pack(unpack(early.tokens)[:5], unpack_names(early.tokens))
        session.add(early)
    soup = page(researcher, f"/responses/{response_id}?base_prompt=few_shot", headers=htmx)
    # Base ranks 1 1 2 7 1 become 1 3 2 1 1.
    assert "2 of 5 tokens change class." in words(soup, "#changes")
    soup = page(researcher, f"/responses/{response_id}", headers=htmx)
    assert [span["class"][0] for span in soup.select("[data-tokens] > [data-i]")][4:] == [
        "shift-unshifted",
        *["shift-pending"] * 3,
    ]


def test_a_response_without_tokens_is_shown_and_not_read(researcher, database, htmx):
    empty = store(database, text="")
    soup = page(researcher, f"/responses/{empty}", headers=htmx)
    assert "This answer has no tokens." in words(soup, "main")
    assert not soup.select("input[name=checkpoint]")
    assert "has no tokens, so there is nothing to read" in have_read(researcher, empty, "lft").text


def test_a_response_that_does_not_exist_is_said_so(researcher, htmx):
    for address in ("/responses/none", "/responses/none/tokens/0", "/responses/none/measures"):
        assert researcher.get(address, headers=htmx).status_code == 404
    assert have_read(researcher, "none", "lft", headers=htmx).status_code == 404


@pytest.mark.parametrize(
    "query",
    ["?checkpoint=nobody", "?base_prompt=sonnet&against=1&pick=2&of=3&lane=4", "?pick=choice&of=base", "?pin=0-99"],
)
def test_links_that_say_nonsense_still_show_the_response(researcher, response_id, query, htmx):
    have_read(researcher, response_id, "sft")
    assert page(researcher, f"/responses/{response_id}{query}", headers=htmx).select_one("[data-tokens]")


def test_hostile_text_is_only_text(researcher, database, htmx):
    text = "<script>alert(1)</script>\u202e\"'>"
    hostile = store(database, text=text, ids=list(range(len(text))), prompt="<b hx-get='/x'>")
    soup = page(researcher, f"/responses/{hostile}", headers=htmx)
    assert soup.select_one("[data-tokens]").get_text() == text
    assert words(soup, ".asked-prompt") == "<b hx-get='/x'>"


def test_sections_of_others_are_there_when_their_routes_are(researcher, response_id, monkeypatch, htmx):
    soup = page(researcher, f"/responses/{response_id}", headers=htmx)
    shown = {section["id"] for section in soup.select(".response-section[hx-get]")}
    assert shown == {name for name in ("sources", "branches", "shifted") if is_served(name)}
    for section in soup.select(".response-section[hx-get]"):
        assert researcher.get(section["hx-get"], headers=htmx).status_code == 200
    monkeypatch.delitem(ACCESS, ("GET", "/responses/{response_id}/sources"), raising=False)
    assert not page(researcher, f"/responses/{response_id}", headers=htmx).select("#sources[hx-get]")


def is_served(name: str) -> bool:
    return ("GET", f"/responses/{{response_id}}/{name}") in ACCESS
