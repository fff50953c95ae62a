"""Instances beside a marked passage in a real browser: opened, judged, saved and exported."""

import json
import re

import pytest
from playwright.sync_api import expect
from sqlmodel import select

from app.db import reading, writing
from models import Evidence, EvidenceAnswer, EvidenceOpening, ImportState, TuningSet
from tests.browser.judging_help import SAVED, drag, press, start
from tests.web.evidence_help import ANSWERS, BORROWED, ask_for_evidence

LONG = "A long tale of dough that rose. " * 30
HOSTILE = "<img src=x onerror=alert(1)></template><script>alert(2)</script> is what this one answers."


@pytest.fixture
def tuning_set(database, study):
    answers = (f"{ANSWERS[0]} {LONG}", ANSWERS[1], HOSTILE, *(f"{answer} {LONG}" for answer in ANSWERS[2:8]))
    with writing(database) as session:
        return ask_for_evidence(session, study, answers=answers, k=3, decoys=3)


@pytest.fixture
def judging(page_for, bob, tuning_set):
    return lambda **options: start(page_for(bob, **options))


def mark(page):
    drag(page, "left", BORROWED)
    expect(page.locator("#span-dialog")).to_be_visible()


def instances(page):
    return page.locator(".evidence-item")


def rows(database):
    with reading(database) as session:
        return session.exec(select(Evidence).order_by(Evidence.place)).all()


def export(page_for, alice, study, table):
    text = page_for(alice).request.get(f"/studies/{study.id}/export/{table}").text()
    return [json.loads(line) for line in text.splitlines()]


