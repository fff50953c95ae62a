"""Loading and changing studies. Every study is loaded for a person; one that is not theirs does not exist."""

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import or_
from sqlmodel import Session, col, func, select

from app.accounts.standing import note
from app.errors import ConflictError, InvalidInputError, NotFoundError
from app.studies.design import NewArm
from app.studies.generation import refuse_while_generating
from app.studies.opening import gates, refusal
from app.studies.opening_facts import facts_of
from app.studies.rules import is_slug
from models import (
    Arm,
    Guideline,
    Item,
    ItemKind,
    ItemResponse,
    Membership,
    Pair,
    Role,
    Study,
    StudyState,
    User,
)
from models.base import now

# Items on one page of a study.
ITEMS = 200
_NOT_THERE = "There is no such study, or it is not yours to see."

# Where a study may go from where it stands; a closed one takes no revisions, but a mistake can be undone.
TRANSITIONS: dict[StudyState, tuple[StudyState, ...]] = {
    StudyState.DRAFT: (StudyState.OPEN,),
    StudyState.OPEN: (StudyState.PAUSED, StudyState.CLOSED),
    StudyState.PAUSED: (StudyState.OPEN, StudyState.CLOSED),
    StudyState.CLOSED: (StudyState.OPEN,),
}


def create_study(  # noqa: PLR0913  a study is these ten things
    session: Session,
    *,
    name: str,
    slug: str,
    seed: str = "",
    prompts: Sequence[str],
    arms: Sequence[NewArm],
    pairs: Iterable[tuple[str, str]],
    guidelines: str,
    overlap: int,
    created_by: str,
) -> Study:
    """Store a draft study with its items, arms and pairs (of arm names); an empty seed is drawn.

    Raises InvalidInputError for anything that contradicts itself and ConflictError for an address in use.
    """
    wanted = list(dict.fromkeys((min(pair), max(pair)) for pair in pairs))
    _check(name=name, slug=slug, prompts=prompts, arms=arms, pairs=wanted, overlap=overlap)
    if session.exec(select(Study.id).where(Study.slug == slug)).first():
        raise ConflictError(f"A study at the address {slug!r} exists already.", remedy="Choose another address.")
    study = Study(
        slug=slug,
        name=name.strip(),
        seed=seed or secrets.token_hex(16),
        overlap=overlap,
        guidelines=guidelines.strip(),
        created_by=created_by,
    )
    session.add(study)
    session.flush()
    session.add(Guideline(study_id=study.id, version=1, text=study.guidelines, created_by=created_by))
    session.add_all(Item(study_id=study.id, position=at, prompt=prompt) for at, prompt in enumerate(prompts, start=1))
    rows = {
        arm.name: Arm(study_id=study.id, name=arm.name, checkpoint=arm.checkpoint, decoding=dict(arm.decoding))
        for arm in arms
    }
    session.add_all(rows.values())
    session.flush()
    session.add_all(
        Pair(study_id=study.id, first_arm_id=rows[first].id, second_arm_id=rows[second].id) for first, second in wanted
    )
    session.flush()
    return study


def _check(
    *,
    name: str,
    slug: str,
    prompts: Sequence[str],
    arms: Sequence[NewArm],
    pairs: Sequence[tuple[str, str]],
    overlap: int,
) -> None:
    names = [arm.name for arm in arms]
    unknown = sorted({arm for pair in pairs for arm in pair} - set(names))
    problems = {
        "A study needs a name.": not name.strip(),
        f"{slug!r} cannot be an address: use lower-case letters, digits and single hyphens.": not is_slug(slug),
        "A study needs at least one prompt.": not prompts,
        "A study compares at least two arms.": len(names) < 2,  # noqa: PLR2004  a comparison is of two
        "Two arms have the same name.": len(set(names)) < len(names),
        "A study needs at least one pair of arms to show.": not pairs,
        "An arm cannot be paired with itself.": any(first == second for first, second in pairs),
        f"No arm is called {', '.join(map(repr, unknown))}.": bool(unknown),
        f"Overlap is how many people judge each item: 1 to 100, not {overlap}.": not 1 <= overlap <= 100,  # noqa: PLR2004
    }
    for problem, found in problems.items():
        if found:
            raise InvalidInputError(problem)


