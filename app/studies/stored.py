"""Read a stored study back: as a design to copy, and as the set-up form."""

from datetime import UTC, datetime

from sqlalchemy.orm import aliased
from sqlmodel import Session, col, func, select

from app.studies.design import CheckQuestion, Design, NewArm, every_pair
from app.studies.drafts import regular_items
from app.studies.forms import SetupForm, dimension_rows, pair_value
from app.studies.known_items import known_items
from app.studies.questions import read_questions
from app.studies.rules import prompts_text
from models import Arm, ItemResponse, Pair, Presentation, Study

# Beyond this a page of prompts is better kept than sent back and forth.
_SHOWN_CHARS = 200_000
DECODING = ("max_tokens", "temperature", "seed")


def design_of(session: Session, study: Study) -> Design:
    """Read a study's design, complete."""
    items = regular_items(session, study)
    sample = [item.overlap for item in items if item.overlap is not None]
    return Design(
        name=study.name,
        slug=study.slug,
        seed=study.seed,
        preset=study.preset,
        prompts=tuple(item.prompt for item in items),
        strata={item.prompt: item.stratum for item in items if item.stratum},
        arms=arms_of(session, study),
        pairs=pairs_of(session, study),
        questions=read_questions(study.questions),
        comprehension=tuple(
            CheckQuestion(one["question"], tuple(one["choices"]), one["right"], one["why"])
            for one in study.comprehension
        ),
        known_items=tuple(known_items(session, study)),
        overlap=study.overlap,
        sample_n=len(sample),
        sample_overlap=max(sample, default=0),
        per_annotator=study.per_annotator,
        repeat_items=study.repeat_items,
        target=study.target,
        ends_at=aware(study.ends_at),
        guidelines=study.guidelines,
        withdrawal=study.withdrawal.value,
        completion_code=study.completion_code,
        allow_holes=study.allow_holes,
    )


def arms_of(session: Session, study: Study) -> tuple[NewArm, ...]:
    """List a study's arms by name, without the two of practice and gold items."""
    query = select(Arm).where(Arm.study_id == study.id, col(Arm.special).is_(False)).order_by(col(Arm.name))
    return tuple(NewArm(arm.name, arm.checkpoint, arm.decoding) for arm in session.exec(query))


def pairs_of(session: Session, study: Study) -> tuple[tuple[str, str], ...]:
    """List a study's pairs by the names of their arms."""
    first, second = aliased(Arm), aliased(Arm)
    query = (
        select(first.name, second.name)
        .select_from(Pair)
        .join(first, col(first.id) == col(Pair.first_arm_id))
        .join(second, col(second.id) == col(Pair.second_arm_id))
        .where(Pair.study_id == study.id, col(Pair.special).is_(False))
    )
    return tuple(sorted((min(pair), max(pair)) for pair in session.exec(query)))


def imported_arms(session: Session, study: Study) -> dict[str, int]:
    """Count, for each arm that answers without a checkpoint, the responses it has."""
    query = (
        select(Arm.name, func.count(col(ItemResponse.item_id)))
        .outerjoin(ItemResponse, col(ItemResponse.arm_id) == col(Arm.id))
        .where(Arm.study_id == study.id, Arm.checkpoint == "", col(Arm.special).is_(False))
        .group_by(Arm.id, Arm.name)
    )
    return dict(session.exec(query).all())


def has_judgments(session: Session, study: Study) -> bool:
    """Tell whether anything of a study was ever handed to somebody."""
    return session.exec(select(Presentation.id).where(Presentation.study_id == study.id)).first() is not None


def aware(moment: datetime | None) -> datetime | None:
    """Give a stored moment its time zone back; SQLite keeps none."""
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=UTC)


def form_of(design: Design, start: SetupForm, *, study_id: str = "") -> SetupForm:
    """Fill the set-up form with a design."""
    prompts = prompts_text(design.prompts or (), design.strata) if design.prompts else ""
    long = len(prompts) > _SHOWN_CHARS
    questions, evidence = design.questions, design.questions.evidence
    form = start.with_typed(
        study_id=study_id,
        name=design.name,
        slug=design.slug,
        seed=design.seed,
        preset=design.preset,
        prompts="" if long else prompts,
        prompts_kept="yes" if long else "",
        pairing=_pairing(design),
        strength=_yes(questions.strength),
        acceptability=_yes(questions.acceptability),
        spans=_yes(questions.spans),
        evidence=_yes(evidence is not None),
        recognised=questions.recognised,
        overlap=str(design.overlap),
        sample_n=_number(design.sample_n or None),
        sample_overlap=_number(design.sample_overlap or None),
        per_annotator=_number(design.per_annotator),
        repeat_items=_yes(design.repeat_items),
        target=_number(design.target),
        ends_on=f"{design.ends_at:%Y-%m-%d}" if design.ends_at else "",
        guidelines=design.guidelines,
        withdrawal=design.withdrawal,
        completion_code=design.completion_code,
        allow_holes=_yes(design.allow_holes),
    )
    if evidence:
        form = form.with_typed(
            evidence_set=evidence.set_id, evidence_k=str(evidence.k), evidence_decoys=str(evidence.decoys)
        )
    return _with_rows(form, design)


def _with_rows(form: SetupForm, design: Design) -> SetupForm:
    names = [arm.name for arm in design.arms]
    shared = [name for name in names if design.pairs and all(name in pair for pair in design.pairs)]
    rows = {
        "arm": [
            {"name": arm.name, "checkpoint": arm.checkpoint}
            | {name: f"{arm.decoding.get(name, 0):g}" if arm.checkpoint else "" for name in DECODING}
            for arm in design.arms
        ],
        "dimension": dimension_rows(design.questions.dimensions),
        "question": [
            {
                "question": one.question,
                "choices": "\n".join(one.choices),
                "right": str(one.right + 1),
                "why": one.why,
            }
            for one in design.comprehension
        ],
        "known": [
            {
                "kind": one.kind,
                "prompt": one.prompt,
                "better": one.better,
                "worse": one.worse,
                "expected": one.expected,
                "why": one.why,
            }
            for one in design.known_items
        ],
    }
    for kind, values in rows.items():
        form = form.with_rows(kind, values)
    return SetupForm(
        {**form.typed, "against": shared[0] if shared else ""},
        form.rows,
        tuple(pair_value(*pair) for pair in design.pairs),
    )


def _pairing(design: Design) -> str:
    names = [arm.name for arm in design.arms]
    every = {frozenset(pair) for pair in every_pair(names)}
    stored = {frozenset(pair) for pair in design.pairs}
    if stored == every:
        return "all"
    against = any(stored == {pair for pair in every if name in pair} for name in names)
    return "against" if against and stored else "chosen"


def _yes(on: bool) -> str:  # noqa: FBT001  a box is ticked or not
    return "yes" if on else ""


def _number(number: int | None) -> str:
    return "" if number is None else str(number)