def test_a_borrowed_phrase_is_marked_judged_submitted_and_exported(judging, page_for, alice, study, database):
    page = judging()
    mark(page)
    expect(instances(page)).to_have_count(6)
    true = [row for row in rows(database) if row.origin == "verbatim"]
    first, second = (instances(page).nth(row.place - 1) for row in true)
    decoy = next(row for row in rows(database) if row.is_decoy)
    expect(first.get_by_role("group")).to_have_accessible_name(f"Instance {true[0].place} of 6")
    longer = first if first.get_by_role("button").is_visible() else second
    expect(longer.locator(".evidence-answer")).to_have_text(re.compile("…$"))
    longer.get_by_role("button").click()
    expect(longer.locator(".evidence-answer")).to_contain_text(LONG.strip())
    expect(longer.get_by_role("button")).to_have_attribute("aria-expanded", "true")
    first.get_by_label("borrowed", exact=True).check()
    second.get_by_label("similar, not borrowed").check()
    instances(page).nth(decoy.place - 1).get_by_label("unrelated").check()
    page.get_by_role("button", name="Mark it").click()
    expect(page.locator("#save-state")).to_have_text(SAVED)
    page.reload()
    page.get_by_role("button", name=f"Edit mark: {BORROWED}").click()
    expect(first.get_by_label("borrowed", exact=True)).to_be_checked()
    expect(page.locator(".evidence-item input:checked")).to_have_count(3)
    press(page, "Escape")
    expect(page.locator("#span-dialog")).to_be_hidden()
    for side in ("left", "right"):
        for row in page.locator(f".side[data-side={side}] .rating").all():
            row.get_by_label("3", exact=True).check()
    page.locator(".choice-card").first.click()
    expect(page.locator("#save-state")).to_have_text(SAVED)
    page.locator(".judging-submit").click()
    expect(page.get_by_text("That was the last one")).to_be_visible()
    with reading(database) as session:
        assert sorted(a.verdict.value for a in session.exec(select(EvidenceAnswer))) == sorted(
            ["borrowed", "similar", "unrelated"] * (len(session.exec(select(EvidenceAnswer)).all()) // 3)
        )
        assert len(session.exec(select(EvidenceOpening)).all()) == 1
    (span,) = export(page_for, alice, study, "hallucinations.jsonl")
    assert (span["quote"], span["causal"], span["evidence_is_decoy"]) == (BORROWED, True, False)
    assert span["evidence_instance_id"] == f"i{true[0].position}"
    shown = export(page_for, alice, study, "evidence.jsonl")
    assert [one["verdict"] for one in shown if one["place"] == decoy.place] == ["unrelated"]
    assert sum(one["opened"] for one in shown) == 1


def test_none_of_these_and_borrowed_exclude_each_other(judging):
    page = judging()
    mark(page)
    expect(instances(page)).to_have_count(6)
    none = page.get_by_label("None of these")
    borrowed = instances(page).first.get_by_label("borrowed", exact=True)
    borrowed.check()
    none.check()
    expect(borrowed).not_to_be_checked()
    expect(page.locator("[data-evidence-status]")).to_have_text("What was judged borrowed is unmarked.")
    borrowed.check()
    expect(none).not_to_be_checked()
    none.check()
    page.get_by_role("button", name="Mark it").click()
    expect(page.locator("#save-state")).to_have_text(SAVED)
    page.reload()
    page.get_by_role("button", name=f"Edit mark: {BORROWED}").click()
    expect(page.get_by_label("None of these")).to_be_checked()


def test_what_was_picked_in_a_cancelled_dialog_is_forgotten(judging, database):
    page = judging()
    mark(page)
    instances(page).first.get_by_label("borrowed", exact=True).check()
    page.get_by_role("button", name="Mark it").click()
    edit = page.get_by_role("button", name=f"Edit mark: {BORROWED}")
    edit.click()
    instances(page).first.get_by_label("unrelated").check()
    press(page, "Escape")
    edit.click()
    expect(instances(page).first.get_by_label("borrowed", exact=True)).to_be_checked()


def test_instances_are_judged_by_keyboard_alone(judging, database):
    page = judging()
    press(page, "m", *["ArrowRight"] * 6, "Shift+ArrowRight", "Enter")
    expect(instances(page)).to_have_count(6)
    # Tab to the first radio of the first instance, whatever stands before it.
    for _ in range(12):
        if page.evaluate("document.activeElement.name.startsWith('evidence-')"):
            break
        press(page, "Tab")
    press(page, "Space", "ArrowRight")
    expect(page.locator(".evidence-item input:checked")).to_have_value("similar")
    for _ in range(30):
        if page.evaluate("document.activeElement.id") == "span-note":
            break
        press(page, "Tab")
    press(page, "Enter")
    expect(page.locator("#span-dialog")).to_be_hidden()
    expect(page.locator("#save-state")).to_have_text(SAVED)
    with reading(database) as session:
        assert [row.verdict.value for row in session.exec(select(EvidenceAnswer))] == ["similar"]


def test_shared_words_are_pointed_out_on_demand_and_instances_are_text(judging):
    page = judging()
    mark(page)
    expect(instances(page)).to_have_count(6)
    expect(page.locator(".evidence-word")).to_have_count(0)
    page.get_by_label("Point out words").check()
    words = {text.casefold() for text in page.locator(".evidence-word").all_text_contents()}
    assert {"louis", "pasteur", "1857"} <= words <= {word.casefold() for word in BORROWED.split()}
    assert page.locator("#span-dialog img, #span-dialog script").count() == 0
    page.get_by_label("Point out words").uncheck()
    expect(page.locator(".evidence-word")).to_have_count(0)


def test_a_set_that_is_not_ready_is_asked_for_again(judging, database, tuning_set):
    page = judging()
    with writing(database) as session:
        row = session.get_one(TuningSet, tuning_set.id)
        row.state, row.done, row.total = ImportState.INDEXING, 1_200, 5_000
    mark(page)
    expect(page.locator("[data-evidence-status]")).to_have_text("The instances are not ready: 1,200 of 5,000.")
    expect(page.get_by_role("button", name="Look again")).to_be_visible()
    with writing(database) as session:
        session.get_one(TuningSet, tuning_set.id).state = ImportState.READY
    expect(instances(page)).to_have_count(6)
    expect(page.get_by_role("button", name="Look again")).to_be_hidden()


def test_a_passage_can_be_marked_while_the_instances_cannot_be_had(judging, server):
    server.expected += ["503", "net::ERR_FAILED"]
    page = judging()
    page.route("**/evidence", lambda route: route.fulfill(status=503, body="busy"))
    mark(page)
    expect(page.locator("[data-evidence-status]")).to_contain_text("You can mark the passage without")
    page.get_by_role("button", name="Mark it").click()
    expect(page.locator("#save-state")).to_have_text(SAVED)
    page.unroute("**/evidence")
    page.get_by_role("button", name=f"Edit mark: {BORROWED}").click()
    expect(instances(page)).to_have_count(6)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(400, 850), (1280, 800), (2200, 1300)])
def test_the_panel_is_accessible(judging, axe, picture, scheme, width, height):
    page = judging(width=width, height=height, color_scheme=scheme)
    mark(page)
    expect(instances(page)).to_have_count(6)
    page.get_by_label("Point out words").check()
    instances(page).first.get_by_label("borrowed", exact=True).check()
    page.locator("[data-evidence-more]:visible").first.click()
    axe(page)
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    picture(page, f"evidence-{width}-{scheme}")
    page.get_by_label("None of these").scroll_into_view_if_needed()
    picture(page, f"evidence-{width}-{scheme}-end")
