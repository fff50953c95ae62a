"""Bringing judgments made elsewhere into a study: all of a file, or nothing of it.

An imported annotator is a member who cannot sign in, and every imported presentation names the file it came in.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert
from sqlmodel import Session, col, select

from app.errors import ConflictError, InvalidInputError
from app.results.given_rows import GivenJudgment
from app.results.judgments import judgments
from app.results.outside_rows import OWN, GivenFile, plain, read_judgments
from app.studies.checking_rows import MAX_TEXT
from app.studies.drafts import regular_items
from app.studies.imports import SentFile, import_answers
from app.studies.read_files import finished_of
from app.studies.records import decoded
from app.studies.rules import MAX_ERRORS_SHOWN, BadRowsError
from models import (
    Arm,
    Item,
    ItemKind,
    ItemResponse,
    Membership,
    Pair,
    Presentation,
    PresentationState,
    Response,
    Revision,
    RevisionKind,
    Role,
    Study,
    StudyEvent,
    StudyState,
    User,
)
from models.base import new_id

_OURS = re.compile(r"a[0-9a-f]{8,31}").fullmatch
_CHUNK = 1_000
_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a file gives a draft: so many prompts, the arms it is named for, and so many responses."""

    prompts: int
    arms: tuple[str, ...]
    responses: int


@dataclass(frozen=True, slots=True)
class Found:
    """What a file would bring, or brought: judgments new and already there, and what is worth knowing of them.

    `left_out` rows say nothing. With `prepared` the judgments wait until the draft is open.
    """

    new: int
    there: int
    annotators: int
    new_annotators: int
    changed: int
    sha256: str
    form: str = OWN
    left_out: int = 0
    prepared: Prepared | None = None


@dataclass(frozen=True, slots=True)
class _Placed:
    """A row and what it means in this study."""

    given: GivenJudgment
    pid: str
    item_id: str
    pair_id: str
    arms: tuple[str, str]
    responses: tuple[str, str]


class _Design:
    """What rows are matched against: items by id and prompt, arms by name, pairs, and the responses."""

    def __init__(self, session: Session, study: Study) -> None:
        items = session.exec(
            select(Item.id, Item.prompt).where(Item.study_id == study.id, Item.kind == ItemKind.REGULAR)
        ).all()
        self.prompts = {plain(prompt): item_id for item_id, prompt in reversed(items)}
        self.prompts |= {prompt: item_id for item_id, prompt in reversed(items)}
        self.items = {item_id for item_id, _ in items}
        arms = session.exec(select(Arm.name, Arm.id).where(Arm.study_id == study.id, col(Arm.special).is_(False)))
        self.arms = dict(arms.all())
        pairs = session.exec(select(Pair).where(Pair.study_id == study.id, col(Pair.special).is_(False)))
        self.pairs = {frozenset((pair.first_arm_id, pair.second_arm_id)): pair.id for pair in pairs}
        responses = session.exec(
            select(ItemResponse.item_id, ItemResponse.arm_id, Response.id, Response.text_sha256)
            .join(Response, col(Response.id) == col(ItemResponse.response_id))
            .join(Item, col(Item.id) == col(ItemResponse.item_id))
            .where(Item.study_id == study.id)
        )
        self.responses = {(item, arm): (response, sha256) for item, arm, response, sha256 in responses}

    def place(self, given: GivenJudgment, pid: str) -> _Placed | str:
        """Say what a row means here, or why it means nothing."""
        item_id = given.item_id if given.item_id in self.items else self.prompts.get(given.prompt)
        if item_id is None:
            return "its prompt is none of this study's"
        unknown = [name for name in (given.model_left, given.model_right) if name not in self.arms]
        if unknown:
            return f"{unknown[0][:60]!r} is no arm of this study, which has {', '.join(sorted(self.arms))}"
        arms = self.arms[given.model_left], self.arms[given.model_right]
        pair_id = self.pairs.get(frozenset(arms))
        if pair_id is None:
            return f"{given.model_left[:60]!r} and {given.model_right[:60]!r} are no pair of this study"
        responses = [self.responses.get((item_id, arm)) for arm in arms]
        models, sources = given.columns[:2], given.columns[2:]
        for model, source, response, sha256 in zip(models, sources, responses, given.hashes, strict=True):
            if response is None:
                return f"the study has no response of {model} to this prompt"
            if sha256 and sha256 != response[1]:
                return f"{source} is that of another response than the study's"
        left, right = (response[0] for response in responses if response is not None)
        return _Placed(given, pid, item_id, pair_id, arms, (left, right))


