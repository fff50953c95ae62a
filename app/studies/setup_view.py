"""What the set-up page shows: the form, what annotators will see of it, and how much work it asks for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fastapi import Request
from sqlmodel import Session, col, select

from app.studies.checking import Bounds, Checked
from app.studies.design import Design, every_pair, lacking
from app.studies.drafts import regular_items
from app.studies.forms import SetupForm, pair_value
from app.studies.presets import PRESETS, Preset
from app.studies.rules import named_arms
from app.studies.stored import imported_arms
from app.studies.workload import Workload, workload
from models import ImportState, Study, TuningSet
from models.base import now

_EXAMPLE_PROMPT = "Why does bread rise?"


@dataclass(frozen=True, slots=True)
class PairChoice:
    """A pair that may be chosen; `value` is what the form sends."""

    value: str
    first: str
    second: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class SetupView:
    """All the page needs. `lacking` is what is missing before it can open, `warnings` are names that tell."""

    form: SetupForm
    design: Design
    problems: Mapping[str, str]
    study: Study | None
    roles: Mapping[str, str]
    tuning_sets: Sequence[tuple[str, str]]
    imported: Mapping[str, int]
    presets: Sequence[Preset]
    pair_choices: Sequence[PairChoice]
    work: Workload
    lacking: Sequence[str]
    warnings: Sequence[str]
    prompt: str


def bounds_of(request: Request, session: Session, study: Study | None) -> Bounds:
    """Gather what a form is checked against."""
    settings = request.app.state.settings
    return Bounds(
        checkpoints=tuple(request.app.state.engines.registry.checkpoints),
        tuning_sets=[set_id for set_id, _ in tuning_sets(session)],
        max_prompt_chars=settings.max_prompt_chars,
        max_tokens=settings.max_new_tokens,
        now=now(),
        imported=tuple(imported_arms(session, study)) if study else (),
    )


def roles_of(request: Request) -> dict[str, str]:
    """List the registry's checkpoints with their roles."""
    return {name: str(entry.role) for name, entry in request.app.state.engines.registry.checkpoints.items()}


def tuning_sets(session: Session) -> list[tuple[str, str]]:
    """List the tuning sets that evidence can be taken from: id and name."""
    query = select(TuningSet.id, TuningSet.name).where(TuningSet.state == ImportState.READY)
    return list(session.exec(query.order_by(col(TuningSet.name))).all())


def setup_view(
    request: Request,
    session: Session,
    form: SetupForm,
    checked: Checked,
    *,
    study: Study | None,
    problems: Mapping[str, str],
) -> SetupView:
    """Build the page's view; `problems` are those to show beside their fields, none before anybody tried to save."""
    design = checked.design
    prompts = design.prompts
    if prompts is None:
        prompts = tuple(item.prompt for item in regular_items(session, study)) if study else ()
    names = [arm.name for arm in design.arms]
    return SetupView(
        form=form,
        design=design,
        problems=problems,
        study=study,
        roles=roles_of(request),
        tuning_sets=tuning_sets(session),
        imported=imported_arms(session, study) if study else {},
        presets=tuple(PRESETS.values()),
        pair_choices=[
            PairChoice(pair_value(one, other), one, other, chosen=(one, other) in design.pairs)
            for one, other in every_pair(names)
        ],
        work=workload(
            items=len(prompts),
            pairs=len(design.pairs),
            overlap=design.overlap,
            sample_n=design.sample_n,
            sample_overlap=design.sample_overlap,
            per_annotator=design.per_annotator,
            repeat_items=design.repeat_items,
        ),
        lacking=lacking(prompts=len(prompts), arms=len(names), pairs=len(design.pairs)),
        warnings=_warnings(design, [*names, *(arm.checkpoint for arm in design.arms if arm.checkpoint)]),
        prompt=prompts[0] if prompts else _EXAMPLE_PROMPT,
    )


def _warnings(design: Design, names: Sequence[str]) -> list[str]:
    """Find the places annotators read where a name stands that would tell who wrote what."""
    read = {
        "The name": design.name,
        "The guidelines": design.guidelines,
        "A question": "\n".join(
            [one.title for one in design.questions.dimensions] + [one.question for one in design.comprehension]
        ),
        "A prompt": "\n".join(design.prompts or ()),
    }
    found = {where: dict.fromkeys(named_arms(text, dict.fromkeys(names))) for where, text in read.items()}
    return [
        f"{where} contains {', '.join(told)}, which annotators would read as the name of a model."
        if where != "The guidelines"
        else f"{where} contain {', '.join(told)}, which annotators would read as the name of a model."
        for where, told in found.items()
        if told
    ]
