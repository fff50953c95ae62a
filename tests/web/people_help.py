"""What tests of people do: make links as their researcher, join by them as somebody new, read the tables."""

import re
from urllib.parse import urlsplit

from bs4 import BeautifulSoup
from sqlmodel import select

from app.db import reading
from models import Membership, StudyEvent


def soup(answer):
    return BeautifulSoup(answer.text, "html.parser")


def words(tag):
    return re.sub(r"\s+", " ", tag.get_text(" ")).strip()


def links_in(answer):
    """The links a page shows this once, as paths."""
    return [urlsplit(code.text).path for code in soup(answer).select(".people-links code")]


def invite_links(client, study, **form):
    answer = client.post(f"/studies/{study.id}/people/invites", data={"count": "1"} | form)
    assert answer.status_code == 200, answer.text
    return links_in(answer)


def open_link(client, study):
    answer = client.post(f"/studies/{study.id}/people/link", data={"what": "make"})
    assert answer.status_code == 200, answer.text
    return links_in(answer)[0]


def join(client, path, external_id=""):
    return client.post(path, data={"external_id": external_id})


def members(database, study):
    """The members of a study, by external id or pseudonym."""
    with reading(database) as session:
        found = session.exec(select(Membership).where(Membership.study_id == study.id)).all()
    return {member.external_id or member.pid: member for member in found}


def trail(database, study):
    """What was written down about a study, oldest first."""
    with reading(database) as session:
        rows = session.exec(select(StudyEvent).where(StudyEvent.study_id == study.id).order_by(StudyEvent.created_at))
        return [(row.action, row.detail) for row in rows]


def member_rows(client, study):
    """The members table of the people page: cells by column title, by pseudonym."""
    table = soup(client.get(f"/studies/{study.id}/people")).select_one(".people-members table")
    titles = [words(cell) for cell in table.select("thead th")]
    rows = [dict(zip(titles, map(words, row.select("th, td")), strict=True)) for row in table.select("tbody tr")]
    return {row["Member"].split()[0]: row for row in rows}


def invite_rows(client, study):
    """The table of invites: the cells of each row, newest first."""
    rows = soup(client.get(f"/studies/{study.id}/people")).select("#invites tbody tr")
    return [[words(cell) for cell in row.select("td")] for row in rows]
