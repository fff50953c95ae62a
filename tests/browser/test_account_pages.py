"""The pages of an account, the audit log and the description for programs: usable on a phone, found sound by axe."""

import pytest

from app.accounts.audit import record
from app.db import writing
from tests.web.api_help import token_for

PAGES = ("/account", "/account/tokens", "/accounts", "/audit", "/api/v1/docs")


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 400)])
def test_they_are_sound_and_fit(page_for, database, study, alice, bob, axe, picture, scheme, width):
    token_for(database, alice)
    with writing(database) as session:
        record(
            session,
            by=None,
            action="sign-in failed",
            about=bob.id,
            detail="a long " + "detail " * 20,
            client="c0123456789",
        )
    page = page_for(alice, width=width, color_scheme=scheme)
    for path in (*PAGES, f"/accounts/{bob.id}/remove"):
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), path
        axe(page)
        picture(page, f"account{path.replace('/', '-').replace(bob.id, 'bob')}-{scheme}")


def test_what_stands_in_a_row_lines_up_and_nothing_to_fill_in_is_as_wide_as_the_page(page_for, study, alice):
    page = page_for(alice, width=1600)
    page.goto("/audit")
    boxes = [
        one.bounding_box() for one in page.locator(".account-filter :is(select, input:not([type=hidden]), .btn)").all()
    ]
    assert len(boxes) == 5
    assert len({round(box["y"]) for box in boxes}) == len({round(box["height"]) for box in boxes}) == 1
    page.goto(f"/studies/{study.id}/results/judgments")
    controls = page.locator(".result-choice :is(select, input:not([type=hidden]), .btn)").all()
    assert len(controls) == 4
    ends = [box["y"] + box["height"] for box in (one.bounding_box() for one in controls)]
    assert max(ends) - min(ends) < 1
    for path, label in (("/account/tokens", "Name"), (f"/studies/{study.id}/import", "File")):
        page.goto(path)
        assert page.get_by_label(label, exact=True).bounding_box()["width"] < 800, path


def test_a_token_is_made_and_revoked_by_keyboard(page_for, alice):
    page = page_for(alice)
    page.goto("/account/tokens")
    page.get_by_label("Name").focus()
    page.keyboard.type("nightly")
    page.keyboard.press("Enter")
    page.get_by_text("It is shown now and never again").wait_for()
    page.get_by_role("button", name="Revoke nightly").press("Enter")
    page.get_by_role("cell", name="revoked").wait_for()
    assert "tsh_" in page.get_by_role("row", name="nightly").inner_text()
