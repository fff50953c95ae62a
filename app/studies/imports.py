"""Bring a file into a draft: prompts, finished responses, or practice and gold items. All of a file, or nothing."""

from dataclasses import dataclass, replace

from sqlmodel import Session, col, select

from app.errors import ConflictError, InvalidInputError
from app.studies.design import Design, NewArm, every_pair
from app.studies.drafts import put_prompts, regular_items, save_draft
from app.studies.forms import LIMITS
from app.studies.given import add_given
from app.studies.read_files import FinishedFile, read_finished, read_known
from app.studies.records import BadFileError, decoded
from app.studies.rules import MAX_PROMPTS, BadRowsError, read_strata
from app.studies.stored import design_of
from models import Arm, Item, ItemResponse, Study, StudyEvent, StudyState

KINDS = {"prompts": "Prompts", "responses": "Finished responses", "known": "Practice and gold items"}
MAX_FILE_BYTES = 64 * 2**20
IMPORTED = "imported"


@dataclass(frozen=True, slots=True)
class SentFile:
    """A file that came whole: what it is called, the hash of its bytes, and the bytes."""

    name: str
    sha256: str
    raw: bytes


def import_file(
    session: Session, study: Study, kind: str, file: SentFile, *, arm: str, max_chars: int, user_id: str
) -> str:
    """Import a file, and return and write down what became of it, in a sentence.

    Raises InvalidInputError naming every wrong row, ConflictError for a study that was opened or an arm that is there.
    """
    if study.state is not StudyState.DRAFT:
        raise ConflictError("This study was opened, so nothing is imported any more.", remedy="Duplicate it first.")
    if kind not in KINDS:
        raise InvalidInputError("Choose what the file holds: prompts, finished responses, or practice and gold items.")
    try:
        done = _brought_in(session, study, kind, file, arm=arm, max_chars=max_chars, user_id=user_id)
    except BadRowsError as error:
        raise InvalidInputError(f"{error}", remedy=f"Nothing of {file.name!r} was kept.") from error
    session.add(StudyEvent(study_id=study.id, user_id=user_id, action=IMPORTED, detail=f"{file.name}: {done}"))
    session.flush()
    return done


def _brought_in(
    session: Session, study: Study, kind: str, file: SentFile, *, arm: str, max_chars: int, user_id: str
) -> str:
    design = design_of(session, study)
    text = decoded(file.raw)
    if kind == "prompts":
        return _prompts(session, study, design, text, max_chars=max_chars, user_id=user_id)
    if kind == "known":
        return _known(session, study, design, text, max_chars=max_chars, user_id=user_id)
    read = read_finished(text, arm=arm, prompts=design.prompts or (), max_chars=max_chars)
    return _responses(session, study, design, read, file, user_id=user_id)


def import_answers(session: Session, study: Study, read: FinishedFile, file: SentFile, *, user_id: str) -> str:
    """Give a draft the prompts, arms and responses a file was found to hold, and return and write down what came of it.

    Raises BadRowsError for prompts the draft cannot take, ConflictError for an arm that is there.
    """
    done = _responses(session, study, design_of(session, study), read, file, user_id=user_id)
    session.add(StudyEvent(study_id=study.id, user_id=user_id, action=IMPORTED, detail=f"{file.name}: {done}"))
    session.flush()
    return done


def last_import(session: Session, study: Study) -> str:
    """Say what became of the last file imported; nothing where there was none."""
    query = select(StudyEvent.detail).where(StudyEvent.study_id == study.id, StudyEvent.action == IMPORTED)
    return session.exec(query.order_by(col(StudyEvent.created_at).desc())).first() or ""


def _prompts(session: Session, study: Study, design: Design, text: str, *, max_chars: int, user_id: str) -> str:
    strata = read_strata(text, max_chars=max_chars)
    prompts, known = tuple(strata), {prompt: stratum for prompt, stratum in strata.items() if stratum}
    if prompts == design.prompts and known == design.strata:
        return f"These {len(prompts)} prompts were there already; nothing changed."
    _refuse_clash(prompts, design)
    save_draft(session, replace(design, prompts=prompts, strata=known), user_id=user_id, study=study)
    came = f"{len(prompts)} {'prompt' if len(prompts) == 1 else 'prompts'} imported"
    if not known:
        return f"{came}."
    several = len(set(known.values()))
    return f"{came}, in {several} {'stratum' if several == 1 else 'strata'}."


