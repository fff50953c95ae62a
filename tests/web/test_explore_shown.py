"""The page of a comparison as its address asks for it: thresholds, measure, mode, pins."""

import pytest
from bs4 import BeautifulSoup
from fastapi.testclient import TestClient

from tests.scripted_engine import DEFAULT_TEXT

ASKED = {"prompt": "Why a lid?", "checkpoints": ["base", "lft", "sft"], "max_tokens": "64"}


@pytest.fixture
def link(researcher: TestClient) -> str:
    link = researcher.post("/compare", data=ASKED).headers["location"]
    researcher.get(link.replace("/explore/", "/compare/") + "/stream")
    return link


def soup_of(client: TestClient, address: str, headers: dict[str, str]) -> BeautifulSoup:
    answer = client.get(address, headers=headers)
    assert answer.status_code == 200
    return BeautifulSoup(answer.text, "html.parser")


def colours(soup: BeautifulSoup, column: int, n: int) -> list[str]:
    return [span["class"][0] for span in soup.select(f'[data-column="{column}"] [data-i]')[:n]]


def test_thresholds_in_the_address_count_colour_and_explain(
    researcher: TestClient, link: str, htmx: dict[str, str]
) -> None:
    soup = soup_of(researcher, f"{link}?unshifted=2&marginal=7", htmx)
    # Ranks 1, 1, 2, 7 in turn over 43 tokens: 33 of at most 2, ten sevenths.
    words = soup.select('[data-column="1"] [data-bar="whole"] [data-count]')
    assert [word.get_text() for word in words] == ["33", "10", "0"]
    assert colours(soup, 1, 4) == ["shift-unshifted"] * 3 + ["shift-marginal"]
    meanings = [one.get_text() for one in soup.select("[data-meaning]")[:3]]
    assert meanings == ["base rank 1 to 2", "base rank 3 to 7", "base rank above 7"]
    assert soup.select_one("[name=unshifted]")["value"] == "2"


def test_thresholds_that_cannot_be_are_refused_in_the_page(
    researcher: TestClient, link: str, htmx: dict[str, str]
) -> None:
    soup = soup_of(researcher, f"{link}?unshifted=7&marginal=2", htmx)
    assert soup.select_one("[data-problem]").get_text().endswith("2 is not above 7.")
    assert colours(soup, 1, 4) == ["shift-unshifted", "shift-unshifted", "shift-marginal", "shift-shifted"]


def test_a_measure_in_the_address_colours_and_its_legend_shows(
    researcher: TestClient, link: str, htmx: dict[str, str]
) -> None:
    soup = soup_of(researcher, f"{link}?measure=base_rank", htmx)
    assert colours(soup, 1, 4) == ["heat-0", "heat-0", "heat-1", "heat-2"]
    shown = [one["data-legend"] for one in soup.select("[data-legend]") if not one.has_attr("hidden")]
    assert shown == ["base_rank"]
    assert soup.select_one("#measure option[selected]")["value"] == "base_rank"


def test_tokenizer_mode_spells_and_the_text_stays(researcher: TestClient, link: str, htmx: dict[str, str]) -> None:
    soup = soup_of(researcher, f"{link}?mode=tokenizer", htmx)
    spans = soup.select('[data-column="1"] [data-i]')
    assert [span["data-v"] for span in spans[:3]] == ["A", "␣", "k"]
    assert [span["data-v"] for span in spans[-4:]] == ["·e2", "·98", "☕·95", "<|end|>"]
    assert [span["data-id"] for span in spans[:3]] == ["65", "32", "107"]
    assert "".join(span.get_text() for span in spans) == DEFAULT_TEXT


def test_pins_in_the_address_are_there_without_scripts(researcher: TestClient, link: str, htmx: dict[str, str]) -> None:
    soup = soup_of(researcher, f"{link}?pin=1-2,2-3,9-9,1-999&unshifted=2", htmx)
    titles = [one.get_text() for one in soup.select(".pin-card .token-panel-title")]
    assert titles == ["Token 3 of lft: k", "Token 4 of sft: e"]
    assert soup.select_one(".pin-card .token-marks .muted").get_text() == "base rank 1 to 2"
    assert soup.select_one('[data-controls] [name="pin"]')["value"] == "1-2,2-3,9-9,1-999"


def test_a_column_says_where_its_parts_are(researcher: TestClient, link: str, htmx: dict[str, str]) -> None:
    container = soup_of(researcher, link, htmx).select_one('[data-column="1"] [data-tokens]')
    assert container["data-panel-url"] == f"{link}/responses/1/tokens/{{i}}"
    measures = researcher.get(container["data-measures"]).json()
    assert (measures["response_id"], measures["n"]) == (container["data-response"], 43)
    assert measures["measures"]["base_rank"]["values"][:4] == [1, 1, 2, 7]
    panel = researcher.get(container["data-panel-url"].format(i=3) + "?unshifted=7&marginal=8", headers=htmx)
    assert "base rank 1 to 7" in panel.text
    form = BeautifulSoup(panel.text, "html.parser").select_one("form.panel-body")
    assert form["action"] == container["data-fork"] == f"/responses/{container['data-response']}/fork"
    assert [box["value"] for box in form.select("[name=checkpoints]") if box.has_attr("checked")] == ["lft", "base"]


def test_the_stream_says_where_a_column_is_stored(researcher: TestClient, link: str) -> None:
    """A run that ends while somebody watches gets its links with its last event."""
    again = researcher.post("/compare", data=ASKED).headers["location"]
    stream = researcher.get(again.replace("/explore/", "/compare/") + "/stream").text
    assert stream.count('data-response="') >= 3
    assert 'data-response=""' not in stream.split("event: done")[0].rsplit("event: more-", 1)[-1]
