"""The question at the end of a study: did you recognise a model? Asked where a study asks it then, not per item."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlmodel import Session, col, func, select

from app.errors import ConflictError, NotFoundError
from app.judging.forms import no_repetition, refusal
from app.judging.queries import DONE, NOT_YOURS
from app.studies.questions import read_questions
from models import ExitAnswer, Membership, Presentation, Study, StudyState, User


class SentExit(BaseModel):
    """The form at the end, as sent."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    recognised_model: Literal["yes", "no"]
    recognised_guess: Annotated[str, Field(max_length=200)] = ""
    comment: Annotated[str, Field(max_length=2_000)] = ""


def read_exit(fields: Iterable[tuple[str, Any]]) -> SentExit:
    """Read the form. Raises InvalidInputError naming the first field that is wrong."""
    try:
        return SentExit.model_validate(no_repetition(fields))
    except ValidationError as error:
        raise refusal(error) from error


def membership(session: Session, study_id: str, annotator: User) -> tuple[Study, Membership]:
    """Load a study with the annotator's place in it. Raises NotFoundError where they have none, or it is a draft."""
    study = session.get(Study, study_id)
    member = session.get(Membership, (study_id, annotator.id))
    if study is None or member is None or study.state == StudyState.DRAFT:
        raise NotFoundError(NOT_YOURS)
    return study, member


def asked_at_the_end(study: Study) -> bool:
    """Tell whether a study asks at the end."""
    return read_questions(study.questions).recognised == "end"


def answer_exit(session: Session, study: Study, annotator: User, sent: SentExit, now: datetime) -> None:
    """Keep an annotator's answer; it may change until the study closes.

    Raises NotFoundError where the study does not ask, ConflictError before the first judgment or after closing.
    """
    if not asked_at_the_end(study):
        raise NotFoundError(NOT_YOURS)
    if study.state == StudyState.CLOSED:
        raise ConflictError("This study is closed, so answers can no longer change.")
    done = session.exec(
        select(func.count())
        .select_from(Presentation)
        .where(
            Presentation.study_id == study.id,
            Presentation.annotator_id == annotator.id,
            col(Presentation.state).in_(DONE),
        )
    ).one()
    if not done:
        raise ConflictError("You have not judged anything in this study yet.", remedy="This question comes after it.")
    answer = session.get(ExitAnswer, (study.id, annotator.id)) or ExitAnswer(
        study_id=study.id, user_id=annotator.id, recognised_model=False
    )
    answer.recognised_model = sent.recognised_model == "yes"
    answer.recognised_guess = sent.recognised_guess.strip() if answer.recognised_model else ""
    answer.comment = sent.comment.strip()
    answer.created_at = now
    session.add(answer)
