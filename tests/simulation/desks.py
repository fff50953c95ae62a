"""Two ways to do what annotators and a researcher do, at a clock the test sets: the routes' functions, and HTTP.

Both answer alike: a token or None for a claim, a status for the rest, with the receipt where something was saved.
"""

import base64
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from fastapi import FastAPI
from fastapi.testclient import TestClient
from itsdangerous import TimestampSigner
from sqlalchemy import Engine
from sqlmodel import Session

from app.db import connect, writing
from app.errors import AppError, ConflictError
from app.judging import desk_routes
from app.judging.answers import save_answer
from app.judging.claims import claim, renew
from app.judging.forms import read_json
from app.judging.queries import own_presentation
from app.studies.queries import change_state, get_study
from app.studies.settled import change_settled
from models import RevisionKind, Study, StudyState, User

LEASE = timedelta(minutes=60)
ORIGIN = "http://testserver"
# Every database is a new engine, and would compile every statement anew.
_COMPILED: dict[Any, Any] = {}


def open_database(url: str) -> Engine:
    """Open a database as the app does."""
    database = connect(url)
    database.update_execution_options(compiled_cache=_COMPILED)
    return database


@dataclass
class Clock:
    """The time that the routes are told."""

    now: datetime

    def __call__(self) -> datetime:
        return self.now


class Functions:
    """The same functions as the routes call, one transaction each."""

    def __init__(self, url: str, clock: Clock) -> None:
        self.url, self.clock = url, clock
        self.database: Engine = open_database(url)

    def restart(self) -> None:
        """Let go of everything but what is stored."""
        self.database.dispose()
        self.database = open_database(self.url)

    def claim(self, study_id: str, user_id: str) -> str | None:
        with writing(self.database) as session:
            study, user = session.get_one(Study, study_id), session.get_one(User, user_id)
            return claim(session, study, user, self.clock(), lease=LEASE)

    def heartbeat(self, user_id: str, token: str) -> int:
        def work(session: Session, user: User) -> None:
            presentation, study = own_presentation(session, token, user)
            if study.state != StudyState.OPEN or not renew(session, presentation, study, self.clock(), lease=LEASE):
                raise ConflictError("This item is not reserved for you any more.")

        return self._do(user_id, work)[0]

    def save(self, user_id: str, token: str, what: str, answer: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        kind = RevisionKind.DRAFT if what == "draft" else RevisionKind.SUBMITTED

        def work(session: Session, user: User) -> dict[str, Any]:
            sent = read_json(json.dumps(answer).encode())
            saved = save_answer(session, token, user, sent, kind, self.clock(), lease=LEASE)
            upcoming = None
            if what == "submit":
                _, study = own_presentation(session, token, user)
                upcoming = claim(session, study, user, self.clock(), lease=LEASE)
            return {"revision": saved.revision, "next": upcoming}

        return self._do(user_id, work)

    def leave(self, user_id: str, study_id: str, how: str) -> int:
        route = {"pause": desk_routes.pause, "resume": desk_routes.resume, "withdraw": desk_routes.withdraw}[how]
        return self._do(user_id, lambda session, user: route(session, user, study_id))[0]

    def set_state(self, owner_id: str, study_id: str, state: StudyState) -> int:
        return self._do(owner_id, lambda session, _: change_state(session, get_study(session, study_id), state))[0]

    def top_up(self, owner_id: str, study_id: str, overlap: int) -> int:
        def work(session: Session, user: User) -> None:
            study = get_study(session, study_id)
            change_settled(session, study, {"overlap": str(overlap)}, user_id=user.id, now=self.clock())

        return self._do(owner_id, work)[0]

    def _do(self, user_id: str, work: Any) -> tuple[int, dict[str, Any]]:
        try:
            with writing(self.database) as session:
                return 200, work(session, session.get_one(User, user_id))
        except AppError as error:
            return error.status, {}

    def close(self) -> None:
        self.database.dispose()


class Pages(Functions):
    """The same over HTTP, through the app with its cookies and its checks."""

    def __init__(self, url: str, clock: Clock, app: FastAPI, portal: Any) -> None:
        super().__init__(url, clock)
        self.app, self.portal, self.clients = app, portal, {}
        app.state.database = self.database

    def restart(self) -> None:
        super().restart()
        self.app.state.database, self.clients = self.database, {}

    def claim(self, study_id: str, user_id: str) -> str | None:
        reply = self._client(user_id).post("/judge/next", data={"study_id": study_id})
        assert reply.status_code == 303, reply.text
        return self._token(reply.headers["location"])

    def heartbeat(self, user_id: str, token: str) -> int:
        return self._client(user_id).post(f"/judge/{token}/heartbeat").status_code

    def save(self, user_id: str, token: str, what: str, answer: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        reply = self._client(user_id).post(f"/judge/{token}/{what}", json=answer)
        data = reply.json()
        return reply.status_code, data | {"next": self._token(data.get("next", ""))}

    def leave(self, user_id: str, study_id: str, how: str) -> int:
        return self._ok(self._client(user_id).post(f"/judge/studies/{study_id}/{how}"))

    def set_state(self, owner_id: str, study_id: str, state: StudyState) -> int:
        return self._ok(self._client(owner_id).post(f"/studies/{study_id}/state", data={"state": state.value}))

    def _client(self, user_id: str) -> TestClient:
        if user_id not in self.clients:
            headers = {"Origin": ORIGIN, "Accept": "application/json"}
            client = TestClient(self.app, headers=headers, follow_redirects=False)
            client.portal = self.portal
            session = base64.b64encode(json.dumps({"uid": user_id, "version": 1}).encode())
            client.cookies.set("tuneshift_session", TimestampSigner(self.app.state.secret).sign(session).decode())
            self.clients[user_id] = client
        return self.clients[user_id]

    @staticmethod
    def _token(place: str) -> str | None:
        return place.removeprefix("/judge/") if place.startswith("/judge/") else None

    @staticmethod
    def _ok(reply: Any) -> int:
        return 200 if reply.status_code == 303 else reply.status_code
