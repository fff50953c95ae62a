"""The tables of an export that are not about single judgments: who judged, and which rules take judgments out."""

import json
from collections.abc import Iterator
from typing import Any

from sqlalchemy import and_
from sqlmodel import Session, col, select

from app.monitor.counts import count_excluded, people_counted
from app.monitor.excluding import StoredRule, met_alone, stored_rules
from app.monitor.exclusions import WITHDRAWN, Person, Rule
from app.monitor.rule_forms import sentence
from app.monitor.votes import active_rules, members_of
from models import ComprehensionAttempt, ExitAnswer, Membership, Study, WithdrawalPolicy


def annotator_rows(session: Session, study: Study, *, external_ids: bool) -> Iterator[dict[str, Any]]:
    """Yield a row per annotator, by pseudonym: never an e-mail address, an external id only when asked for."""
    members = members_of(session, study)
    rules = active_rules(session, study)
    people = people_counted(session, study, members) if rules else members
    judgments, excluded = count_excluded(session, study, people, rules)
    tries = _tries(session, study.id)
    for member, said in _joined(session, study, members):
        attempts = tries.get(member.user_id, [])
        yield {
            "annotator_pid": member.pid,
            "state": member.state.value,
            "joined_at": member.joined_at,
            "judgments": judgments[member.user_id],
            "excluded": excluded[member.user_id],
            "recognised_model": said.recognised_model if said else None,
            "recognised_guess": said.recognised_guess if said else None,
            "exit_comment": said.comment if said else None,
            "comprehension_attempts": len(attempts),
            "comprehension_passed": any(attempts) if attempts else None,
            "external_id": member.external_id if external_ids else None,
        }


def annotators_known(session: Session, study: Study) -> Iterator[dict[str, Any]]:
    """Yield of each such row what needs no judgment to be read."""
    for member, said in _joined(session, study, members_of(session, study)):
        yield {
            "annotator_pid": member.pid,
            "state": member.state.value,
            "recognised_model": said.recognised_model if said else None,
        }


def _joined(
    session: Session, study: Study, members: dict[str, Person]
) -> Iterator[tuple[Membership, ExitAnswer | None]]:
    query = (
        select(Membership, ExitAnswer)
        .outerjoin(
            ExitAnswer,
            and_(
                col(ExitAnswer.study_id) == col(Membership.study_id), col(ExitAnswer.user_id) == col(Membership.user_id)
            ),
        )
        .where(Membership.study_id == study.id, col(Membership.user_id).in_(members))
        .order_by(col(Membership.pid))
    )
    yield from session.exec(query)


def _tries(session: Session, study_id: str) -> dict[str, list[bool]]:
    query = select(ComprehensionAttempt.user_id, ComprehensionAttempt.passed).where(
        ComprehensionAttempt.study_id == study_id
    )
    found: dict[str, list[bool]] = {}
    for user_id, passed in session.exec(query):
        found.setdefault(user_id, []).append(passed)
    return found


def exclusion_rows(session: Session, study: Study) -> Iterator[dict[str, Any]]:
    """Yield the study's policy on those who withdraw, where it excludes, and every rule ever added, oldest first."""
    if study.withdrawal == WithdrawalPolicy.EXCLUDE:
        ((judgments, annotators),) = met_alone(session, study, [Rule(WITHDRAWN, {})])
        yield _policy_row(judgments, annotators)
    for one in stored_rules(session, study):
        yield _rule_row(one)


def _policy_row(judgments: int, annotators: int) -> dict[str, Any]:
    row = dict.fromkeys(("exclusion_id", "reason", "created_by", "created_at", "revoked_by", "revoked_at"))
    return row | {
        "rule": WITHDRAWN,
        "settings": "{}",
        "meaning": sentence(WITHDRAWN, {}),
        "judgments": judgments,
        "annotators": annotators,
    }


def _rule_row(one: StoredRule) -> dict[str, Any]:
    rule = one.exclusion
    return {
        "exclusion_id": rule.id,
        "rule": rule.rule,
        "settings": json.dumps(rule.settings, ensure_ascii=False, sort_keys=True),
        "meaning": sentence(rule.rule, rule.settings),
        "reason": rule.reason,
        "created_by": one.by,
        "created_at": rule.created_at,
        "revoked_by": one.revoked_by,
        "revoked_at": rule.revoked_at,
        "judgments": one.judgments,
        "annotators": one.annotators,
    }
