"""The comprehension check before the first item: what is asked, how it is marked, and whether somebody may start.

A study keeps it as `[{"question", "choices", "right", "why"}]`; `right` and `why` go to nobody before they answered.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session, col, select

from app.errors import ConflictError
from models import ComprehensionAttempt, Membership, Study

ATTEMPTS = 2


@dataclass(frozen=True, slots=True)
class CheckQuestion:
    """One question as it is put; after the last attempt `chosen` and `why` explain it."""

    text: str
    choices: tuple[str, ...]
    chosen: int | None = None
    correct: bool | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class CheckStanding:
    """Where somebody stands with a check: attempts used and left, and whether they passed. Without questions all do.

    `extra` attempts were given by a researcher.
    """

    asked: int
    used: int
    passed: bool
    extra: int = 0

    @property
    def left(self) -> int:
        """Attempts that remain."""
        return 0 if self.passed else ATTEMPTS + self.extra - self.used

    @property
    def failed(self) -> bool:
        """Tell whether no attempt is left and none was passed."""
        return not self.passed and self.left <= 0


def standing(session: Session, study: Study, user_id: str) -> CheckStanding:
    """Tell where a person stands with a study's check."""
    if not study.comprehension:
        return CheckStanding(asked=0, used=0, passed=True)
    attempts = attempts_of(session, study.id, user_id)
    member = session.get(Membership, (study.id, user_id))
    return CheckStanding(
        asked=len(study.comprehension),
        used=len(attempts),
        passed=any(attempt.passed for attempt in attempts),
        extra=member.extra_tries if member else 0,
    )


def may_start(session: Session, study: Study, user_id: str) -> bool:
    """Tell whether a person may be handed items: there is no check, or they passed it."""
    return standing(session, study, user_id).passed


def attempts_of(session: Session, study_id: str, user_id: str) -> Sequence[ComprehensionAttempt]:
    """List a person's attempts, first to last."""
    return session.exec(
        select(ComprehensionAttempt)
        .where(ComprehensionAttempt.study_id == study_id, ComprehensionAttempt.user_id == user_id)
        .order_by(col(ComprehensionAttempt.number))
    ).all()


def questions_of(study: Study, attempt: ComprehensionAttempt | None = None) -> list[CheckQuestion]:
    """List a study's questions; with an attempt, what was chosen and, where it was wrong, why."""
    if attempt is None:
        return [CheckQuestion(one["question"], tuple(one["choices"])) for one in study.comprehension]
    marked = []
    for one, chosen in zip(study.comprehension, attempt.answers, strict=False):
        correct = chosen == one["right"]
        why = "" if correct else str(one.get("why", ""))
        marked.append(CheckQuestion(one["question"], tuple(one["choices"]), chosen, correct, why))
    return marked


def read_answers(study: Study, sent: Mapping[str, str]) -> list[int] | None:
    """Read `q0`, `q1`... as choices; None where one is missing or no choice of its question."""
    answers = []
    for at, one in enumerate(study.comprehension):
        text = sent.get(f"q{at}", "")
        if not (text.isascii() and text.isdigit()) or int(text) >= len(one["choices"]):
            return None
        answers.append(int(text))
    return answers


def record_attempt(
    session: Session, study: Study, user_id: str, answers: list[int], now: datetime
) -> ComprehensionAttempt:
    """Store an attempt, marked; every answer must be right to pass.

    Raises ConflictError for somebody who passed already or has no attempt left.
    """
    before = standing(session, study, user_id)
    if before.left <= 0:
        raise ConflictError("This check is over for you; nothing was changed.")
    right = sum(chosen == one["right"] for chosen, one in zip(answers, study.comprehension, strict=True))
    attempt = ComprehensionAttempt(
        study_id=study.id,
        user_id=user_id,
        number=before.used + 1,
        answers=answers,
        right=right,
        passed=right == len(study.comprehension),
        created_at=now,
    )
    session.add(attempt)
    session.flush()
    return attempt
