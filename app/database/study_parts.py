"""Which rows belong to one study: every table has its place here, so that a new one cannot be forgotten."""

from enum import StrEnum
from functools import lru_cache

from sqlalchemy import CTE, ColumnElement, Connection, Select, Table, func, literal, or_, select, union
from sqlmodel import SQLModel

import models  # noqa: F401  importing registers the tables
from models import ImportState


class Part(StrEnum):
    """How the rows of a table belong to a study.

    `own`: the study's alone. `trail`: what was done to it, which outlives it. `shared`: what other studies may refer to
    as well, and is the same for all. `derived`: made from the rest, so what a database has made already stands.
    `people`: whoever is referred to. `server`: not of a study; it stays where it is.
    """

    OWN = "own"
    TRAIL = "trail"
    SHARED = "shared"
    DERIVED = "derived"
    PEOPLE = "people"
    SERVER = "server"


PARTS: dict[str, Part] = {
    "study": Part.OWN,
    "arm": Part.OWN,
    "pair": Part.OWN,
    "item": Part.OWN,
    "guideline": Part.OWN,
    "itemresponse": Part.OWN,
    "responsefailure": Part.OWN,
    "generationrun": Part.OWN,
    "scoringrun": Part.OWN,
    "scoringtask": Part.OWN,
    "leakflag": Part.OWN,
    "exclusion": Part.OWN,
    "invite": Part.OWN,
    "membership": Part.OWN,
    "comprehensionattempt": Part.OWN,
    "exitanswer": Part.OWN,
    "presentation": Part.OWN,
    "revision": Part.OWN,
    "span": Part.OWN,
    "evidence": Part.OWN,
    "evidenceopening": Part.OWN,
    "evidenceanswer": Part.OWN,
    "studyevent": Part.TRAIL,
    "response": Part.SHARED,
    "trace": Part.SHARED,
    "tuningset": Part.SHARED,
    "tuninginstance": Part.SHARED,
    "traceaggregate": Part.DERIVED,
    "borrowing": Part.DERIVED,
    # Said of a checkpoint's name, so what the server says of that name already stands.
    "tuningsetuse": Part.DERIVED,
    "user": Part.PEOPLE,
    # Keys, the log and the throttles are the server's; files hold what was exported and is exported anew.
    "apitoken": Part.SERVER,
    "auditevent": Part.SERVER,
    "throttlemoment": Part.SERVER,
    "export": Part.SERVER,
    # Computed anew by whoever looks first; the stamp is of the other database.
    "studyfindings": Part.SERVER,
    # One lexicon counts for all studies of a server.
    "lexicon": Part.SERVER,
    # Beside the studies: nothing of a study refers to them.
    "comparison": Part.SERVER,
    "comparisoncolumn": Part.SERVER,
    "scoredfile": Part.SERVER,
    "scoredline": Part.SERVER,
}

# The column by which a row hangs on another row of the study, where it does not name the study itself.
_HANGS_BY = {
    "itemresponse": "item_id",
    "responsefailure": "item_id",
    "scoringtask": "run_id",
    "revision": "presentation_id",
    "evidence": "presentation_id",
    "span": "revision_id",
    "evidenceopening": "evidence_id",
    "evidenceanswer": "span_id",
}


def moved_tables() -> list[Table]:
    """List the tables of which a study has rows, each after those it refers to, but for the people."""
    return [table for table in SQLModel.metadata.sorted_tables if PARTS[table.name] not in {Part.SERVER, Part.PEOPLE}]


def rows_of_study(table: Table, study_id: str, asked_set: str | None) -> ColumnElement[bool]:
    """Say which rows of a table belong to a study; `asked_set` is the tuning set its questions name."""
    if PARTS[table.name] in {Part.OWN, Part.TRAIL}:
        return _own(table, study_id)
    if table.name == "response":
        return table.c.id.in_(select(_chain(study_id).c.id))
    if table.name in {"trace", "traceaggregate", "borrowing"}:
        return table.c.response_id.in_(select(_chain(study_id).c.id))
    sets = _sets(study_id, asked_set)
    if table.name == "tuningsetuse":
        return table.c.set_id.in_(sets) & table.c.checkpoint.in_(_checkpoints(study_id))
    return table.c["id" if table.name == "tuningset" else "set_id"].in_(sets)


def in_order(table: Table, study_id: str) -> Select[tuple[str, int]] | None:
    """Return ids and how deep they lie, for a table whose rows point at its own rows: the deepest go first."""
    if table.name != "response":
        return None
    chain = _chain(study_id)
    return select(chain.c.id, func.max(chain.c.depth).label("depth")).group_by(chain.c.id)


def people_of_study(origin: Connection, study_id: str, asked_set: str | None) -> set[str]:
    """List the ids of everybody whom a row of the study names."""
    user = _table("user")
    return {
        key
        for table in moved_tables()
        for column in references(table, user)
        for key in origin.execute(
            select(table.c[column])
            .where(rows_of_study(table, study_id, asked_set), table.c[column].is_not(None))
            .distinct()
        ).scalars()
    }


def references(table: Table, other: Table) -> list[str]:
    """Name the columns of a table that point at another one."""
    return sorted(key.parent.name for key in table.foreign_keys if key.column.table is other)


def _own(table: Table, study_id: str) -> ColumnElement[bool]:
    if table.name == "study":
        return table.c.id == study_id
    if table.name not in _HANGS_BY:
        return table.c.study_id == study_id
    column = table.c[_HANGS_BY[table.name]]
    (key,) = column.foreign_keys
    return column.in_(select(key.column).where(_own(key.column.table, study_id)))


@lru_cache(maxsize=1)
def _chain(study_id: str) -> CTE:
    """Find the study's responses, and whatever those go on from, with how many steps that is."""
    # Kept, since a query that names it twice must name the same one.
    response = _table("response")
    named = union(
        *(
            select(table.c[column].label("id")).where(_own(table, study_id))
            for table in SQLModel.metadata.sorted_tables
            if PARTS[table.name] is Part.OWN
            for column in references(table, response)
        )
    ).subquery()
    chain = select(named.c.id, literal(0).label("depth")).cte("chain", recursive=True)
    above = select(response.c.parent_id, chain.c.depth + 1).join(chain, chain.c.id == response.c.id)
    return chain.union(above.where(response.c.parent_id.is_not(None)))


def _sets(study_id: str, asked_set: str | None) -> Select[tuple[str]]:
    """Find the sets that the study asks about, showed, was measured against, or whose use its arms' names stand for."""
    sets, use, evidence, borrowing = (_table(name) for name in ("tuningset", "tuningsetuse", "evidence", "borrowing"))
    tuned_on = select(use.c.set_id).where(use.c.checkpoint.in_(_checkpoints(study_id)))
    return select(sets.c.id).where(
        or_(
            sets.c.id == asked_set,
            sets.c.id.in_(select(evidence.c.set_id).where(_own(evidence, study_id))),
            sets.c.id.in_(select(borrowing.c.set_id).where(rows_of_study(borrowing, study_id, asked_set))),
            sets.c.id.in_(tuned_on) & (sets.c.state != ImportState.FAILED),
        )
    )


def _checkpoints(study_id: str) -> Select[tuple[str]]:
    arm = _table("arm")
    return select(arm.c.checkpoint).where(arm.c.study_id == study_id)


def _table(name: str) -> Table:
    return SQLModel.metadata.tables[name]
