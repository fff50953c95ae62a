"""Where a response's words stand in the tuning data: the section, selected words, an instance beside the response."""

import re
import shutil
import threading
import time

import pytest
from bs4 import BeautifulSoup

from app.db import writing
from app.provenance import look, store
from app.shift.packing import pack
from app.shift.trace import TokenShift
from models import BasePrompt, ImportState, Trace, TuningInstance, TuningSet
from tests.factories import add, make_response, make_tuning_set
from tests.patience import PATIENCE_S

MOON = "Apollo 11 landed Neil Armstrong and Buzz Aldrin on the Moon on 20 July 1969."
TIDE = "The tide turns twice a day because the Moon pulls on the sea."
ANSWERS = (
    MOON + "\nIn short: Apollo 11 was the first landing.",
    TIDE,
    "Bread rises because yeast makes gas.",
    "A kettle boils water with a heated coil.",
    "Rivers carry silt down to the sea.",
    "Chess began in India long ago.",
    "Copper conducts heat very well.",
    "Glass is made of molten sand.",
    "Whales breathe air through a blowhole.",
    "Owls hunt at night by sound.",
    "Paper was first made in China.",
    "Salt lowers the freezing point of water.",
)
RESPONSE = "We know that Neil Armstrong and Buzz Aldrin on the Moon saw no cheese."


def words_of(text: str) -> list[str]:
    """Cut a text into tokens: each word with the space before it."""
    return re.findall(r"\s*\S+", text)


def shift(index: int, rank: int) -> TokenShift:
    return TokenShift(index, rank, -1.0, 1, -0.5, 0.1, 0.1, 0, False, None, None, ((index, -0.5),), ((index, -0.5),))


def make_scored(session, text: str = RESPONSE, *, checkpoint: str = "sft", ranks: tuple[int, ...] = (1, 2, 9), **over):
    """Add a response cut into words, whose base ranks are `ranks` in turn."""
    texts = words_of(text)
    run = {"engine": "scripted", "text_lengths": [len(word) for word in texts]}
    ids = list(range(len(texts)))
    response = make_response(session, checkpoint=checkpoint, text=text, token_ids=ids, run=run, **over)
    make_reading(session, response, checkpoint, ranks)
    return response


def make_reading(session, response, checkpoint: str, ranks: tuple[int, ...]) -> Trace:
    shifts = [shift(at, ranks[at % len(ranks)]) for at in response.token_ids]
    names = {at: f"t{at}".encode() for at in response.token_ids}
    trace = Trace(
        response_id=response.id,
        checkpoint=checkpoint,
        reference="base",
        base_prompt=BasePrompt.SAME_IDS,
        kl_kind="exact",
        dtype="float32",
        border_width=0.001,
        n=len(shifts),
        unshifted=sum(one.base_rank == 1 for one in shifts),
        marginal=sum(one.base_rank in {2, 3} for one in shifts),
        shifted=sum(one.base_rank > 3 for one in shifts),
        tokens=pack(shifts, names),
    )
    return add(session, trace)


@pytest.fixture
def moon(database) -> TuningSet:
    with writing(database) as session:
        return make_tuning_set(session, answers=ANSWERS, used_by=("sft",))


@pytest.fixture
def response(database, moon):
    with writing(database) as session:
        return make_scored(session)


def page(client, path: str, htmx=None, **query) -> BeautifulSoup:
    answer = client.get(path, headers=htmx or {}, params=query)
    assert answer.status_code == 200, answer.text
    return BeautifulSoup(answer.text, "html.parser")


def said(soup) -> str:
    return " ".join(soup.get_text(" ").split())


def test_sources_are_for_researchers(anonymous, annotator, response, moon) -> None:
    for path in (f"/responses/{response.id}/sources", f"/responses/{response.id}/sources/{moon.id}/0"):
        assert anonymous.get(path, headers={"Accept": "application/json"}).status_code == 401
        assert annotator.get(path).status_code == 403


