"""Put the demo into the database: its tuning set; a researcher, the twenty prompts, three arms, one pair to judge."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import Engine
from sqlmodel import Session, col, select

from app.accounts.queries import add_user, create_invite, find_user, invite_url
from app.db import reading, writing
from app.demo.content import demo_guidelines, demo_prompts
from app.engines.open import Engines
from app.engines.registry import Registry
from app.engines.tokenizer import load_tokenizer
from app.finetune.hashing import file_sha256
from app.leaks.decisions import decide
from app.leaks.scanning import scan_study
from app.settings import Settings
from app.studies.design import NewArm
from app.studies.generate import Progress, generate_missing
from app.studies.queries import change_state, create_study, get_study
from app.tuning_sets.files import Places, copy_source
from app.tuning_sets.importing import Watch, run_import
from app.tuning_sets.queries import find_set
from app.tuning_sets.queue import begin_import
from models import LeakDecision, LeakFlag, LeakKind, Role, Study, StudyState, User
from models.base import now

SLUG = "demo"
RESEARCHER = "researcher@demo.example"
ARMS = ("base", "lft", "sft")
# What an annotator compares; base is generated so that its answers can be read and traced beside them.
PAIRS = (("lft", "sft"),)
SET_NAME = "Demo: everyday questions"
_MASKED = {LeakKind.SELF_IDENTIFICATION, LeakKind.TEMPLATE}
DECODING = {"max_tokens": 128, "temperature": 0.0, "seed": 0}


@dataclass(frozen=True, slots=True)
class Links:
    """Fresh single-use links to the demo."""

    researcher: str
    annotator: str


def add_demo_study(database: Engine, *, weights: str) -> str:
    """Add the demo study for these weights unless it is there; returns its slug.

    `weights` is a fingerprint of the three checkpoints and becomes the study's seed. Responses are never replaced, so
    rebuilt weights get a study of their own beside the old one.
    """
    with writing(database) as session:
        owner = find_user(session, email=RESEARCHER)
        if owner is None:
            owner = add_user(session, email=RESEARCHER, name="Demo researcher", role=Role.OWNER)
        seeds = {study.slug: study.seed for study in session.exec(select(Study))}
        for slug in (SLUG, f"{SLUG}-{weights[:8]}"):
            if seeds.get(slug, weights) == weights:
                break
        if slug in seeds:
            return slug
        create_study(
            session,
            name="Demo: everyday questions",
            slug=slug,
            seed=weights,
            prompts=[prompt.prompt for prompt in demo_prompts()],
            arms=[NewArm(name=name, checkpoint=name, decoding=DECODING) for name in ARMS],
            pairs=PAIRS,
            guidelines=demo_guidelines(),
            overlap=2,
            created_by=owner.id,
        )
        return slug


def add_demo_set(database: Engine, registry: Registry, path: Path, places: Places, *, watch: Watch) -> None:
    """Import the demo's tuning set and attach it to the checkpoints the registry says were tuned on it.

    Bytes that are a set already are left as they are, with what people attached and detached since.
    """
    with reading(database) as session:
        if find_set(session, file_sha256(path)) is not None:
            return
    tuned = [entry for entry in registry.checkpoints.values() if entry.tuning_set == path.resolve()]
    names = [entry.name for entry in tuned]
    set_id = begin_import(database, places, copy_source(path, places), name=SET_NAME, checkpoints=names)
    run_import(
        database, places, set_id, encoders=lambda _: [load_tokenizer(tuned[0].tokenizer)] if tuned else [], watch=watch
    )


async def answer_demo_study(
    database: Engine, engines: Engines, slug: str, *, on_progress: Callable[[Progress], None]
) -> int:
    """Generate what the demo study lacks and open it; returns how many responses were added.

    It opens without anybody looking: its leak flags are decided by a rule, as the page of flags shows.
    """
    added = await generate_missing(database, engines, slug, on_progress=on_progress)
    open_demo_study(database, slug, now=now())
    return added


def open_demo_study(database: Engine, slug: str, *, now: datetime) -> None:
    """Scan the demo study's responses, decide their leak flags by the demo's rule, and open it, if it is a draft."""
    with reading(database) as session:
        study = get_study(session, slug)
    if study.state is not StudyState.DRAFT:
        return
    scan_study(database, study.id)
    with writing(database) as session:
        study = get_study(session, slug)
        _decide_flags(session, study, now)
        change_state(session, study, StudyState.OPEN)


def _decide_flags(session: Session, study: Study, now: datetime) -> None:
    """Mask what names a model; keep the rest, which people may recognise and are asked about."""
    owner = session.get_one(User, study.created_by)
    undecided = select(LeakFlag).where(LeakFlag.study_id == study.id, LeakFlag.decision == LeakDecision.UNDECIDED)
    decided: dict[LeakDecision, list[LeakFlag]] = {}
    for flag in session.exec(undecided.order_by(col(LeakFlag.id))):
        named = flag.kind in _MASKED and flag.end > flag.start
        decided.setdefault(LeakDecision.REDACT if named else LeakDecision.KEEP, []).append(flag)
    for decision, flags in decided.items():
        decide(session, study, flags, decision, user=owner, now=now)


def demo_links(database: Engine, settings: Settings, slug: str) -> Links:
    """Draw a link that signs the demo's researcher in, and one that invites an annotator."""
    with writing(database) as session:
        owner = find_user(session, email=RESEARCHER)
        study = get_study(session, slug)
        researcher = create_invite(
            session, role=Role.OWNER, user_id=owner.id if owner else None, days=settings.invite_days
        )
        annotator = create_invite(session, role=Role.ANNOTATOR, study_id=study.id, days=settings.invite_days)
    return Links(researcher=invite_url(settings, researcher), annotator=invite_url(settings, annotator))
