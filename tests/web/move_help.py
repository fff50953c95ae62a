"""A study that has rows in every table a study can have, and readers of what databases hold."""

from datetime import timedelta

from sqlmodel import SQLModel, select

from app.database.digest import digest_of, plain, read_rows
from app.database.study_parts import PARTS, Part
from app.db import writing
from app.results.standing import refresh
from models import (
    ApiToken,
    Arm,
    AuditEvent,
    Borrowing,
    Comparison,
    ComparisonColumn,
    ComprehensionAttempt,
    Evidence,
    EvidenceAnswer,
    EvidenceOpening,
    Exclusion,
    ExitAnswer,
    Export,
    GenerationRun,
    GenerationState,
    Guideline,
    Invite,
    Item,
    ItemKind,
    ItemResponse,
    LeakDecision,
    LeakFlag,
    LeakKind,
    Lexicon,
    Membership,
    Preference,
    Presentation,
    Response,
    ResponseFailure,
    Role,
    ScoredFile,
    ScoredLine,
    ScoringRun,
    ScoringState,
    ScoringTask,
    Span,
    Study,
    StudyEvent,
    StudyState,
    TaskState,
    ThrottleMoment,
    Trace,
    TraceAggregate,
    TuningInstance,
    TuningSet,
    TuningSetUse,
    User,
)
from tests.factories import add, make_response, make_study, make_user
from tests.web.monitor_help import START, gold, judge, shown
from tests.web.results_help import everything

TABLES = list(SQLModel.metadata.sorted_tables)


def contents(database, *, without=()):
    """The digest of every table."""
    with database.connect() as connection:
        return {table.name: digest_of(connection, table) for table in TABLES if table.name not in without}


def rows_in(database, name):
    """Every row of a table, as plain values."""
    table = SQLModel.metadata.tables[name]
    with database.connect() as connection:
        return {tuple(map(plain, row)) for rows in read_rows(connection, table) for row in rows}


def lone_study(database, *, slug="kettles", email="other@example.org"):
    """A study of somebody else's, to stand beside the one that moves."""
    with writing(database) as session:
        owner = make_user(session, email=email, role=Role.OWNER)
        study = make_study(session, owner=owner, slug=slug, state=StudyState.CLOSED, seed=slug)
        item = gold(session, study)
        user = make_user(session, email=f"judge-of-{slug}@example.org")
        add(session, Membership(study_id=study.id, user_id=user.id, pid="a1"))
        judge(session, study, user, item, Preference.LEFT)
        return study.id


def whole_study(database, *, email="owner@example.org"):
    """A paused study called `everything` with rows in every table that a study has rows in; returns its id."""
    with writing(database) as session:
        owner = make_user(session, email=email, role=Role.OWNER, password_hash="the owner's", name="Öwner")
        lone = make_user(session, email="former@example.org", role=Role.OWNER, disabled_at=START)
    study = everything(database, owner, items=3, annotators=3, overlap=2)
    with writing(database) as session:
        study = session.merge(study)
        study.state = StudyState.PAUSED
        member = session.exec(select(Membership).where(Membership.study_id == study.id)).first()
        _design(session, study, owner, member)
        _people(session, study, owner, lone, member)
        _scored(session, study, owner)
        _evidence(session, study)
        _of_the_server(session, study, owner)
    refresh(database, study.id, START)
    return study.id


def _design(session, study, owner, member):
    practice = gold(session, study, position=101, kind=ItemKind.PRACTICE)
    judge(session, study, session.get_one(User, member.user_id), gold(session, study), Preference.RIGHT)
    shown(session, study, session.get_one(User, member.user_id), practice)
    item = session.exec(select(Item).where(Item.study_id == study.id)).first()
    arm = session.exec(select(Arm).where(Arm.study_id == study.id)).first()
    response = session.exec(select(ItemResponse).where(ItemResponse.item_id == item.id)).first().response_id
    flag = {"study_id": study.id, "response_id": response, "kind": LeakKind.HOUSE_STYLE, "quote": "💧"}
    for row in (
        Guideline(study_id=study.id, version=1, text="Wähle.", created_by=owner.id),
        ResponseFailure(item_id=item.id, arm_id=arm.id, sentence="It was down."),
        GenerationRun(study_id=study.id, state=GenerationState.DONE, created_by=owner.id),
        LeakFlag(**flag, decision=LeakDecision.KEEP, decided_by=owner.id, decided_at=START),
        Exclusion(study_id=study.id, rule="min_active", settings={"seconds": 1.0}, created_by=owner.id),
        StudyEvent(study_id=study.id, user_id=owner.id, action="opened", detail="It is open."),
    ):
        add(session, row)


