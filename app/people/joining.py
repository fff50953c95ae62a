"""Joining a study by its open link: as whom, and why not. What is shown beforehand names no model."""

from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session, select

from app.accounts.queries import add_guest, join_study
from app.accounts.standing import note
from app.errors import ConflictError
from app.monitor.votes import aware
from app.people.members import RETURNED
from app.people.rules import asked_in_words
from app.studies.queries import may_see
from app.studies.questions import read_questions
from app.studies.slots import held_by_others, open_slots, places_taken
from models import Membership, Study, StudyState, User

_CLOSED = {
    StudyState.DRAFT: "This study has not started yet. Come back when you are told that it has.",
    StudyState.PAUSED: "This study is paused, so nobody can join it now. Come back later.",
    StudyState.CLOSED: "This study is over, so nobody can join it any more. Thank you for your interest.",
}
_NOT_BLIND = "You may see who wrote what in this study, so you cannot judge in it."


@dataclass(frozen=True, slots=True)
class JoinPage:
    """What somebody reads before they join. `closed` says why they cannot; `member` that this browser takes part."""

    name: str
    asks: tuple[str, ...]
    items: int
    check: int
    external_id: str
    closed: str
    member: bool
    other_id: bool


def join_page(session: Session, study: Study, user: User | None, external_id: str, now: datetime) -> JoinPage:
    """Say what a study asks, and whether whoever opened its link may join."""
    questions = read_questions(study.questions)
    own = session.get(Membership, (study.id, user.id)) if user else None
    known = _known(session, study, external_id)
    slots = open_slots(session, study, (), places_taken(session, study, now))
    free = len(slots) if study.repeat_items else len({slot.item_id for slot in slots})
    switches = {
        "acceptability": questions.acceptability,
        "spans": questions.spans,
        "evidence": questions.evidence is not None,
    }
    other = own is not None and bool(external_id) and (own.external_id or external_id) != external_id
    return JoinPage(
        name=study.name,
        asks=tuple(asked_in_words(switches, [dimension.title for dimension in questions.dimensions])),
        items=free if study.per_annotator is None else min(free, study.per_annotator),
        check=len(study.comprehension),
        external_id=external_id,
        closed=_closed(session, study, user, now, known=known is not None or (own is not None and not other)),
        member=own is not None,
        other_id=other,
    )


def join(session: Session, study: Study, user: User | None, external_id: str, now: datetime, *, secret: str) -> User:
    """Make whoever opened the link a member and return as whom; a known external id is who they are already.

    Without an account of their own they are a guest. The caller has locked the study, so two requests with one id make
    one member. Raises ConflictError in words for a study that takes nobody now, or for an id that is an account's.
    """
    if user is not None and may_see(session, study, user):
        raise ConflictError(_NOT_BLIND, remedy="Open the link in a private window to see what annotators see.")
    known = _known(session, study, external_id)
    if known is not None:
        return _come_back(session, study, known, user)
    own = session.get(Membership, (study.id, user.id)) if user else None
    if own is not None and (not external_id or own.external_id in {None, external_id}):
        own.external_id = own.external_id or external_id or None
        session.add(own)
        return session.get_one(User, own.user_id)
    if reason := _why_not(session, study, now):
        raise ConflictError(reason)
    person = session.get_one(User, user.id) if user and own is None else add_guest(session)
    member = join_study(session, study_id=study.id, user_id=person.id, secret=secret)
    member.external_id = external_id or None
    member.joined_beside = own.user_id if own else None
    session.add(member)
    session.flush()
    return person


def is_new(session: Session, study: Study, user: User | None, external_id: str) -> bool:
    """Tell whether joining would make another member."""
    own = session.get(Membership, (study.id, user.id)) if user else None
    if _known(session, study, external_id) is not None:
        return False
    return own is None or bool(external_id and own.external_id not in {None, external_id})


def _come_back(session: Session, study: Study, known: Membership, user: User | None) -> User:
    person = session.get_one(User, known.user_id)
    if user is not None and user.id == person.id:
        return person
    if not person.is_guest or person.disabled_at is not None:
        # An id is no password: it opens nothing that a person could sign in to.
        raise ConflictError(
            "Somebody with an account takes part under this participant id.", remedy="Sign in with that account."
        )
    note(session, study.id, person.id, RETURNED, f"{known.pid} opened the link again in another browser")
    return person


def _known(session: Session, study: Study, external_id: str) -> Membership | None:
    if not external_id:
        return None
    query = select(Membership).where(Membership.study_id == study.id, Membership.external_id == external_id)
    return session.exec(query).first()


def _closed(session: Session, study: Study, user: User | None, now: datetime, *, known: bool) -> str:
    if user is not None and may_see(session, study, user):
        return f"{_NOT_BLIND} Open the link in a private window to see what annotators see."
    return "" if known else _why_not(session, study, now)


def _why_not(session: Session, study: Study, now: datetime) -> str:
    if study.state in _CLOSED:
        return _CLOSED[study.state]
    if open_slots(session, study, (), places_taken(session, study, now)):
        return ""
    _, until = held_by_others(session, study, "", now)
    if until is None:
        return "This study has all the judgments it needs. Thank you for your interest."
    return f"Every item is in somebody's hands now. What they leave is free again from {aware(until):%H:%M} UTC."
