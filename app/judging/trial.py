"""The judging page of a study for whoever sets it up, to try out: built like an annotator's, stored nowhere."""

from sqlmodel import Session

from app.judging.blind import BlindAnswer, BlindItem, BlindResponse
from app.judging.page import blind_questions
from app.judging.queries import shown_response
from app.studies.drafts import regular_items
from app.studies.questions import read_questions
from app.studies.trial import first_item
from models import Study, User

TOKEN = "trial"  # noqa: S105  the place of a presentation's id, where there is no presentation
_NOT_YET = BlindResponse("There is no response here yet. It will stand here whole, as it was stored.", complete=True)


def trial_item(session: Session, study: Study, user: User) -> BlindItem:
    """Build the page of a study's first item and first pair. Raises ConflictError where no prompt is saved."""
    prompt, found = first_item(session, study)
    left, right = (shown_response(session, study.id, one) if one else _NOT_YET for one in found)
    return BlindItem(
        token=TOKEN,
        study=study.name,
        study_id=study.id,
        prompt=prompt,
        left=left,
        right=right,
        questions=blind_questions(read_questions(study.questions)),
        guidelines=study.guidelines,
        guideline_version=study.guideline_version,
        guideline_changed=False,
        position=1,
        total=len(regular_items(session, study)),
        practice=False,
        submitted=False,
        open=True,
        previous="",
        next="",
        answer=BlindAnswer(),
        outbox=f"{TOKEN}-{study.id}",
        pace_ms=0,
        shortcuts=dict(user.shortcuts),
        lease_s=0,
    )
