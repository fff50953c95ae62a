"""Pasting a response: its tokens before they are kept, its ids from then on, and every text that cannot be read."""

import json
from dataclasses import replace

import pytest
from bs4 import BeautifulSoup

from app.responses.forms import MAX_CHARS, MAX_TOKENS, round_trip
from models import Origin
from tests.scripted_engine import EOS, ScriptedEngines
from tests.web.responses_help import page, readers, responses, traces, words

SENT = {"prompt": "Why?", "text": "Because it is so.", "tokenizer": "sft", "checkpoints": ["base", "sft"]}


@pytest.fixture
def scripted_engines(tmp_path) -> ScriptedEngines:
    return readers(tmp_path / "tokenizer")


def in_template(engines: ScriptedEngines, name: str, template: str) -> None:
    known = engines.registry.checkpoints
    engines.registry = replace(engines.registry, checkpoints={**known, name: replace(known[name], template=template)})


def test_a_pasted_text_becomes_ids_that_stay(researcher, database, alice, scripted_engines, htmx):
    in_template(scripted_engines, "sft", "alpaca")
    answer = researcher.post("/responses", data=SENT, headers=htmx)
    assert answer.status_code == (204 if htmx else 303)
    (response,) = responses(database)
    assert answer.headers["HX-Redirect" if htmx else "location"] == f"/responses/{response.id}"
    assert (response.text, response.token_ids) == (SENT["text"], list(SENT["text"].encode()))
    assert (response.origin, response.checkpoint, response.finish) == (Origin.PASTED, "", "given")
    assert response.created_by == alice.id
    # SFT was given its own template; base reads the very same ids.
    assert bytes(response.prompt_ids).startswith(b"Below is an instruction")
    asked = {(name, own, base) for name, own, base in scripted_engines.engine.readings}
    same = tuple(response.prompt_ids)
    assert asked == {("base", same, same), ("sft", same, same)}
    assert [trace.checkpoint for trace in traces(database, response.id)] == ["base", "sft"]
    soup = page(researcher, f"/responses/{response.id}", headers=htmx)
    assert words(soup, ".asked-facts").startswith("Pasted by Alice, tokenised by sft")
    assert soup.select_one("[data-tokens]").get_text() == SENT["text"]


def test_tokens_are_shown_before_anything_is_kept(researcher, database, scripted_engines, htmx):
    sent = SENT | {"text": "é ☕\n", "action": "preview"}
    soup = page_of_post(researcher, sent, htmx)
    assert responses(database) == []
    assert scripted_engines.engine.readings == []
    assert [chip.get_text() for chip in soup.select(".chip-id")] == [str(byte) for byte in "é ☕\n".encode()]
    # A character of several tokens shows on its last one; before it stand the bytes.
    drawn = [chip.get_text() for chip in soup.select(".token-chip bdi")]
    assert drawn == ["·c3", "é·a9", "␣", "·e2", "·98", "☕·95", "⏎"]
    assert words(soup, "strong") == "7 tokens"
    if not htmx:
        assert soup.select_one("textarea[name=text]").get_text() == "\né ☕\n"


def page_of_post(client, sent, headers):
    answer = client.post("/responses", data=sent, headers=headers)
    assert answer.status_code == 200, answer.text[:300]
    assert (answer.text.lstrip().startswith("<!doctype")) is not bool(headers)
    return BeautifulSoup(answer.text, "html.parser")


def test_a_text_the_ids_do_not_give_back_is_said_so_and_kept_as_the_ids_say(researcher, database, htmx):
    text = "So it ends.<|end|> Or not."
    soup = page_of_post(researcher, SENT | {"text": text, "action": "preview"}, htmx)
    warning = words(soup, ".banner-warn")
    assert "from character 12 on, '<|end|> Or n' becomes ' Or not.'" in warning
    researcher.post("/responses", data=SENT | {"text": text}, headers=htmx)
    (response,) = responses(database)
    assert EOS in response.token_ids
    assert response.text == "So it ends. Or not."
    assert response.run["pasted_text"] == text


def test_where_a_round_trip_leaves_the_text():
    assert round_trip("same", "same", "lft") == ""
    assert "from character 3 on, 'b' becomes 'B'" in round_trip("a b", "a B", "lft")
    assert "from character 3 on, 'b' becomes nothing" in round_trip("a b", "a ", "lft")
    assert "from character 1 on, nothing becomes ' '" in round_trip("", " ", "lft")


@pytest.mark.parametrize(
    "text",
    [
        "北京是中国的首都。",
        "שלום עולם, 123",
        "  leading and trailing  \n\n",
        "a\tb\u200bc\u2028d\ufffd",
        "🇨🇭👩‍👩‍👧‍👦",
        "line\rreturn",
        "<script>alert(1)</script>",
    ],
)
def test_any_language_and_white_space_is_kept_to_the_character(researcher, database, text):
    assert researcher.post("/responses", data=SENT | {"text": text}).status_code == 303
    (response,) = responses(database)
    assert response.text == text
    assert page(researcher, f"/responses/{response.id}").select_one("[data-tokens]").get_text() == text


def test_line_ends_of_a_browser_are_one_character(researcher, database):
    researcher.post("/responses", data=SENT | {"text": "a\r\nb", "prompt": "c\r\nd"})
    (response,) = responses(database)
    assert (response.text, response.prompt) == ("a\nb", "c\nd")


