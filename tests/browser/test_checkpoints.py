"""The checkpoints page with two servers of one model: an adapter is loaded by keyboard, and the page stays usable."""

from playwright.sync_api import expect

from tests.web.test_checkpoints_adapters import engines as engines  # noqa: PLC0414  fixtures
from tests.web.test_checkpoints_adapters import folder as folder  # noqa: PLC0414
from tests.web.test_checkpoints_adapters import servers as servers  # noqa: PLC0414


def test_an_adapter_is_loaded_by_keyboard_and_the_focus_stays_where_it_was(page_for, engines, alice, axe, picture):
    page = page_for(alice, reduced_motion="reduce")
    page.goto("/checkpoints")
    page.get_by_role("button", name="Load lft").press("Enter")
    expect(page.get_by_role("button", name="Unload lft")).to_be_focused()
    page.get_by_role("button", name="Check lft").press("Enter")
    expect(page.get_by_role("button", name="Check lft")).to_be_focused()
    picture(page, "checkpoints-replicas")
    axe(page)
    addresses = page.locator("tbody .mono.nowrap", has_text="127.0.0.1").all()
    assert len(addresses) == 4
    assert all(one.bounding_box()["height"] < 24 for one in addresses), "an address is broken in two"
