"""The open link of a study, by which anybody may join: made, replaced, stopped. Only its hash is kept."""

from sqlmodel import Session, select

from app.accounts.queries import new_token, token_hash
from app.accounts.standing import note
from app.errors import ConflictError, NotFoundError
from app.settings import Settings
from models import Study, User


def join_url(settings: Settings, token: str) -> str:
    """Write the link to hand out, at the address the operator gave; no header of a request has a say in it."""
    return f"{settings.public_url.rstrip('/')}/join/{token}"


def make_link(session: Session, study: Study, settings: Settings, *, by: User) -> str:
    """Make a study's open link and return it, this once; one that was there is dead at once."""
    token = new_token()
    replaced = study.open_link_sha256 is not None
    study.open_link_sha256 = token_hash(token)
    session.add(study)
    session.flush()
    note(session, study.id, by.id, "open link", "replaced by a new one" if replaced else "made")
    return join_url(settings, token)


def stop_link(session: Session, study: Study, *, by: User) -> None:
    """Stop a study's open link. Raises ConflictError where there is none."""
    if study.open_link_sha256 is None:
        raise ConflictError("This study has no open link, so there is none to stop.")
    study.open_link_sha256 = None
    session.add(study)
    session.flush()
    note(session, study.id, by.id, "open link", "stopped")


def study_of(session: Session, token: str, *, lock: bool = False) -> Study:
    """Load the study of an open link. Raises NotFoundError for one that is not known, or not any more."""
    query = select(Study).where(Study.open_link_sha256 == token_hash(token))
    study = session.exec(query.with_for_update() if lock else query).first()
    if study is None:
        raise NotFoundError(
            "This link is not one we know, or it has been replaced.",
            remedy="Check that it was copied whole, or ask whoever sent it for the newest one.",
        )
    return study
