"""What may still change once a study was opened, and what may not, with the reason. Every change is an event."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

from app.errors import ConflictError
from app.studies.checking import MAX_OVERLAP, check_day, check_guidelines, check_name, check_number
from app.studies.guidelines import write_guidelines
from app.studies.stored import aware
from models import Item, ItemKind, Study, StudyEvent, StudyState

CHANGEABLE = ("name", "guidelines", "overlap", "sample_overlap", "per_annotator", "target", "ends_on")
# Why the rest of the form stands: by the beginning of a field's name.
_STANDS = {
    "slug": "The address stands: links and commands use it.",
    "seed": "The seed stands: it drew the sides and the sample of judgments already given.",
    "prompts": "The prompts stand: judgments refer to them.",
    "sample_n": "The sample stands: it was drawn under the seed before the first judgment.",
    "arm": "The arms stand: their responses are being judged.",
    "pairing": "The pairs stand: work was handed out by them.",
    "against": "The pairs stand: work was handed out by them.",
    "chosen": "The pairs stand: work was handed out by them.",
    "dimension": "The questions stand: answers to different questions cannot be counted together.",
    "strength": "The questions stand: answers to different questions cannot be counted together.",
    "acceptability": "The questions stand: answers to different questions cannot be counted together.",
    "spans": "The questions stand: answers to different questions cannot be counted together.",
    "evidence": "The questions stand: answers to different questions cannot be counted together.",
    "recognised": "The questions stand: answers to different questions cannot be counted together.",
    "question": "The comprehension check stands: people passed it as it is.",
    "known": "Practice and gold items stand: people were measured by them.",
    "repeat_items": "Whether one person may judge several pairs of a prompt stands: work was handed out by it.",
    "withdrawal": "What becomes of the judgments of those who withdraw stands: people were told it when they joined.",
    "completion_code": "The completion code stands: people may have been given it.",
    "allow_holes": "Whether it may open with responses missing was decided when it opened.",
    "preset": "The preset stands: it was the start of this design.",
}


@dataclass(frozen=True, slots=True)
class SettledForm:
    """The fields that may still change, as typed, and what is wrong with them."""

    typed: Mapping[str, str]
    problems: Mapping[str, str]

    def error(self, name: str) -> str:
        """Say what is wrong with a field; nothing when it is right."""
        return self.problems.get(name, "")


def settled_form(session: Session, study: Study) -> SettledForm:
    """Fill the form with what stands; `sample_overlap` is empty where there is no sample."""
    ends_at = aware(study.ends_at)
    sample = _sample_overlap(session, study)
    return SettledForm(
        {
            "name": study.name,
            "guidelines": study.guidelines,
            "overlap": str(study.overlap),
            "sample_overlap": "" if sample is None else str(sample),
            "per_annotator": "" if study.per_annotator is None else str(study.per_annotator),
            "target": "" if study.target is None else str(study.target),
            "ends_on": f"{ends_at:%Y-%m-%d}" if ends_at else "",
        },
        {},
    )


def refuse_design_fields(sent: Mapping[str, object]) -> None:
    """Raise ConflictError for a field of the design: it stands once a study was opened."""
    for name in sent:
        for start, reason in _STANDS.items():
            if name == start or name.startswith(f"{start}_"):
                raise ConflictError(reason, remedy="Duplicate the study to change it.")


def change_settled(
    session: Session, study: Study, typed: Mapping[str, str], *, user_id: str, now: datetime
) -> SettledForm:
    """Change what may change of an opened study and write each change down; with a problem nothing is changed.

    Overlap, that of the sample and the most per person only grow. Raises ConflictError for a closed study.
    """
    if study.state is StudyState.CLOSED:
        raise ConflictError("This study is closed, so nothing of it changes.", remedy="Open it again first.")
    values = {**settled_form(session, study).typed, **typed}
    sample = _sample_overlap(session, study)
    problems: dict[str, str] = {}
    changes = _Changes(
        name=check_name(values["name"], problems),
        guidelines=check_guidelines(values["guidelines"], problems),
        overlap=_grown(values["overlap"], "overlap", study.overlap, problems) or study.overlap,
        sample_overlap=_sample(values["sample_overlap"], sample, problems),
        per_annotator=_per_annotator(values["per_annotator"], study, problems),
        target=check_number(values["target"], "target", problems),
        ends_at=_ends_at(values["ends_on"], study, now, problems),
    )
    if not problems:
        _apply(session, study, changes, user_id, sample=sample)
    return SettledForm(values, problems)


@dataclass(frozen=True, slots=True)
class _Changes:
    name: str
    guidelines: str
    overlap: int
    sample_overlap: int | None
    per_annotator: int | None
    target: int | None
    ends_at: datetime | None


def _sample_query(study: Study) -> SelectOfScalar[Item]:
    return select(Item).where(Item.study_id == study.id, Item.kind == ItemKind.REGULAR, col(Item.overlap).is_not(None))


def _sample_overlap(session: Session, study: Study) -> int | None:
    """How often the items of the sample are judged; None without a sample."""
    return max((item.overlap or 0 for item in session.exec(_sample_query(study))), default=None)


def _grown(text: str, field: str, stands: int, problems: dict[str, str]) -> int | None:
    """Read a number of judgments per item, which was promised and so only grows."""
    wanted = check_number(text, field, problems, high=MAX_OVERLAP)
    if wanted is not None and wanted < stands:
        problems[field] = f"It can only grow: {stands} are promised per item already, not {wanted}."
    elif wanted is None and field not in problems:
        problems[field] = f"A whole number from {stands} to {MAX_OVERLAP} is needed."
    return wanted


def _sample(text: str, stands: int | None, problems: dict[str, str]) -> int | None:
    if stands is not None:
        return _grown(text, "sample_overlap", stands, problems)
    if text.strip():
        problems["sample_overlap"] = "There is no sample: it would have been drawn before the first judgment."
    return None


def _per_annotator(text: str, study: Study, problems: dict[str, str]) -> int | None:
    most = check_number(text, "per_annotator", problems)
    stands = study.per_annotator
    if most is not None and (stands is None or most < stands):
        limit = "there is no limit now" if stands is None else f"it is {stands} now"
        problems["per_annotator"] = f"It can only grow, because some may have done as many: {limit}."
    return most


def _ends_at(text: str, study: Study, now: datetime, problems: dict[str, str]) -> datetime | None:
    stands = aware(study.ends_at)
    # A day that was over before does not keep the other fields from being saved.
    if stands and text.strip() == f"{stands:%Y-%m-%d}":
        return stands
    return check_day(text, now, problems)


def _apply(session: Session, study: Study, changes: _Changes, user_id: str, *, sample: int | None) -> None:
    events: list[tuple[str, str]] = []

    def change(field: str, value: object, words: str) -> bool:
        before = getattr(study, field)
        before = aware(before) if isinstance(before, datetime) else before
        if before == value:
            return False
        setattr(study, field, value)
        events.append((f"change_{field}", f"{words}: {_said(before)} became {_said(value)}."))
        return True

    change("name", changes.name, "Name")
    change("target", changes.target, "Judgments aimed for")
    change("ends_at", changes.ends_at, "Last day")
    redesigned = change("overlap", changes.overlap, "Judgments per item")
    if changes.sample_overlap != sample:
        redesigned = True
        said = f"{_said(sample)} became {_said(changes.sample_overlap)}."
        events.append(("change_sample_overlap", f"Judgments per item of the sample: {said}"))
    if redesigned:
        _lift_items(session, study, changes.sample_overlap)
    redesigned |= change("per_annotator", changes.per_annotator, "Most per person")
    if write_guidelines(session, study, changes.guidelines, user_id=user_id):
        redesigned = True
        events.append(("change_guidelines", f"Guidelines: version {study.guideline_version} is shown from now on."))
    if redesigned:
        study.version += 1
        events.append(("new_version", f"The design changed: this is version {study.version}."))
    session.add(study)
    session.add_all(
        StudyEvent(study_id=study.id, user_id=user_id, action=action, detail=text) for action, text in events
    )
    session.flush()


def _lift_items(session: Session, study: Study, wanted: int | None) -> None:
    """Want the items of the sample so often; where all others are wanted as often now, there is no sample any more."""
    for item in session.exec(_sample_query(study)):
        item.overlap = wanted if wanted is not None and wanted > study.overlap else None
        session.add(item)


def _said(value: object) -> str:
    if value is None:
        return "none"
    return f"{value:%Y-%m-%d}" if isinstance(value, datetime) else str(value)
