"""What browser tests of judging do over and over; plain functions over a page."""

import re

from playwright.sync_api import expect
from sqlmodel import select

from app.db import reading
from models import Revision, RevisionKind

SAVED = re.compile(r"^saved \d\d:\d\d:\d\d \(rev \d+\)$")


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
