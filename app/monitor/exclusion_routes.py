"""The exclusion rules of a study: previewed by their counts, added, and revoked. For researchers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse
from sqlmodel import Session

from app.accounts.access import CurrentUser
from app.monitor.coverage import pair_names
from app.monitor.excluding import StoredRule, add_rule, revoke_rule, stored_rules
from app.monitor.exclusions import Rule
from app.monitor.rule_forms import KINDS, BadRuleError, read_rule, sentence, title_of
from app.monitor.standing import standing_of
from app.monitor.taken_out import Tally, met_by, taken_out, tally
from app.monitor.votes import members_of
from app.studies.queries import get_study
from app.web.templates import is_htmx, render
from app.web.transactions import ReadSession, WriteSession
from models import Study
from models.base import now

router = APIRouter()


@dataclass(frozen=True, slots=True)
class Preview:
    """What a rule would do: in words, and counts (label, before, after) for judgments, annotators and each pair."""

    rule: str
    words: str
    typed: Mapping[str, str]
    reason: str
    rows: tuple[tuple[str, int, int], ...]


@router.get("/studies/{study_id}/exclusions")
def exclusions(request: Request, session: ReadSession, user: CurrentUser, study_id: str) -> Response:
    """List a study's rules; with `rule` and its settings in the address, preview that rule, changing nothing."""
    study = get_study(session, study_id, user)
    typed = dict(request.query_params)
    if "rule" not in typed:
        return _page(request, session, study)
    try:
        preview = _preview(session, study, typed)
    except BadRuleError as error:
        return _page(request, session, study, typed=typed, problem=str(error), status_code=422)
    if is_htmx(request):
        return render(request, "monitor/_preview.html", study=study, preview=preview, problem="")
    return _page(request, session, study, typed=typed, preview=preview)


def _preview(session: Session, study: Study, typed: Mapping[str, str]) -> Preview:
    standing = standing_of(session, study)
    sheet, members = standing.sheet, standing.members
    name, reason = typed["rule"], typed.get("reason", "")
    settings = read_rule(name, typed, pids={person.pid for person in members.values()}, reason=reason)
    with_it = standing.out | taken_out([Rule(name, settings)], sheet, members)
    before, after = tally(sheet, standing.out), tally(sheet, with_it)
    kept = {setting.name: typed.get(setting.name, "") for setting in KINDS[name].settings}
    return Preview(name, sentence(name, settings), kept, reason, _rows(before, after, pair_names(session, study.id)))


def _rows(before: Tally, after: Tally, pairs: Mapping[str, str]) -> tuple[tuple[str, int, int], ...]:
    return (
        ("Judgments", before.judgments, after.judgments),
        ("Annotators with any", before.annotators, after.annotators),
        *((name, before.pairs.get(key, 0), after.pairs.get(key, 0)) for key, name in pairs.items()),
    )


def _page(
    request: Request,
    session: Session,
    study: Study,
    *,
    typed: Mapping[str, str] | None = None,
    preview: Preview | None = None,
    problem: str = "",
    status_code: int = 200,
) -> Response:
    if problem and is_htmx(request):
        return render(request, "monitor/_preview.html", status_code=422, study=study, preview=None, problem=problem)
    standing = standing_of(session, study)
    sheet, members = standing.sheet, standing.members
    return render(
        request,
        "monitor/exclusions.html",
        status_code=status_code,
        study=study,
        kinds=tuple(KINDS.values()),
        pids=[person.pid for person in members.values()],
        stored=stored_rules(session, study, lambda rules: met_by(rules, sheet, members)),
        words=_words,
        title_of=title_of,
        everything=tally(sheet, taken_out((), sheet, members)),
        remaining=tally(sheet, standing.out),
        withdrawn=sum(person.withdrawn for person in members.values()),
        typed=dict(typed or {}),
        preview=preview,
        problem=problem,
    )


def _words(stored: StoredRule) -> str:
    return sentence(stored.exclusion.rule, stored.exclusion.settings)


async def _typed(request: Request) -> dict[str, str]:
    return {name: value for name, value in (await request.form()).items() if isinstance(value, str)}


@router.post("/studies/{study_id}/exclusions")
def add_exclusion(
    request: Request,
    session: WriteSession,
    user: CurrentUser,
    study_id: str,
    typed: Annotated[dict[str, str], Depends(_typed)],
) -> Response:
    """Add a rule that holds from now on; with anything wrong, show the page again and store nothing."""
    study = get_study(session, study_id, user)
    reason = typed.get("reason", "").replace("\r\n", "\n")
    pids = {person.pid for person in members_of(session, study).values()}
    try:
        settings = read_rule(typed.get("rule", ""), typed, pids=pids, reason=reason)
    except BadRuleError as error:
        return _page(request, session, study, typed=typed, problem=str(error), status_code=422)
    add_rule(session, study, typed["rule"], settings, reason=reason, by=user, now=now())
    return RedirectResponse(f"/studies/{study.id}/exclusions", status_code=303)


@router.post("/studies/{study_id}/exclusions/{exclusion_id}/revoke")
def revoke_exclusion(session: WriteSession, user: CurrentUser, study_id: str, exclusion_id: str) -> Response:
    """Take a rule back: its judgments count again, and the list keeps who did it and when."""
    study = get_study(session, study_id, user)
    revoke_rule(session, study, exclusion_id, by=user, now=now())
    return RedirectResponse(f"/studies/{study.id}/exclusions", status_code=303)