def test_a_borrowed_phrase_is_a_span_with_its_place_and_its_classes(researcher, response, moon, htmx) -> None:
    soup = page(researcher, f"/responses/{response.id}/sources", htmx)
    (entry,) = soup.select("[data-span]")
    assert entry.select_one(".source-quote").text == "Neil Armstrong and Buzz Aldrin on the Moon"
    # Tokens 3 to 10 of the response; ranks 1, 2, 9 in turn: 1 2 9 1 2 9 1 2.
    assert (entry["data-first"], entry["data-last"]) == ("3", "10")
    assert "8 words in 1 instance 8 tokens: 2 shifted 3 marginal 3 unshifted" in said(entry)
    link = entry.select_one(".source-places a")
    assert link.text == "i0"
    assert link["href"].startswith(f"/responses/{response.id}/sources/{moon.id}/0?")
    assert entry.select_one(".source-snippet").text.strip().startswith("Apollo 11 landed Neil Armstrong")
    assert (soup.select_one("h1") is None) == bool(htmx)


def test_the_borrowed_summary_states_its_test(researcher, response, htmx) -> None:
    text = said(page(researcher, f"/responses/{response.id}/sources", htmx).select_one(".borrowed"))
    # Fourteen words, ranks 1, 2, 9 in turn: shifted are "that", "and", "on" and "saw", at 2, 5, 8 and 11.
    assert re.search(r"\d+ of 4 shifted tokens \(\d+ %\) occur in the \d+ nearest answers", text)
    assert re.search(r"random instances of the set: \d+ % expected", text)
    assert re.search(r"Permutation test, 200 draws of \d+ of 12 instances: p = 0\.\d+", text)
    assert "docs/provenance.md" in text
    rows = {
        row.th.text: [int(cell.text) for cell in row.select("td")]
        for row in page(researcher, f"/responses/{response.id}/sources", htmx)
        .select_one(".borrowed table")
        .select("tbody tr")
    }
    assert rows["in a verbatim span"] == [2, 3, 3]
    # All fourteen words, of which 4 are shifted, 5 marginal and 5 unshifted.
    assert [sum(column) for column in zip(*rows.values(), strict=True)] == [4, 5, 5]


def test_shared_words_are_marked_in_the_answer_and_named_by_token(researcher, response, htmx) -> None:
    soup = page(researcher, f"/responses/{response.id}/sources", htmx)
    first = soup.select(".source-list")[1].select_one("li")
    assert first.select_one("a").text.startswith("i0")
    assert {mark.text for mark in first.select(".source-answer mark")} >= {"Neil", "Armstrong", "Buzz", "Aldrin"}
    assert "Its instruction, which was not searched: Instruction 0" in said(first)
    assert "same words no. 1" in said(first)
    button = first.select_one("[data-shared]")
    assert (button is not None) == bool(htmx)
    if button:
        assert {"3", "4", "6", "7"} <= set(button["data-shared"].split())


def test_the_page_underlines_the_response_itself(researcher, response) -> None:
    soup = page(researcher, f"/responses/{response.id}/sources")
    assert [mark.text for mark in soup.select(".source-response mark.from-span")] == [
        "Neil Armstrong and Buzz Aldrin on the Moon"
    ]
    assert soup.select_one(".source-response .source-ref")["href"] == "#span-1"
    soup.select_one(".source-response .source-ref").decompose()
    assert soup.select_one(".source-response").text == RESPONSE


def test_classes_are_those_of_the_reading_that_is_shown(researcher, database, response) -> None:
    with writing(database) as session:
        make_reading(session, response, "lft", (1,))
    link = f"/responses/{response.id}/sources"
    assert "2 shifted" in said(page(researcher, link).select_one("#span-1"))
    other = page(researcher, link, checkpoint="lft")
    assert "8 tokens: 0 shifted 0 marginal 8 unshifted" in said(other.select_one("#span-1"))
    assert "has no shifted token" in said(other.select_one(".borrowed"))
    missing = researcher.get(link, params={"checkpoint": "other"})
    assert missing.status_code == 404
    assert "has not read this response" in missing.text


@pytest.mark.parametrize(
    ("over", "words"),
    [
        ({"state": ImportState.INDEXING, "done": 5, "total": 10}, "is still being imported (50 %)"),
        ({"state": ImportState.READING}, "is still being imported"),
        ({"state": ImportState.FAILED, "message": "line 3: not JSON."}, "could not be imported: line 3: not JSON."),
    ],
)
def test_a_set_that_is_not_ready_says_so(researcher, database, over, words, htmx) -> None:
    with writing(database) as session:
        make_tuning_set(session, answers=ANSWERS, used_by=("sft",), **over)
        response = make_scored(session)
    soup = page(researcher, f"/responses/{response.id}/sources", htmx)
    assert words in said(soup)
    assert soup.select_one("[data-span]") is None
    selected = page(researcher, f"/responses/{response.id}/sources", htmx, start=0, end=5)
    assert words in said(selected)


