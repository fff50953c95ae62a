"""Whom a study's rows name, in the database it moves to: who they are there, and who arrives.

A person is known there by their id, or else by their e-mail address. What is known of them there stands: name,
password, role. Who is not known there arrives with nothing but what an annotator may do, and signs in anew.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Table, select
from sqlmodel import SQLModel

from app.database.study_parts import references
from app.errors import ConfigurationError
from models import Role

_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class People:
    """`called` gives a person's id in the other database where it differs; `arriving` are rows to add there."""

    called: Mapping[str, str]
    arriving: Sequence[Mapping[str, Any]]
    known: int


def meet(origin: Connection, copy: Connection, ids: Collection[str]) -> People:
    """Find out who people are in the database to move to.

    Raises ConfigurationError, naming the first, where an id there is somebody else's, or where somebody who runs
    studies may not do so there: only a command or an owner of that server gives such a right.
    """
    called: dict[str, str] = {}
    arriving: list[Mapping[str, Any]] = []
    for row in _rows(origin, "id", ids):
        there = _known(copy, row)
        if row["role"] != Role.ANNOTATOR and row["disabled_at"] is None:
            _refuse_rise(row, there)
        if there is None:
            arriving.append(_arriving(row))
        elif there["id"] != row["id"]:
            called[row["id"]] = there["id"]
    return People(called, arriving, len(ids) - len(arriving))


def called_there(table: Table, row: Sequence[Any], called: Mapping[str, str]) -> list[Any]:
    """Name people in a row as the other database calls them."""
    columns = references(table, _user())
    return [
        called.get(value, value) if column.name in columns else value
        for column, value in zip(table.columns, row, strict=True)
    ]


def without_sign_in(table: Table, row: Sequence[Any]) -> list[Any]:
    """Revoke an open invitation, from its beginning, that would sign somebody in or let in more than an annotator."""
    values = dict(zip((column.name for column in table.columns), row, strict=True))
    is_open = values["used_at"] is None and values["revoked_at"] is None
    if is_open and (values["user_id"] is not None or values["role"] != Role.ANNOTATOR):
        values["revoked_at"] = values["created_at"]
    return list(values.values())


def _known(copy: Connection, row: Mapping[str, Any]) -> Mapping[str, Any] | None:
    by_id = next(iter(_rows(copy, "id", [row["id"]])), None)
    if by_id is None:
        return next(iter(_rows(copy, "email", [row["email"]])), None)
    if by_id["email"] != row["email"]:
        raise ConfigurationError(
            f"user {row['id']}: the column email is not the same in both databases, so these are two people.",
            remedy="Nothing was moved. Somebody who was removed in one database has to be removed in the other first.",
        )
    return by_id


def _refuse_rise(row: Mapping[str, Any], there: Mapping[str, Any] | None) -> None:
    if there is not None and there["role"] != Role.ANNOTATOR:
        return
    here = f"{row['email']} ({row['role'].value} in the database to move from)"
    if there is None:
        raise ConfigurationError(
            f"{here} has no account in the database to move to, and a study brings no rights along.",
            remedy="Add them there first, with TUNESHIFT_DATABASE_URL set to its address: "
            f"tuneshift user add {row['email']} --role researcher",
        )
    raise ConfigurationError(
        f"{here} is an annotator in the database to move to, and a study brings no rights along.",
        remedy="Let an owner there send them an invitation as a researcher first.",
    )


def _arriving(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Take along who somebody is, and end their sessions; somebody switched off can at most have run studies."""
    role = Role.ANNOTATOR if row["role"] == Role.ANNOTATOR else Role.RESEARCHER
    return {**row, "role": role, "session_version": row["session_version"] + 1}


def _rows(connection: Connection, column: str, values: Collection[str]) -> Iterator[Mapping[str, Any]]:
    left = iter(sorted(values))
    while some := list(islice(left, _AT_ONCE)):
        query = select(_user()).where(_user().c[column].in_(some))
        yield from [dict(row) for row in connection.execute(query).mappings()]


def _user() -> Table:
    return SQLModel.metadata.tables["user"]