@pytest.mark.parametrize(
    ("over", "says"),
    [
        ({"text": ""}, "Paste the text of a response first."),
        ({"text": " \n\t"}, "Paste the text of a response first."),
        ({"text": "a" * (MAX_CHARS + 1)}, "It has 100,001 characters; the limit is 100,000. Shorten it."),
        ({"text": "a" * (MAX_TOKENS + 1)}, "The text is 4,097 tokens; at most 4,096 are read. Shorten it."),
        ({"prompt": "a" * 20_001}, "It has 20,001 characters; the limit is 20,000. Shorten it."),
        ({"prompt": ""}, "sft would read nothing before this response, so its first token has no probability."),
        ({"tokenizer": ""}, "Choose whose tokenizer makes the ids, of those shown."),
        ({"tokenizer": "nobody"}, "Choose whose tokenizer makes the ids, of those shown."),
        ({"checkpoints": ["sft", "nobody"]}, "There is no checkpoint &#39;nobody&#39;."),
    ],
)
def test_what_cannot_be_read_is_refused_with_everything_typed(researcher, database, scripted_engines, over, says, htmx):
    answer = researcher.post("/responses", data=SENT | over, headers=htmx)
    assert answer.status_code == 422
    assert says in answer.text
    assert responses(database) == []
    assert scripted_engines.engine.readings == []
    typed = SENT | over
    soup = BeautifulSoup(answer.text, "html.parser", preserve_whitespace_tags={"textarea"})
    assert [area.get_text() for area in soup.select("textarea")] == [f"\n{typed['prompt']}", f"\n{typed['text']}"]


@pytest.mark.parametrize("field", ["text", "prompt"])
@pytest.mark.parametrize("bad", ["a\0b", "%ED%A0%80"])
def test_characters_no_database_keeps_are_refused(researcher, database, field, bad):
    if bad.startswith("%"):
        body = f"{field}={bad}&tokenizer=sft&" + ("prompt=p" if field == "text" else "text=t")
        answer = researcher.post(
            "/responses", content=body, headers={"Content-Type": "application/x-www-form-urlencoded"}
        )
        # Half of a surrogate pair is no UTF-8: what arrives in its place is a replacement character, or a refusal.
        assert answer.status_code in {303, 422}
        assert all("\ud800" not in response.text for response in responses(database))
        return
    answer = researcher.post("/responses", data=SENT | {field: bad})
    assert answer.status_code == 422
    assert responses(database) == []


def test_more_than_a_model_reads_is_refused_before_it_is_kept(researcher, database, scripted_engines, tmp_path, htmx):
    # The scripted checkpoints' folder; a real one says there how much it reads.
    (tmp_path / "tokenizer" / "config.json").write_text(json.dumps({"max_position_embeddings": 20}))
    answer = researcher.post("/responses", data=SENT, headers=htmx)
    assert answer.status_code == 422
    # "Why?" and "Because it is so." are 4 and 17 bytes.
    assert "A prompt of 4 tokens and a response of 17 do not fit sft, which reads at most 20." in answer.text
    assert responses(database) == []


def test_without_a_prompt_a_template_alone_is_read(researcher, database, scripted_engines, htmx):
    in_template(scripted_engines, "sft", "alpaca")
    answer = researcher.post("/responses", data=SENT | {"prompt": "", "checkpoints": ["sft"]}, headers=htmx)
    assert answer.status_code in {204, 303}
    (response,) = responses(database)
    assert response.prompt == ""
    soup = page(researcher, f"/responses/{response.id}", headers=htmx)
    assert "No prompt was kept with this response." in words(soup, ".asked")


def test_a_checkpoint_that_is_down_does_not_lose_the_text(researcher, database):
    answer = researcher.post("/responses", data=SENT | {"checkpoints": ["dies", "sft"]})
    assert answer.status_code == 503
    assert "dies</strong> could not read this response. The server went away." in answer.text
    (response,) = responses(database)
    assert [trace.checkpoint for trace in traces(database, response.id)] == ["sft"]
    assert BeautifulSoup(answer.text, "html.parser").select_one("[data-tokens]").get_text() == SENT["text"]


def test_it_can_be_kept_without_any_reading(researcher, database, htmx):
    researcher.post("/responses", data={k: v for k, v in SENT.items() if k != "checkpoints"}, headers=htmx)
    (response,) = responses(database)
    soup = page(researcher, f"/responses/{response.id}", headers=htmx)
    assert "sft has not read this response this way" in words(soup, ".readings")
    assert {span["class"][0] for span in soup.select("[data-tokens] > [data-i]")} == {"shift-pending"}


def test_explore_and_the_form_lead_to_each_other(researcher, htmx):
    assert page(researcher, "/explore", headers=htmx).select_one('a[href="/responses/new"]')
    form = page(researcher, "/responses/new", headers=htmx)
    assert [box["value"] for box in form.select("input[name=tokenizer]")] == ["base", "lft", "sft", "dies"]
    # The writer of a text is unknown; a tuned checkpoint's tokenizer also knows its template's tokens.
    assert form.select_one("input[name=tokenizer][checked]")["value"] == "lft"
