"""What browser tests of judging do over and over; plain functions over a page."""

import re

from playwright.sync_api import expect
from sqlmodel import select

from app.db import reading
from models import Revision, RevisionKind

SAVED = re.compile(r"^saved \d\d:\d\d:\d\d \(rev \d+\)$")
_SELECT = """([side, first, last, after]) => {
  const answer = document.querySelector(`.answer[data-side=${side}]`);
  const place = (at) => {
    const nodes = document.createTreeWalker(answer, NodeFilter.SHOW_TEXT);
    for (let node = nodes.nextNode(); node; node = nodes.nextNode()) {
      if (at <= node.length) return [node, at];
      at -= node.length;
    }
  };
  const text = answer.textContent;
  const from = text.indexOf(first, text.indexOf(after));
  getSelection().setBaseAndExtent(...place(from), ...place(text.indexOf(last, from) + last.length));
}"""
_RELEASE = """(answer, altKey) => {
  for (const type of ['pointerdown', 'pointerup'])
    answer.dispatchEvent(new PointerEvent(type, {bubbles: true, pointerType: 'mouse', altKey}));
}"""


def press(page, *keys):
    for key in keys:
        page.keyboard.press(key)


def start(page):
    """From the desk to the first item, past guidelines that were not read yet."""
    page.goto("/judge?stay")
    for _ in range(4):
        if page.locator("#judging").count():
            break
        with page.expect_navigation():
            page.locator("[data-autofocus]").first.click()
    expect(page.locator(".judging[data-js]")).to_be_visible()
    return page


def revisions(database, kind=RevisionKind.SUBMITTED):
    with reading(database) as session:
        query = select(Revision).where(Revision.kind == kind).order_by(Revision.created_at)
        return session.exec(query).all()


def select_text(page, side, first, last="", *, after=""):
    """Select from the beginning of `first` to the end of `last`, or `first` alone; it may stand in pieces."""
    page.evaluate(_SELECT, [side, first, last or first, after])


def drag(page, side, first, last="", *, after="", alt=False):
    """Select as `select_text` does and let the mouse go."""
    select_text(page, side, first, last, after=after)
    page.locator(f".answer[data-side={side}]").evaluate(_RELEASE, alt)