def attach_response(session: Session, *, item_id: str, arm_id: str, response_id: str) -> None:
    """Say that a stored response answers an item for an arm; raises ConflictError where one does already."""
    if session.get(ItemResponse, (item_id, arm_id)):
        raise ConflictError("That item already has a response from that arm; responses are never replaced.")
    session.add(ItemResponse(item_id=item_id, arm_id=arm_id, response_id=response_id))
    session.flush()


def get_study(session: Session, id_or_slug: str, user: User | None = None) -> Study:
    """Load a study that `user` may see: created by them, theirs as a member who is no annotator, or any for an owner.

    Without a user (the command line) every study is in reach. Raises NotFoundError.
    """
    query = select(Study).where(or_(col(Study.id) == id_or_slug, col(Study.slug) == id_or_slug))
    study = session.exec(query).first()
    if study is None and user is None:
        raise NotFoundError(
            f"There is no study {id_or_slug!r}.", remedy="Name one as the address of its page does: /studies/NAME."
        )
    if study is None or (user is not None and not may_see(session, study, user)):
        raise NotFoundError(_NOT_THERE)
    return study


def may_see(session: Session, study: Study, user: User) -> bool:
    """Tell whether somebody may see a study whole, so that their judgments in it would not be blind."""
    if user.role == Role.OWNER or study.created_by == user.id:
        return True
    member = session.get(Membership, (study.id, user.id)) if user.role == Role.RESEARCHER else None
    return member is not None and member.role != Role.ANNOTATOR


def studies_of(session: Session, user: User) -> list[Study]:
    """List the studies a researcher may see, newest first."""
    query = select(Study).order_by(col(Study.created_at).desc(), col(Study.id))
    if user.role != Role.OWNER:
        member_of = select(Membership.study_id).where(Membership.user_id == user.id, Membership.role != Role.ANNOTATOR)
        query = query.where(or_(col(Study.created_by) == user.id, col(Study.id).in_(member_of)))
    return list(session.exec(query))


def change_state(session: Session, study: Study, state: StudyState, *, by: str | None = None) -> None:
    """Open, pause or close a study, and write down who did.

    Raises ConflictError for a step that makes no sense, or naming what it lacks.
    """
    if state == study.state:
        return
    if state not in TRANSITIONS[study.state]:
        raise ConflictError(f"A study that is {study.state.value} cannot become {state.value}.")
    if state == StudyState.OPEN:
        refuse_while_generating(session, study)
        # In the transaction that opens it, so that nothing unread can arrive in between.
        problems, remedy = refusal(gates(facts_of(session, study, now())))
        if problems:
            raise ConflictError(problems, remedy=remedy)
    before, study.state = study.state, state
    session.add(study)
    note(session, study.id, by, f"state: {state.value}", f"from {before.value} to {state.value}")


@dataclass(frozen=True, slots=True)
class ItemsPage:
    """One page of a study's regular items, which are `number` in all; pages count from 1."""

    rows: Sequence[Item]
    number: int
    page: int
    pages: int


def items_page(session: Session, study_id: str, page: int) -> ItemsPage:
    """Load a page of a study's regular items, in order; a page beyond the last is the last."""
    regular = (Item.study_id == study_id, Item.kind == ItemKind.REGULAR)
    number = session.exec(select(func.count()).select_from(Item).where(*regular)).one()
    pages = max(1, -(-number // ITEMS))
    page = min(page, pages)
    query = select(Item).where(*regular).order_by(col(Item.position)).offset((page - 1) * ITEMS).limit(ITEMS)
    return ItemsPage(session.exec(query).all(), number, page, pages)


def answers_of(session: Session, study_id: str, items: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
    """Return, for each of these items, the arms that have answered it, by name, each with its response's id."""
    rows = (
        select(ItemResponse.item_id, Arm.name, ItemResponse.response_id)
        .join(Arm, col(Arm.id) == col(ItemResponse.arm_id))
        .where(Arm.study_id == study_id, col(ItemResponse.item_id).in_(items))
        .order_by(col(Arm.name))
    )
    found: dict[str, list[tuple[str, str]]] = {}
    for item_id, arm, response_id in session.exec(rows):
        found.setdefault(item_id, []).append((arm, response_id))
    return found
