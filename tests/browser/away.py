"""What a page of background work does while its server is away."""

from playwright.sync_api import expect


def is_said_once_and_in_place(page, work):
    """Let three looks at `work`, generation or scoring, fail, and the next ones come through."""
    page.route(f"**/{work}?said=*", lambda route: route.abort())
    for _ in range(3):
        page.evaluate(f"htmx.trigger('#{work}', 'refresh')")
        page.wait_for_timeout(200)
    expect(page.locator(f"#{work}-stale")).to_be_visible()
    expect(page.locator("[data-toast]")).to_have_count(0)
    page.unroute(f"**/{work}?said=*")
    expect(page.locator(f"#{work}-stale")).to_be_hidden()