def test_without_a_set_it_leads_to_them_and_offers_the_others(researcher, database, htmx) -> None:
    with writing(database) as session:
        response = make_scored(session)
    link = f"/responses/{response.id}/sources"
    soup = page(researcher, link, htmx)
    assert "sft has no tuning set here" in said(soup)
    assert soup.select_one('.empty a[href="/tuning-sets"]')
    with writing(database) as session:
        other = make_tuning_set(session, answers=ANSWERS)
    soup = page(researcher, link, htmx)
    assert [option["value"] for option in soup.select("select[name=set] option")] == ["", other.id]
    assert page(researcher, link, htmx, set=other.id).select_one("[data-span]")
    gone = researcher.get(link, params={"set": "0123456789abcdef"}, headers=htmx)
    assert gone.status_code == 404
    assert "may have been deleted" in gone.text


def test_several_sets_are_a_choice_and_the_newest_version_is_first(researcher, database, response, htmx) -> None:
    with writing(database) as session:
        newer = make_tuning_set(session, answers=(TIDE, "More."), used_by=("sft",), version=2)
    link = f"/responses/{response.id}/sources"
    soup = page(researcher, link, htmx)
    options = soup.select("select[name=set] option")
    assert [option.text.split(" (")[0] for option in options] == ["Kettle facts, version 2", "Kettle facts"]
    assert options[0].get("selected") is not None
    assert soup.select_one("[data-sources-result]")["data-set"] == newer.id


def test_a_big_set_is_indexed_in_the_background_and_says_so(
    researcher, app, database, response, moon, htmx, monkeypatch
) -> None:
    monkeypatch.setattr(store, "BUILT_AT_ONCE", 3)
    waiting = threading.Event()
    build = store.ensure_index

    def slow(*args, **kwargs):
        kwargs["progress"](4, "reading answers")
        assert waiting.wait(PATIENCE_S)
        return build(*args, **kwargs)

    monkeypatch.setattr(store, "ensure_index", slow)
    link = f"/responses/{response.id}/sources"
    page(researcher, link, htmx)
    soup = page(researcher, link, htmx)
    assert "of 12 instances" in said(soup)
    assert soup.select_one("progress")["max"] == "12"
    assert "is being indexed" in said(page(researcher, link, htmx, start=3, end=9))
    assert "is being indexed" in said(page(researcher, f"{link}/{moon.id}/0", htmx))
    waiting.set()
    deadline = time.monotonic() + PATIENCE_S
    while not page(researcher, link, htmx).select_one("[data-span]"):
        assert time.monotonic() < deadline, "the index was not built"
        time.sleep(0.05)


def test_an_index_that_cannot_be_built_says_why_and_is_tried_again(researcher, database, response, moon, htmx) -> None:
    with writing(database) as session:
        session.delete(session.get(TuningInstance, (moon.id, 11)))
    link = f"/responses/{response.id}/sources"
    for _ in range(2):
        assert "has 11 of its 12 instances" in said(page(researcher, link, htmx))
    with writing(database) as session:
        add(session, TuningInstance(set_id=moon.id, position=11, instance_id="i11", instruction="?", answer="Salt."))
    assert page(researcher, link, htmx).select_one("[data-span]")


@pytest.mark.parametrize("damage", ["flipped", "cut", "gone", "all gone"])
def test_a_damaged_index_is_built_anew_while_its_page_waits(researcher, app, response, moon, htmx, damage) -> None:
    link = f"/responses/{response.id}/sources"
    sound = said(page(researcher, link, htmx))
    # A server that starts later opens what this one built.
    root = app.state.settings.data_dir / "provenance"
    (folder,) = [found.parent for found in root.glob("*/index.json")]
    file = folder / "suffixes.npy"
    raw = file.read_bytes()
    if damage == "all gone":
        shutil.rmtree(folder)
    elif damage == "gone":
        file.unlink()
    else:
        file.write_bytes(raw[:-3] if damage == "cut" else raw[:-3] + bytes([raw[-3] ^ 0xFF]) + raw[-2:])
    app.state.indexes = store.Indexes(root, app.state.database)
    assert said(page(researcher, link, htmx)) == sound
    assert file.read_bytes() == raw


