"""Which tuning sets a response may be traced to, and as whose reading; all from the database."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import and_
from sqlmodel import Session, col, select

from app.errors import NotFoundError
from app.tokens.store import traces_of
from models import Arm, ImportState, Response, Trace, TuningSet, TuningSetUse


@dataclass(frozen=True, slots=True)
class SetChoice:
    """A tuning set somebody may look into; `used_by` names the checkpoints of the response that were tuned on it."""

    row: TuningSet
    used_by: tuple[str, ...]

    @property
    def title(self) -> str:
        """Its name, with its version when there is more than one."""
        return f"{self.row.name}, version {self.row.version}" if self.row.version > 1 else self.row.name


def set_choices(session: Session, checkpoints: Sequence[str]) -> tuple[SetChoice, ...]:
    """List tuning sets: first those the checkpoints were tuned on, whatever their state, then every ready one."""
    use = and_(col(TuningSetUse.set_id) == TuningSet.id, col(TuningSetUse.checkpoint).in_(checkpoints))
    query = select(TuningSet, TuningSetUse.checkpoint).join(TuningSetUse, use, isouter=True)
    rows: dict[str, tuple[TuningSet, set[str]]] = {}
    for row, checkpoint in session.exec(query.order_by(col(TuningSet.name), col(TuningSet.version).desc())):
        _, used_by = rows.setdefault(row.id, (row, set()))
        if checkpoint:
            used_by.add(checkpoint)
    choices = [
        SetChoice(row, tuple(name for name in dict.fromkeys(checkpoints) if name in names))
        for row, names in rows.values()
    ]
    shown = [choice for choice in choices if choice.used_by or choice.row.state == ImportState.READY]
    return tuple(sorted(shown, key=lambda choice: not choice.used_by))


def study_set_choices(session: Session, study_id: str) -> tuple[SetChoice, ...]:
    """List the tuning sets a study may be measured against, those of its arms' checkpoints first."""
    query = select(Arm.checkpoint).where(Arm.study_id == study_id).order_by(col(Arm.name))
    return set_choices(session, list(dict.fromkeys(session.exec(query))))


def chosen_set(choices: Sequence[SetChoice], set_id: str) -> SetChoice | None:
    """Pick the set asked for; else a ready one the checkpoint was tuned on, else any it was tuned on, else none.

    Raises NotFoundError for one that is not among the choices.
    """
    if set_id:
        found = next((choice for choice in choices if choice.row.id == set_id), None)
        if found is None:
            raise NotFoundError(
                "There is no such tuning set, or it is not ready.", remedy="It may have been deleted: choose another."
            )
        return found
    attached = [choice for choice in choices if choice.used_by]
    ready = [choice for choice in attached if choice.row.state == ImportState.READY]
    return next(iter(ready or attached), None)


def shown_trace(session: Session, response: Response, checkpoint: str, base_prompt: str) -> Trace | None:
    """Find the reading that is looked at; unnamed, that of the checkpoint that wrote the response, else the first.

    Raises NotFoundError for a checkpoint that has not read the response.
    """
    traces = traces_of(session, response.id)
    if checkpoint:
        traces = [trace for trace in traces if trace.checkpoint == checkpoint]
        if not traces:
            raise NotFoundError(
                f"{checkpoint[:80]!r} has not read this response.", remedy="Open the response and add that reading."
            )
    own = [trace for trace in traces if trace.checkpoint == response.checkpoint] or traces
    wanted = [trace for trace in own if trace.base_prompt.value == base_prompt]
    return next(iter(wanted or own), None)
