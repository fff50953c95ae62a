"""Tokens for tests of the interface for programs, and clients that carry them."""

from datetime import timedelta

from fastapi.testclient import TestClient

from app.accounts.tokens import add_token
from app.db import writing
from models import Scope
from models.base import now

ALL = tuple(scope.value for scope in Scope)


def token_for(database, user, *scopes, days=7, made=timedelta(0)):
    with writing(database) as session:
        return add_token(session, user, name="a test", scopes=scopes or ALL, days=days, now=now() - made)[1]


def carrying(client_for, secret) -> TestClient:
    """A client of nobody's browser: no cookie, no origin, a token."""
    client = client_for()
    del client.headers["Origin"]
    client.headers["Authorization"] = f"Bearer {secret}"
    return client


def program(client_for, database, user, *scopes) -> TestClient:
    return carrying(client_for, token_for(database, user, *scopes))


def events_of(text):
    """Read server-sent events as (name, data) pairs; the data as text."""
    blocks = (dict(line.split(": ", 1) for line in block.split("\n")) for block in text.strip().split("\n\n"))
    return [(block["event"], block["data"]) for block in blocks]