def _refuse_clash(prompts: tuple[str, ...], design: Design) -> None:
    known = {one.prompt for one in design.known_items}
    clash = next((at for at, prompt in enumerate(prompts, start=1) if prompt in known), 0)
    if clash:
        raise BadFileError([f"Prompt {clash} is that of a practice or gold item already."])
    if len(prompts) > MAX_PROMPTS:
        raise BadFileError([f"There are {len(prompts)} prompts; a study takes at most {MAX_PROMPTS}."])


def _known(session: Session, study: Study, design: Design, text: str, *, max_chars: int, user_id: str) -> str:
    taken = (*(design.prompts or ()), *(one.prompt for one in design.known_items))
    items = read_known(text, prompts=taken, max_chars=max_chars)
    together = (*design.known_items, *items)
    if len(together) > LIMITS["known"]:
        raise BadFileError([f"With these there are {len(together)} items; a study has at most {LIMITS['known']}."])
    save_draft(session, replace(design, known_items=together), user_id=user_id, study=study)
    return f"{len(items)} practice and gold items imported."


def _responses(
    session: Session, study: Study, design: Design, read: FinishedFile, file: SentFile, *, user_id: str
) -> str:
    names = [one.arm for one in read.arms]
    _refuse_there(session, study, names, file)
    if len(design.arms) + len(names) > LIMITS["arm"]:
        raise BadFileError([f"With these there are more than {LIMITS['arm']} arms."])
    if not design.prompts:
        _refuse_clash(read.prompts, design)
        put_prompts(session, study, read.prompts, read.strata)
    arms = (*design.arms, *(NewArm(name, "", {}) for name in names))
    wider = _pairs(design, [arm.name for arm in arms])
    save_draft(session, replace(design, prompts=None, arms=arms, pairs=wider), user_id=user_id, study=study)
    _answer(session, study, read, file, user_id)
    items = regular_items(session, study)
    said = [_said(one.arm, {item.prompt: item.position for item in items}, set(one.responses)) for one in read.arms]
    return " ".join(said) + _left_out(read.unasked)


def _left_out(rows: int) -> str:
    if rows == 1:
        return " 1 row answers no prompt of this study and was left out."
    return f" {rows} rows answer no prompt of this study and were left out." if rows else ""


def _pairs(design: Design, names: list[str]) -> tuple[tuple[str, str], ...]:
    """Where every arm was shown against every other, the new ones are too; a choice of pairs is left as it is."""
    before = every_pair([arm.name for arm in design.arms])
    return tuple(every_pair(names)) if len(before) == len(design.pairs) else design.pairs


def _refuse_there(session: Session, study: Study, names: list[str], file: SentFile) -> None:
    """Responses are never replaced, so an arm of that name is in the way; say when it came from this very file."""
    stored = {arm.name: arm for arm in session.exec(select(Arm).where(Arm.study_id == study.id))}
    for name in names:
        arm = stored.get(name)
        if arm is not None and arm.decoding.get("file_sha256") == file.sha256:
            raise ConflictError(f"This very file was imported already, as the arm {name!r}; nothing changed.")
        if arm is not None:
            raise ConflictError(
                f"There is an arm {name!r} already, and responses are never replaced.",
                remedy="Name the new arm otherwise, or take the old one away first.",
            )


def _answer(session: Session, study: Study, read: FinishedFile, file: SentFile, user_id: str) -> None:
    arms = {arm.name: arm for arm in session.exec(select(Arm).where(Arm.study_id == study.id))}
    items = {item.prompt: item for item in session.exec(select(Item).where(Item.study_id == study.id))}
    for one in read.arms:
        arm = arms[one.arm]
        # Not decoding, but what an import has in its place: where the responses came from.
        arm.decoding = {"file": file.name, "file_sha256": file.sha256}
        session.add(arm)
        run = {"source": "file", "file": file.name, "file_sha256": file.sha256, "model": one.arm}
        given = {
            prompt: add_given(session, prompt=prompt, text=text, run=run, user_id=user_id)
            for prompt, text in one.responses.items()
        }
        session.flush()
        for prompt, response in given.items():
            session.add(ItemResponse(item_id=items[prompt].id, arm_id=arm.id, response_id=response.id))
    session.flush()


def _said(arm: str, positions: dict[str, int], answered: set[str]) -> str:
    holes = sorted(position for prompt, position in positions.items() if prompt not in answered)
    told = f"{arm}: {len(positions) - len(holes)} of {len(positions)} prompts answered"
    if not holes:
        return f"{told}."
    shown = ", ".join(map(str, holes[:8])) + (f" and {len(holes) - 8} more" if len(holes) > 8 else "")  # noqa: PLR2004
    return f"{told}; missing: item {shown}." if len(holes) == 1 else f"{told}; missing: items {shown}."
