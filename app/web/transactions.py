"""The database in a request: a session to read, or one whose work is committed before the answer leaves.

FastAPI would end a dependency after the response has left, and a failed commit would have been acknowledged;
`scope="function"` ends it before.
"""

from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends, Request
from sqlmodel import Session

from app.db import reading, writing


def _read_session(request: Request) -> Iterator[Session]:
    with reading(request.app.state.database) as session:
        yield session


def _write_session(request: Request) -> Iterator[Session]:
    with writing(request.app.state.database) as session:
        yield session


ReadSession = Annotated[Session, Depends(_read_session, scope="function")]
WriteSession = Annotated[Session, Depends(_write_session, scope="function")]
