"""Write down in the audit log what a request did, for routes that have no transaction of their own to put it in."""

from fastapi import Request

from app.accounts.audit import client_mark, record
from app.db import writing
from models import User


def write_down(request: Request, user: User, action: str, *, about: str = "", detail: str = "") -> None:
    """Store an entry by `user` from the client of the request, in a transaction of its own.

    What is handed out is written down before it is: whoever cannot be written down gets nothing.
    """
    address = request.client.host if request.client else "unknown"
    with writing(request.app.state.database) as session:
        client = client_mark(request.app.state.secret, address)
        record(session, by=user.id, action=action, about=about, detail=detail, client=client)


def is_first_piece(request: Request) -> bool:
    """Tell whether a download begins here: what goes on where it broke off, or comes in pieces, is one download."""
    asked = request.headers.get("range", "").replace(" ", "")
    return not asked or asked.startswith("bytes=0-")