def import_judgments(
    session: Session,
    study: Study,
    file: SentFile,
    *,
    secret: str,
    by: str | None,
    now: datetime,
    form: str = "",
    max_chars: int = MAX_TEXT,
    check_only: bool = False,
) -> Found:
    """Bring the judgments of a file into a study; the same file again adds nothing.

    `form` is one of `FORMS`, or recognised by the columns. Pseudonyms of ours are kept, other names become pseudonyms
    by a keyed hash. What another tool judged makes the prompts, arms and responses of a draft that has no prompts.
    Raises InvalidInputError naming every wrong row, and ConflictError for any other draft.
    """
    draft = study.state == StudyState.DRAFT
    if draft and regular_items(session, study):
        raise ConflictError("This study is a draft, and its items may still change.", remedy="Open it first.")
    with _in_words(file.name):
        given = read_judgments(decoded(file.raw), form=form, now=now, max_chars=max_chars)
        if draft:
            return _prepare(session, study, given, file, by=by, check_only=check_only)
    new, there = _sorted_out(session, study, given.judgments, name=file.name, secret=secret)
    members = dict(
        session.exec(select(Membership.pid, Membership.user_id).where(Membership.study_id == study.id)).all()
    )
    pids = {one.pid for one in new}
    found = Found(
        new=len(new),
        there=there,
        annotators=len(pids),
        new_annotators=len(pids - members.keys()),
        changed=sum(one.given.changed for one in new),
        sha256=file.sha256,
        form=given.form,
        left_out=given.left_out,
    )
    if new and not check_only:
        _add_people(session, study, new, members, name=file.name, now=now)
        _add_rows(session, study, new, members, sha256=file.sha256)
        detail = f"{file.name}: {found.new} judgments of {found.annotators} annotators, SHA-256 {file.sha256[:12]}"
        session.add(
            StudyEvent(study_id=study.id, user_id=by, action="judgments imported", detail=detail, created_at=now)
        )
        session.flush()
    return found


@contextmanager
def _in_words(name: str) -> Iterator[None]:
    try:
        yield
    except BadRowsError as error:
        raise InvalidInputError(f"{error}", remedy=f"Nothing of {name!r} was kept.") from error


def _prepare(
    session: Session, study: Study, given: GivenFile, file: SentFile, *, by: str | None, check_only: bool
) -> Found:
    """Make the prompts, arms and responses of a draft. Its judgments come in once it is open and nothing changes."""
    if given.form == OWN:
        raise ConflictError(
            "This study is a draft without prompts, and preferences.csv does not hold the responses.",
            remedy="Import them under Set-up, open the study, and send this file then.",
        )
    read = finished_of(given.answers)
    import_answers(session, study, read, file, user_id=by or study.created_by)
    if check_only:
        # Only what is done finds every reason why it cannot be.
        session.rollback()
    people = len({one.annotator for one in given.judgments})
    prepared = Prepared(
        len(read.prompts), tuple(one.arm for one in read.arms), sum(len(one.responses) for one in read.arms)
    )
    return Found(
        new=len(given.judgments),
        there=0,
        annotators=people,
        new_annotators=people,
        changed=0,
        sha256=file.sha256,
        form=given.form,
        left_out=given.left_out,
        prepared=prepared,
    )


def _pseudonym(secret: str, study: Study, annotator: str) -> str:
    if _OURS(annotator):
        return annotator
    message = f"imported:{study.id}:{annotator}".encode("utf-8", "surrogatepass")
    return f"a{hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()[:_DIGITS]}"


def _sorted_out(
    session: Session, study: Study, given: Iterable[GivenJudgment], *, name: str, secret: str
) -> tuple[list[_Placed], int]:
    """Split rows into new ones and those that are there already. Raises InvalidInputError naming every wrong row."""
    design, known = _Design(session, study), _known(session, study)
    problems: list[str] = []
    new: list[_Placed] = []
    there = 0
    for one in given:
        placed = design.place(one, _pseudonym(secret, study, one.annotator))
        if isinstance(placed, str):
            problems.append(f"Row {one.row}: {placed}.")
            continue
        before = known.judged.get((placed.pid, placed.item_id, placed.pair_id))
        if before == (placed.arms[0], one.preference):
            there += 1
        elif before is not None:
            problems.append(f"Row {one.row}: {placed.pid} has judged this here already, with another answer or side.")
        elif placed.pid in known.living:
            problems.append(f"Row {one.row}: {placed.pid} is somebody who judges here; name the annotator otherwise.")
        else:
            new.append(placed)
    if problems:
        shown = problems[:MAX_ERRORS_SHOWN]
        more = [f"{len(problems) - len(shown)} more rows have problems."] if len(problems) > len(shown) else []
        raise InvalidInputError(" ".join(shown + more), remedy=f"Nothing of {name!r} was kept.")
    return new, there


