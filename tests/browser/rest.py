"""Pages that have come to rest, and what comes to be true of them, however long a busy machine takes for it."""

import time

from tests.patience import PATIENCE_S

# What moves with scrolling stands still while nobody scrolls, and is "running" all the same.
_AT_REST = """document.getAnimations().every(
  (one) => one.playState !== "running" || one.timeline !== document.timeline
    || one.effect.getTiming().iterations === Infinity
)"""


def at_rest(page):
    """Wait until nothing fades or moves any more but what does so without end."""
    comes_true(page, _AT_REST)


def in_theme(page, scheme):
    """Show a page light or dark, with its colours faded into those of the theme."""
    page.emulate_media(color_scheme=scheme)
    at_rest(page)


def comes_true(page, script):
    """Wait until a script says so.

    `page.wait_for_function` cannot: but for its first look it needs `eval`, which no page of ours allows.
    """
    comes_to(page, lambda: page.evaluate(f"() => Boolean({script})"), wanted=True)


def comes_to(page, ask, wanted):
    """Ask until the answer is what is wanted; fails with the last one otherwise."""
    deadline = time.monotonic() + PATIENCE_S
    while (said := ask()) != wanted and time.monotonic() < deadline:
        page.wait_for_timeout(100)
    assert said == wanted