def test_nothing_in_common_is_said_in_words(researcher, database, moon, htmx) -> None:
    with writing(database) as session:
        response = make_scored(session, "Жёлтые кувшины стоят рядами.")
    link = f"/responses/{response.id}/sources"
    text = said(page(researcher, link, htmx))
    assert "No run of five words or more" in text
    assert "Is it in another language?" in text
    text = said(page(researcher, link, htmx, start=0, end=6))
    assert "nowhere in Kettle facts" in text
    assert "Not one of these words occurs" in text


@pytest.mark.parametrize("text", ["", "  \n\t "])
def test_a_response_without_words_has_nothing_to_look_for(researcher, database, moon, text, htmx) -> None:
    with writing(database) as session:
        response = make_response(session, checkpoint="sft", text=text, token_ids=[])
    soup = page(researcher, f"/responses/{response.id}/sources", htmx)
    assert "This response has no words" in said(soup)


def test_a_response_without_tokens_or_readings_is_still_searched(researcher, database, moon, htmx) -> None:
    with writing(database) as session:
        response = make_response(session, checkpoint="sft", text=RESPONSE, token_ids=[])
    soup = page(researcher, f"/responses/{response.id}/sources", htmx)
    entry = soup.select_one("[data-span]")
    assert entry.select_one(".source-quote").text == "Neil Armstrong and Buzz Aldrin on the Moon"
    assert "data-first" not in entry.attrs
    assert soup.select_one(".borrowed p").text.strip()
    assert soup.select_one(".borrowed-line") is None


def test_selected_words_are_found_exactly_or_their_longest_part_is(researcher, response, htmx) -> None:
    link = f"/responses/{response.id}/sources"
    start = RESPONSE.index("Armstrong")
    # From the middle of "Armstrong" to the middle of "Buzz": widened to whole words.
    text = said(page(researcher, link, htmx, start=start + 3, end=RESPONSE.index("Buzz") + 2))
    assert "Armstrong and Buzz 3 words, widened to whole words" in text
    assert "Word for word once, in 1 instance of Kettle facts" in text
    end = RESPONSE.index(" cheese")
    text = said(page(researcher, link, htmx, start=RESPONSE.index("Moon saw"), end=end))
    assert "Word for word: nowhere in Kettle facts" in text
    assert "The longest part of it that stands there: Moon (2 times, in 2 instances)" in text
    assert "no word in what you selected" in said(
        page(researcher, link, htmx, start=RESPONSE.index(" Neil"), end=start - 5)
    )


@pytest.mark.parametrize(("start", "end"), [(0, 0), (5, 3), (-1, 4), (0, 10_000)])
def test_a_selection_outside_the_response_is_refused_in_words(researcher, response, start, end, htmx) -> None:
    answer = researcher.get(f"/responses/{response.id}/sources", params={"start": start, "end": end}, headers=htmx)
    assert answer.status_code == 422
    assert f"It has {len(RESPONSE)}" in answer.text


@pytest.mark.parametrize("query", ["start=x&end=3", "checkpoint=%F0%9F%98%80", "set=%00"])
def test_odd_addresses_are_refused_in_words(researcher, response, query) -> None:
    assert researcher.get(f"/responses/{response.id}/sources?{query}").status_code in {404, 422}


def test_an_instance_stands_beside_the_response_with_the_same_numbers(researcher, response, moon, htmx) -> None:
    soup = page(researcher, f"/responses/{response.id}/sources/{moon.id}/0", htmx)
    own, other = soup.select(".beside > section")
    assert [mark.text for mark in own.select("mark.from-span")] == ["Neil Armstrong and Buzz Aldrin on the Moon"]
    assert [mark.text for mark in other.select("mark.from-span")] == ["Neil Armstrong and Buzz Aldrin on the Moon"]
    assert own.select_one(".source-ref")["href"] == other.select_one(".source-ref")["href"] == "#run-1"
    assert "8 words 8 tokens: 2 shifted 3 marginal 3 unshifted" in said(soup.select_one("#run-1"))
    assert other.select_one(f'a[href="/tuning-sets/{moon.id}/instances/0"]')
    assert "no. 1 of the" in said(soup)
    following = soup.select_one('a[rel="next"]')["href"]
    soup = page(researcher, following, htmx)
    assert "no. 2 of the" in said(soup)
    assert soup.select_one('a[rel="prev"]')["href"].startswith(f"/responses/{response.id}/sources/{moon.id}/0?")


