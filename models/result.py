"""What a study was found to say, kept so that a page need not compute it anew for everybody who looks."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON
from sqlmodel import Field, SQLModel


class StudyFindings(SQLModel, table=True):
    """The findings of one state of a study's data, the newest that were computed.

    `stamp` names that state and the code that computed; another stamp means that they are out of date. `judgments` is
    how many there were, excluded ones too, and `findings` is what `app.results.report.found` writes.
    """

    study_id: str = Field(foreign_key="study.id", primary_key=True)
    stamp: str = Field(max_length=64)
    judgments: int
    findings: dict[str, Any] = Field(sa_type=JSON)
    as_of: datetime
