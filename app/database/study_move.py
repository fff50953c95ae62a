"""Move one study from one database to another, which may hold other studies: all that belongs to it, or nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine, insert
from sqlmodel import Session, SQLModel, col, select

from app.accounts.audit import record
from app.database.move import Report
from app.database.study_fit import refuse_at_work, refuse_half_imported, refuse_unfit, wanted
from app.database.study_parts import moved_tables, people_of_study, rows_of_study
from app.database.study_people import People, meet
from app.database.study_rows import Brought, Work, bring, compare
from app.db import snapshot, writing
from app.errors import ConfigurationError
from app.studies.questions import read_questions
from models import Arm, ImportState, Study, TuningSet


@dataclass(frozen=True, slots=True)
class Moved:
    """What came of it. `was_there` says that the study had been moved before, whole, so that nothing was done now.

    `arrived` people were not known in the other database, `known` ones were. `checkpoints` are the names by which the
    registry there is asked for whatever is generated or scored from now on.
    """

    slug: str
    state: str
    tables: Mapping[str, Brought]
    arrived: int
    known: int
    checkpoints: tuple[str, ...]
    was_there: bool


def move_study(
    source: Engine, target: Engine, study: str, *, now: datetime, report: Report = lambda _table, _rows: None
) -> Moved:
    """Copy a study, named by id or short name, at one moment of `source`, into `target`; `source` is not changed.

    Raises NotFoundError for an unknown study, ConflictError while anybody is at work in it, and ConfigurationError
    where a database cannot be used or a row has no place in `target`; nothing is copied then.
    """
    refuse_unfit(source, target)
    with snapshot(source) as old, writing(target) as new:
        found = wanted(old, study)
        refuse_at_work(old, found, now)
        asked = read_questions(found.questions).evidence
        origin, copy, set_id = old.connection(), new.connection(), asked.set_id if asked else None
        _refuse_sets(old, new, found.id, set_id)
        people = meet(origin, copy, people_of_study(origin, found.id, set_id))
        work = Work(origin, copy, found.id, set_id, people.called, report)
        if new.get(Study, found.id) is not None:
            return _moved(old, found, _the_same(work, found), people, was_there=True)
        _let_in(copy, people)
        tables = {table.name: bring(work, table) for table in moved_tables()}
        rows = sum(one.new for one in tables.values())
        record(new, by=None, action="study moved here", about=found.id, detail=f"{found.slug}, {rows} rows")
        return _moved(old, found, tables, people, was_there=False)


def _the_same(work: Work, study: Study) -> dict[str, Brought]:
    try:
        return {table.name: compare(work, table) for table in moved_tables()}
    except ConfigurationError as error:
        raise ConfigurationError(
            f"The study {study.slug} is in the database to move to already and is not the same: {error.message}",
            remedy="Nothing was moved: a study moves once, and then goes on in one of the two.",
        ) from error


def _let_in(copy: Connection, people: People) -> None:
    """Add who arrives, and read them back."""
    user = SQLModel.metadata.tables["user"]
    for row in people.arriving:
        copy.execute(insert(user).values(**row))
        there = copy.execute(user.select().where(user.c.id == row["id"])).mappings().one()
        if dict(there) != dict(row):
            raise ConfigurationError(f"user {row['id']} came out different; nothing was moved.")


def _refuse_sets(old: Session, new: Session, study_id: str, asked_set: str | None) -> None:
    """Refuse sets that are half imported, or whose file is there as another set: no two sets are of one file."""
    table = SQLModel.metadata.tables["tuningset"]
    needed = old.exec(select(TuningSet).where(rows_of_study(table, study_id, asked_set))).all()
    refuse_half_imported(old, [one.id for one in needed])
    for one in needed:
        same = select(TuningSet.id).where(
            TuningSet.sha256 == one.sha256, TuningSet.id != one.id, col(TuningSet.state) != ImportState.FAILED
        )
        if (other := new.exec(same).first()) is not None:
            raise ConfigurationError(
                f"tuningset {one.id} ({one.name}): tuningset {other} of the database to move to has the same sha256.",
                remedy="Nothing was moved. Delete that one there, if nothing refers to it, then move again.",
            )


def _moved(old: Session, study: Study, tables: dict[str, Brought], people: People, *, was_there: bool) -> Moved:
    arms = select(Arm.checkpoint).where(Arm.study_id == study.id, Arm.checkpoint != "").distinct()
    names = tuple(sorted(old.exec(arms)))
    return Moved(study.slug, study.state.value, tables, len(people.arriving), people.known, names, was_there=was_there)