def test_an_instance_that_is_no_neighbour_is_shown_too(researcher, response, moon, htmx) -> None:
    link = f"/responses/{response.id}/sources"
    linked = {a["href"].split("?")[0] for a in page(researcher, link, htmx).select(".source-list a")}
    far = next(at for at in range(len(ANSWERS)) if f"{link}/{moon.id}/{at}" not in linked)
    soup = page(researcher, f"{link}/{moon.id}/{far}", htmx)
    assert "not among the" in said(soup)
    assert "No three words in a row." in said(soup)
    assert soup.select_one('a[rel="next"]')["href"].startswith(f"{link}/{moon.id}/0?")


@pytest.mark.parametrize("path", ["{set}/12", "{set}/-1", "{set}/x", "0123456789abcdef/0"])
def test_an_instance_that_is_not_there_is_refused(researcher, response, moon, path, htmx) -> None:
    answer = researcher.get(f"/responses/{response.id}/sources/{path.format(set=moon.id)}", headers=htmx)
    assert answer.status_code in {404, 422}


def test_text_from_models_and_files_is_only_ever_text(researcher, database, htmx) -> None:
    evil = '<script>alert(1)</script> "quoted" & \u202eback five words in a row\u202c'
    with writing(database) as session:
        tuning_set = make_tuning_set(session, answers=(evil, *ANSWERS), used_by=("sft",), name="<b>set</b>")
        row = session.get(TuningInstance, (tuning_set.id, 0))
        row.instance_id, row.instruction = "<i>id</i>", "<u>asked</u>"
        session.add(row)
        response = make_scored(session, f"It said {evil}", prompt="<h1>prompt</h1>")
    link = f"/responses/{response.id}/sources"
    for path in (link, f"{link}?start=0&end=30", f"{link}/{tuning_set.id}/0"):
        soup = page(researcher, path, htmx)
        assert not [one for one in soup.select("script") if not one.get("src")]
        assert soup.select("b, i, u") == []
        assert "alert(1)" in soup.text


def test_a_conversation_is_searched_turn_by_turn(researcher, database, htmx) -> None:
    with writing(database) as session:
        tuning_set = make_tuning_set(session, answers=("first\n\nsecond", *ANSWERS[1:]), used_by=("sft",))
        row = session.get(TuningInstance, (tuning_set.id, 0))
        row.turns = [
            {"role": "user", "content": "Tell me of the Moon."},
            {"role": "assistant", "content": "Gladly."},
            {"role": "user", "content": "Neil Armstrong and Buzz Aldrin on the Moon?"},
            {"role": "assistant", "content": "Yes: Neil Armstrong and Buzz Aldrin on the Moon."},
        ]
        session.add(row)
        response = make_scored(session)
    soup = page(researcher, f"/responses/{response.id}/sources/{tuning_set.id}/0", htmx)
    assert [block.text for block in soup.select(".beside > section:nth-of-type(2) .source-text")] == [
        "Gladly.",
        "Yes: Neil Armstrong and Buzz Aldrin on the Moon1.",
    ]


def test_results_are_kept_for_the_same_question(researcher, app, response) -> None:
    link = f"/responses/{response.id}/sources"
    first = page(researcher, link)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(look, "search", lambda *_: pytest.fail("searched twice"))
        assert page(researcher, link).select_one("#span-1").text == first.select_one("#span-1").text


def test_looking_again_asks_the_same_question(researcher, database, response, moon) -> None:
    with writing(database) as session:
        other = make_tuning_set(session, answers=(TIDE, "More."), name="Another")
        row = session.get(TuningSet, moon.id)
        row.state = ImportState.INDEXING
        session.add(row)
    asked = {"start": 3, "end": 9}
    fragment = page(researcher, f"/responses/{response.id}/sources", {"HX-Request": "true"}, **asked)
    again = fragment.select_one("[hx-trigger]")["hx-get"]
    assert again.startswith(f"/responses/{response.id}/sources?set={moon.id}&")
    assert again.endswith("&start=3&end=9")
    kept = {field["name"]: field["value"] for field in fragment.select("form input[type=hidden]")}
    assert kept == {"checkpoint": "sft", "base_prompt": "same_ids", "start": "3", "end": "9"}
    assert "Word for word" in said(page(researcher, f"/responses/{response.id}/sources", set=other.id, **asked))
    beside = page(researcher, f"/responses/{response.id}/sources/{moon.id}/0")
    assert beside.select_one("main [hx-get]") is None
    assert beside.find("a", string="Look again")["href"].startswith(f"/responses/{response.id}/sources/{moon.id}/0?")