def _people(session, study, owner, former, member):
    member.stopped_by, member.external_id = owner.id, "prolific-1"
    judge_user = session.get_one(User, member.user_id)
    judge_user.password_hash, judge_user.shortcuts = "theirs", {"save": "s"}
    end = START + timedelta(days=9000)
    for row in (
        member,
        judge_user,
        Invite(token_sha256="used", role=Role.ANNOTATOR, study_id=study.id, used_by=member.user_id, used_at=START,
               created_by=former.id, expires_at=end),
        Invite(token_sha256="open", role=Role.ANNOTATOR, study_id=study.id, created_by=owner.id, expires_at=end),
        Invite(token_sha256="rise", role=Role.RESEARCHER, study_id=study.id, created_by=owner.id, expires_at=end),
        Invite(token_sha256="signs-in", role=Role.ANNOTATOR, study_id=study.id, user_id=member.user_id, expires_at=end),
        ComprehensionAttempt(study_id=study.id, user_id=member.user_id, number=1, answers=[0], right=1, passed=True),
        ExitAnswer(study_id=study.id, user_id=member.user_id, recognised_model=False, comment="'; DROP TABLE"),
    ):  # fmt: skip
        add(session, row)


def _scored(session, study, owner):
    response = session.exec(
        select(Response).join(ItemResponse, ItemResponse.response_id == Response.id)
        .join(Item, Item.id == ItemResponse.item_id).where(Item.study_id == study.id)
    ).first()  # fmt: skip
    # It goes on from one that goes on from another, which the study does not name.
    oldest = make_response(session, text="Regen", created_by=owner.id)
    parent = make_response(session, text="Regen fällt", parent_id=oldest.id, fork_index=1)
    response.parent_id, response.fork_index = parent.id, 2
    trace = session.exec(select(Trace).where(Trace.response_id == response.id)).one()
    set_id = session.exec(select(TuningSet.id)).first()
    run = add(session, ScoringRun(study_id=study.id, state=ScoringState.DONE, created_by=owner.id, total=1))
    counts = dict.fromkeys(
        ("n", "unshifted", "marginal", "shifted", "first5_n", "first5_marginal", "first5_shifted"), 1
    )
    for row in (
        response,
        ScoringTask(run_id=run.id, response_id=response.id, checkpoint="lft", state=TaskState.DONE),
        TraceAggregate(trace_id=trace.id, response_id=response.id, checkpoint=trace.checkpoint,
                       base_prompt=trace.base_prompt, prompt_sha256="0", **counts),
        Borrowing(response_id=response.id, checkpoint="lft", set_id=set_id, method="m", shifted=1, expected=0.1 + 0.2),
        TuningSetUse(set_id=set_id, checkpoint="lft"),
        TuningSetUse(set_id=set_id, checkpoint="somebody else's"),
    ):  # fmt: skip
        add(session, row)


def _evidence(session, study):
    there = session.exec(
        select(Evidence).join(Presentation, Presentation.id == Evidence.presentation_id)
        .where(Presentation.study_id == study.id)
    ).first()  # fmt: skip
    add(session, EvidenceOpening(evidence_id=there.id))
    assert session.exec(select(EvidenceAnswer)).first() is not None
    assert session.exec(select(Span)).first() is not None
    assert session.exec(select(TuningInstance)).first() is not None


def _of_the_server(session, study, owner):
    response = session.exec(select(Response)).first()
    comparison = add(session, Comparison(prompt="?", decoding={}, created_by=owner.id, fork_of=response.id))
    file = add(session, ScoredFile(name="f", sha256="f", tuned="lft", base="base", created_by=owner.id))
    for row in (
        ApiToken(user_id=owner.id, name="t", hint="t", token_sha256="t", scopes=["run"], expires_at=START),
        AuditEvent(user_id=owner.id, action="signed in"),
        Lexicon(sha256="l", words={}, created_by=owner.id),
        ScoredLine(file_id=file.id, position=0, record_id="r", response_id=response.id),
        ThrottleMoment(key="k", at=0.0, until=1.0),
        Export(study_id=study.id),
        ComparisonColumn(comparison_id=comparison.id, position=0, checkpoint="c", reference="b",
                         response_id=response.id),
    ):  # fmt: skip
        add(session, row)


def known_there(database, email="owner@example.org", **over):
    """Add somebody who runs studies, under an id of this database's own; return it."""
    with writing(database) as session:
        return make_user(session, **{"email": email, "role": Role.RESEARCHER, "name": "Öwner"} | over).id


def the_study(session):
    """The study that moves."""
    return session.exec(select(Study).where(Study.slug == "everything")).one()


def of_study():
    """The names of the tables a study has rows in."""
    return [name for name, part in PARTS.items() if part is not Part.SERVER]
