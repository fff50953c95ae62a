"""What a researcher decides about flags: kept, redacted, or the response excluded. Each is written down, and undone."""

from collections.abc import Sequence
from datetime import datetime

from sqlmodel import Session, col, select

from app.errors import ConflictError, InvalidInputError, NotFoundError
from models import Arm, Item, ItemResponse, LeakDecision, LeakFlag, LeakKind, Study, StudyEvent, StudyState, User

WORDS = {
    LeakKind.SELF_IDENTIFICATION: "Says who it is",
    LeakKind.HOUSE_STYLE: "House style",
    LeakKind.TEMPLATE: "Template debris",
    LeakKind.TRUNCATION: "Cut off",
    LeakKind.SAMENESS: "Same answer to many prompts",
}
_DONE = {
    LeakDecision.UNDECIDED: "Took back the decision on",
    LeakDecision.KEEP: "Kept",
    LeakDecision.REDACT: "Redacted",
    LeakDecision.EXCLUDE: "Excluded the response of",
}


def flags_by_id(session: Session, study: Study, ids: Sequence[str]) -> list[LeakFlag]:
    """Load flags of a study; raises NotFoundError where one is not the study's, or there is none."""
    wanted = set(ids)
    found = list(session.exec(select(LeakFlag).where(LeakFlag.study_id == study.id, col(LeakFlag.id).in_(wanted))))
    if not found or len(found) < len(wanted):
        raise NotFoundError("There is no such flag in this study.", remedy="Load the page again; it may be gone.")
    return found


def flags_of_group(session: Session, study: Study, kind: str, arm: str, decision: LeakDecision) -> list[LeakFlag]:
    """Load a kind's flags of one arm: the undecided ones, or to undo, the decided ones. Raises NotFoundError."""
    if kind not in set(LeakKind):
        raise InvalidInputError(f"There is no kind of flag called {kind[:40]!r}.")
    query = (
        select(LeakFlag)
        .join(ItemResponse, col(ItemResponse.response_id) == col(LeakFlag.response_id))
        .join(Arm, col(Arm.id) == col(ItemResponse.arm_id))
        .where(Arm.study_id == study.id, LeakFlag.study_id == study.id, LeakFlag.kind == LeakKind(kind))
        .where(Arm.name == arm)
        .distinct()
    )
    undo = decision is LeakDecision.UNDECIDED
    found = [flag for flag in session.exec(query) if (flag.decision is not LeakDecision.UNDECIDED) == undo]
    if not found:
        raise NotFoundError("There is no flag left in that group.", remedy="Load the page again.")
    return found


def decide(
    session: Session, study: Study, flags: Sequence[LeakFlag], decision: LeakDecision, *, user: User, now: datetime
) -> None:
    """Record a decision on flags, with who and when; `undecided` takes it back.

    Raises ConflictError while the study is open, because texts that are being judged do not change, and
    InvalidInputError for redacting a flag on a whole response. Then nothing is decided.
    """
    if study.state is StudyState.OPEN:
        raise ConflictError(
            "The study is open, and texts do not change while they are judged.", remedy="Pause it first."
        )
    whole = sum(flag.start == flag.end for flag in flags)
    if decision is LeakDecision.REDACT and whole:
        raise InvalidInputError(
            f"{whole} of these flags concern{'s' if whole == 1 else ''} a whole response, which cannot be masked.",
            remedy="Keep or exclude it.",
        )
    undo = decision is LeakDecision.UNDECIDED
    for flag in flags:
        flag.decision = decision
        flag.decided_by, flag.decided_at = (None, None) if undo else (user.id, now)
        session.add(flag)
    session.flush()
    _withhold(session, study, {flag.response_id for flag in flags})
    session.add(StudyEvent(study_id=study.id, user_id=user.id, action="leaks", detail=_sentence(flags, decision)))
    session.flush()


def _sentence(flags: Sequence[LeakFlag], decision: LeakDecision) -> str:
    kinds = sorted({WORDS[flag.kind].lower() for flag in flags})
    quoted = f", {flags[0].quote[:80]!r}" if len(flags) == 1 and flags[0].quote else ""
    ids = ", ".join(sorted(flag.id for flag in flags[:20]))
    more = f" and {len(flags) - 20} more" if len(flags) > 20 else ""  # noqa: PLR2004  as many as a line bears
    number = f"{len(flags)} flag{'' if len(flags) == 1 else 's'}"
    return f"{_DONE[decision]} {number}: {', '.join(kinds)}{quoted} ({ids}{more})."


def _withhold(session: Session, study: Study, response_ids: set[str]) -> None:
    """Withhold a response exactly when one of its flags excludes it."""
    ordered = sorted(response_ids)
    for at in range(0, len(ordered), 500):
        some = ordered[at : at + 500]
        excluded = set(
            session.exec(
                select(LeakFlag.response_id).where(
                    LeakFlag.study_id == study.id,
                    col(LeakFlag.response_id).in_(some),
                    col(LeakFlag.decision) == LeakDecision.EXCLUDE,
                )
            )
        )
        rows = session.exec(
            select(ItemResponse)
            .join(Item, col(Item.id) == col(ItemResponse.item_id))
            .where(Item.study_id == study.id, col(ItemResponse.response_id).in_(some))
        )
        for row in rows:
            row.withheld = row.response_id in excluded
            session.add(row)
    session.flush()
