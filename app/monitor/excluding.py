"""Applying a study's exclusion rules to stored judgments, and adding and revoking them; a rule is never deleted."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlmodel import Session, col, select

from app.errors import ConflictError, NotFoundError
from app.monitor.counts import count_met, people_counted
from app.monitor.exclusions import Given, Person, Rule, reasons
from app.monitor.rule_forms import sentence
from app.monitor.votes import active_rules, members_of
from models import Exclusion, Presentation, Revision, Study, StudyEvent, User


@dataclass(frozen=True, slots=True)
class Excluding:
    """The rules that hold, and what they look at in each annotator; without rules nobody is looked at."""

    rules: tuple[Rule, ...] = ()
    people: Mapping[str, Person] = field(default_factory=dict)

    def names(self, shown: Presentation, final: Revision) -> list[str]:
        """Name the rules that take a judgment out, oldest first; empty for none."""
        if not self.rules:
            return []
        given = Given(shown.annotator_id, final.active_ms, final.recognised_model, final.guideline_version)
        return reasons(self.rules, given, self.people)


def excluding(session: Session, study: Study) -> Excluding:
    """Load the rules that hold now; with any, judgments are counted and none is read."""
    rules = active_rules(session, study)
    if not rules:
        return Excluding()
    return Excluding(rules, people_counted(session, study, members_of(session, study)))


# Of each rule, the judgments and annotators it meets by itself.
Counting = Callable[[Sequence[Rule]], list[tuple[int, int]]]


@dataclass(frozen=True, slots=True)
class StoredRule:
    """A rule with its history and the judgments and annotators it meets now, by itself and also when revoked."""

    exclusion: Exclusion
    by: str
    revoked_by: str
    judgments: int
    annotators: int


def stored_rules(session: Session, study: Study, count: Counting | None = None) -> list[StoredRule]:
    """List every rule ever added to a study, oldest first, revoked ones too; `count` says what each rule meets.

    Without it the database counts.
    """
    rules = session.exec(
        select(Exclusion).where(Exclusion.study_id == study.id).order_by(col(Exclusion.created_at), col(Exclusion.id))
    ).all()
    if not rules:
        return []
    users = {key for one in rules for key in (one.created_by, one.revoked_by) if key}
    names = dict(session.exec(select(User.id, User.name).where(col(User.id).in_(users))).all())
    plain = [Rule(one.rule, one.settings) for one in rules]
    counts = count(plain) if count else met_alone(session, study, plain)
    return [
        StoredRule(one, names.get(one.created_by or "", ""), names.get(one.revoked_by or "", ""), *met)
        for one, met in zip(rules, counts, strict=True)
    ]


def met_alone(session: Session, study: Study, rules: Sequence[Rule]) -> list[tuple[int, int]]:
    """Count the judgments and annotators that each rule meets by itself."""
    return count_met(session, study, people_counted(session, study, members_of(session, study)), rules)


def add_rule(
    session: Session, study: Study, name: str, settings: Mapping[str, Any], *, reason: str, by: User, now: datetime
) -> Exclusion:
    """Store a rule that holds from now on. Raises ConflictError where the same one holds already."""
    if any(one.name == name and one.settings == settings for one in active_rules(session, study)):
        raise ConflictError("This rule holds already, with the same settings.", remedy="Revoke it to change it.")
    exclusion = Exclusion(
        study_id=study.id, rule=name, settings=dict(settings), reason=reason.strip(), created_by=by.id, created_at=now
    )
    session.add(exclusion)
    _log(session, study, by, "exclude", f"Added the rule: {sentence(name, settings)}.", now)
    return exclusion


def revoke_rule(session: Session, study: Study, exclusion_id: str, *, by: User, now: datetime) -> None:
    """Take a rule back; it stays in the list with who did it. Raises NotFoundError, ConflictError where it is done."""
    query = select(Exclusion).where(Exclusion.id == exclusion_id, Exclusion.study_id == study.id)
    found = session.exec(query).first()
    if found is None:
        raise NotFoundError("There is no such rule in this study, or it is not yours to see.")
    if found.revoked_at is not None:
        raise ConflictError("This rule was revoked already.")
    found.revoked_at, found.revoked_by = now, by.id
    session.add(found)
    _log(session, study, by, "include", f"Revoked the rule: {sentence(found.rule, found.settings)}.", now)


def _log(session: Session, study: Study, by: User, action: str, detail: str, now: datetime) -> None:
    session.add(StudyEvent(study_id=study.id, user_id=by.id, action=action, detail=detail, created_at=now))
    session.flush()