@dataclass(frozen=True, slots=True)
class _Known:
    """What is judged in a study, by annotator, item and pair: the left arm and the answer; and who can sign in."""

    judged: Mapping[tuple[str, str, str], tuple[str, str]]
    living: frozenset[str]


def _known(session: Session, study: Study) -> _Known:
    members = session.exec(
        select(Membership.user_id, Membership.pid, User.disabled_at)
        .join(User, col(User.id) == col(Membership.user_id))
        .where(Membership.study_id == study.id)
    ).all()
    pids = {user_id: pid for user_id, pid, _ in members}
    pairs = dict(
        session.exec(select(Presentation.id, Presentation.pair_id).where(Presentation.study_id == study.id)).all()
    )
    judged = {
        (pids[one.annotator_id], one.item_id, pairs[one.presentation_id]): (one.left_arm_id, one.preference.value)
        for one in judgments(session, study)
    }
    return _Known(judged, frozenset(pid for _, pid, disabled in members if disabled is None))


def _add_people(
    session: Session, study: Study, new: Sequence[_Placed], members: dict[str, str], *, name: str, now: datetime
) -> None:
    """Make members who cannot sign in; `members` learns their user ids."""
    first: dict[str, datetime] = {}
    for one in new:
        if one.pid not in members:
            first[one.pid] = min(first.get(one.pid, one.given.handed_at), one.given.handed_at)
    for pid, joined in sorted(first.items()):
        user = User(
            email=f"{pid}@{study.id}.imported.invalid",
            name=f"Imported {pid}",
            role=Role.ANNOTATOR,
            created_at=now,
            disabled_at=now,
        )
        session.add(user)
        session.flush()
        session.add(
            Membership(
                study_id=study.id, user_id=user.id, pid=pid, joined_at=joined, told=f"imported from {name}"[:200]
            )
        )
        members[pid] = user.id
    session.flush()


def _add_rows(
    session: Session, study: Study, new: Sequence[_Placed], members: Mapping[str, str], *, sha256: str
) -> None:
    wanted = [one.given.presentation_id for one in new if one.given.presentation_id]
    taken: set[str] = set()
    for start in range(0, len(wanted), _CHUNK):
        some = wanted[start : start + _CHUNK]
        taken |= set(session.exec(select(Presentation.id).where(col(Presentation.id).in_(some))))
    shown, revisions = [], []
    for one in new:
        free = one.given.presentation_id and one.given.presentation_id not in taken
        token = one.given.presentation_id if free else new_id()
        taken.add(token)
        shown.append(_presentation(study, one, token, members[one.pid], sha256))
        revisions.append(_revision(one.given, token, sha256))
    for start in range(0, len(shown), _CHUNK):
        session.execute(insert(Presentation), shown[start : start + _CHUNK])
        session.execute(insert(Revision), revisions[start : start + _CHUNK])


def _presentation(study: Study, one: _Placed, token: str, user_id: str, sha256: str) -> dict[str, Any]:
    given = one.given
    skipped = given.preference == "cannot_judge"
    return {
        "id": token,
        "study_id": study.id,
        "item_id": one.item_id,
        "pair_id": one.pair_id,
        "annotator_id": user_id,
        "left_arm_id": one.arms[0],
        "right_arm_id": one.arms[1],
        "left_response_id": one.responses[0],
        "right_response_id": one.responses[1],
        "side_order_key": given.side_order_key,
        "state": PresentationState.SKIPPED if skipped else PresentationState.SUBMITTED,
        "leased_until": given.submitted_at,
        "created_at": given.handed_at,
        "submitted_at": given.submitted_at,
        "imported_from": sha256,
    }


def _revision(given: GivenJudgment, token: str, sha256: str) -> dict[str, Any]:
    return {
        "id": new_id(),
        "presentation_id": token,
        "number": given.revision,
        "idempotency_key": f"imported-{sha256[:32]}",
        "kind": RevisionKind.SUBMITTED,
        "preference": given.preference,
        "strength": given.strength,
        "acceptability": {},
        "ratings": {},
        "comment": given.comment,
        "flagged": given.flagged,
        "skip_reason": given.skip_reason,
        "recognised_model": given.recognised_model,
        "recognised_guess": given.recognised_guess,
        "reading": {},
        "edit_reason": "",
        "active_ms": given.active_ms,
        "wall_ms": given.wall_ms,
        "guideline_version": given.guideline_version,
        "app_version": given.app_version,
        "created_at": given.submitted_at,
    }
