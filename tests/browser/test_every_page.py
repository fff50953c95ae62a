"""Every page a researcher can open: on a phone nothing sticks out, and axe finds nothing, in light and in dark."""

from axe_playwright_python.sync_playwright import Axe

from app.accounts.access import ACCESS, Access
from tests.web.test_access import place as place  # noqa: PLC0414  a fixture

OPEN = {Access.PUBLIC, Access.SIGNED_IN, Access.RESEARCHER, Access.OWNER}
# What differs between light and dark is colour alone; axe is in the page from the run before.
COLOURS = 'axe.run({runOnly: ["color-contrast", "link-in-text-block"], resultTypes: ["violations"]})'
WIDTH = 400


def pages(client, place):
    """List the addresses that answer a page of its own, whatever the table of routes has or gets."""
    found = []
    for path in sorted(path for (method, path), needed in ACCESS.items() if method == "GET" and needed in OPEN):
        address, _ = place(path)
        answer = client.get(address, headers={"Accept": "text/html"})
        whole = "<html" in answer.text[:500] and "attachment" not in answer.headers.get("content-disposition", "")
        if answer.status_code == 200 and whole:
            found.append(address)
    return found


def test_every_page_of_a_researcher_fits_a_phone_and_is_sound_in_light_and_dark(page_for, place, researcher, alice):
    addresses = pages(researcher, place)
    assert len(addresses) > 40, addresses
    # Colours that change slowly would be measured half-way.
    page, wrong = page_for(alice, width=WIDTH, reduced_motion="reduce"), {}
    for address in addresses:
        page.emulate_media(color_scheme="light", reduced_motion="reduce")
        page.goto(address)
        width = page.evaluate("document.documentElement.scrollWidth")
        found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
        page.emulate_media(color_scheme="dark", reduced_motion="reduce")
        found = [*found, *page.evaluate(COLOURS)["violations"]]
        told = [(rule["id"], [node["html"][:120] for node in rule["nodes"]][:2]) for rule in found]
        if width > WIDTH or told:
            wrong[address] = (width, told)
    assert wrong == {}
