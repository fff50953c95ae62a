"""Whole studies of planted truth, put straight into the tables: for statistics, exports and benches at any size.

What is written is what the routes would have written, judged by the robots of `tests/simulation/robot.py`: the same
seed gives the same rows, ids and times included. `build_study` (`tests/simulation/study.py`) makes the study,
`simulate_into` its judgments.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from sqlmodel import Session, col, select

from app.judging.answers import APP_VERSION
from app.judging.rules import CONTEXT
from app.studies.assignment import Leans, draw_sides
from app.studies.questions import EvidenceQuestion, read_questions
from models import (
    Arm,
    Evidence,
    EvidenceAnswer,
    Item,
    ItemKind,
    ItemResponse,
    Membership,
    Pair,
    Presentation,
    Response,
    Revision,
    Span,
    Study,
    TuningSet,
)
from tests.simulation.robot import Shown, Truth, answer_of, judge_evidence
from tests.simulation.study import CHUNK, START, add_annotators, add_rows, opaque


@dataclass(frozen=True)
class Counts:
    """How many rows were written, and of whom."""

    annotators: tuple[str, ...]
    presentations: int
    revisions: int
    spans: int
    verdicts: int


def simulate_into(
    session: Session,
    study: Study,
    truth: Truth,
    *,
    annotators: int = 25,
    drafts: float = 0.2,
    edits: float = 0.1,
    start: datetime = START,
) -> Counts:
    """Judge all that a study asks for, with `annotators` new robots, and return what was written.

    Every regular item and pair is given out exactly as often as its overlap, skips among them; nobody gets an item
    twice unless the study repeats items; the sides of each annotator differ by at most one. A share of `drafts` saves
    a draft first, one of `edits` changes its answer later. Raises ValueError where annotators are too few.
    """
    members = add_annotators(session, study, annotators)
    written = {Presentation: 0, Revision: 0, Span: 0, Evidence: 0, EvidenceAnswer: 0}
    judgments = _judgments(session, study, truth, members, drafts=drafts, edits=edits, start=start)
    while chunk := list(islice(judgments, CHUNK)):
        for table in written:
            rows = [row for rows in chunk for row in rows[table]]
            add_rows(session, table, iter(rows))
            written[table] += len(rows)
    return Counts(
        annotators=tuple(member.pid for member in members),
        presentations=written[Presentation],
        revisions=written[Revision],
        spans=written[Span],
        verdicts=written[EvidenceAnswer],
    )


@dataclass(frozen=True)
class _Turn:
    """One item and pair given to one annotator, in the order things were handed out."""

    item: Item
    pair: Pair
    member: Membership


def _turns(study: Study, items: Sequence[Item], pairs: Sequence[Pair], members: Sequence[Membership]) -> list[_Turn]:
    draw = random.Random(f"turns/{study.seed}")
    turns, load = [], dict.fromkeys((member.pid for member in members), 0)
    for item in items:
        overlap = study.overlap if item.overlap is None else item.overlap
        wanted = [pair for pair in pairs for _ in range(overlap)]
        people = sorted(members, key=lambda member: (load[member.pid], draw.random()))
        needed = overlap if study.repeat_items else len(wanted)
        if needed > len(people):
            raise ValueError(f"{len(people)} annotators cannot give {needed} judgments of one item")
        for at, pair in enumerate(wanted):
            # In order of the pairs, so somebody who comes round again gets another pair.
            member = people[at % len(people)]
            load[member.pid] += 1
            turns.append(_Turn(item, pair, member))
    draw.shuffle(turns)
    return turns


def _judgments(
    session: Session,
    study: Study,
    truth: Truth,
    members: Sequence[Membership],
    *,
    drafts: float,
    edits: float,
    start: datetime,
) -> Iterator[dict[Any, list[dict[str, Any]]]]:
    items = session.exec(
        select(Item).where(Item.study_id == study.id, Item.kind == ItemKind.REGULAR).order_by(col(Item.position))
    ).all()
    pairs = session.exec(
        select(Pair).where(Pair.study_id == study.id, col(Pair.special).is_(False)).order_by(col(Pair.id))
    ).all()
    names = dict(session.exec(select(Arm.id, Arm.name).where(Arm.study_id == study.id)).all())
    texts = {
        (item_id, arm_id): (response_id, text)
        for item_id, arm_id, response_id, text in session.exec(
            select(ItemResponse.item_id, ItemResponse.arm_id, Response.id, Response.text)
            .join(Response, col(Response.id) == col(ItemResponse.response_id))
            .join(Item, col(Item.id) == col(ItemResponse.item_id))
            .where(Item.study_id == study.id)
        )
    }
    desk = _Desk(study, truth, names, texts, _instances(session, read_questions(study.questions).evidence))
    turns = _turns(study, items, pairs, members)
    busy = dict.fromkeys((member.pid for member in members), start)
    for turn in turns:
        draw = truth.draws("habits", turn.member.pid, turn.item.id, turn.pair.id)
        revisions = ["draft"] * (draw.random() < drafts) + ["submitted"] + ["submitted"] * (draw.random() < edits)
        rows, busy[turn.member.pid] = desk.judge(turn, revisions, busy[turn.member.pid])
        yield rows


def _instances(session: Session, asked: EvidenceQuestion | None) -> int:
    return session.get_one(TuningSet, asked.set_id).n if asked else 0


class _Desk:
    """Where robots sit: keeps how the sides lean, and turns what a robot answers into rows."""

    def __init__(
        self,
        study: Study,
        truth: Truth,
        names: Mapping[str, str],
        texts: Mapping[tuple[str, str], tuple[str, str]],
        instances: int,
    ) -> None:
        self.study, self.truth, self.names, self.texts, self.instances = study, truth, names, texts, instances
        self.questions = read_questions(study.questions)
        self.own: dict[str, dict[str, int]] = {}
        self.leaning: dict[str, int] = {}

    def judge(
        self, turn: _Turn, kinds: Sequence[str], at: datetime
    ) -> tuple[dict[Any, list[dict[str, Any]]], datetime]:
        """Show one item, answer it as often as `kinds` says, and tell when the annotator is free again."""
        shown, presentation = self._show(turn, at)
        rows: dict[Any, list[dict[str, Any]]] = {
            table: [] for table in (Presentation, Revision, Span, Evidence, EvidenceAnswer)
        }
        rows[Presentation].append(presentation)
        beside: dict[tuple[str, int, int], list[dict[str, Any]]] = {}
        judged = 0
        for number, kind in enumerate(kinds, start=1):
            edit = max(0, judged - (kind == "draft"))
            answer = answer_of(self.truth, turn.member.pid, shown, self.questions, edit=edit)
            at += timedelta(milliseconds=answer["wall_ms"])
            judged += kind == "submitted"
            revision = self._revision(presentation["id"], number, kind, answer, at)
            rows[Revision].append(revision)
            for place, span in enumerate(answer["spans"], start=1):
                self._mark(rows, beside, shown, presentation["id"], revision["id"], place, span, turn.member.pid, at)
            if kind == "submitted":
                presentation["state"] = "skipped" if answer["preference"] == "cannot_judge" else "submitted"
                presentation["submitted_at"] = presentation["submitted_at"] or at
        return rows, at + timedelta(seconds=2)

    def _show(self, turn: _Turn, at: datetime) -> tuple[Shown, dict[str, Any]]:
        pid, pair = turn.member.pid, turn.pair
        by_name = {self.names[key]: key for key in (pair.first_arm_id, pair.second_arm_id)}
        own = self.own.setdefault(pid, {})
        against = Leans(own, self.leaning).against(pair.id)
        first, second = by_name
        order = draw_sides((first, second), seed=self.study.seed, item_id=turn.item.id, pid=pid, against=against)
        step = 1 if order.left == min(by_name) else -1
        for leans in (own, self.leaning):
            leans[pair.id] = leans.get(pair.id, 0) + step
        left, right = by_name[order.left], by_name[order.right]
        (left_id, left_text), (right_id, right_text) = (self.texts[turn.item.id, arm] for arm in (left, right))
        presentation = {
            "id": opaque("presentation", turn.item.id, pair.id, pid),
            "study_id": self.study.id,
            "item_id": turn.item.id,
            "pair_id": pair.id,
            "annotator_id": turn.member.user_id,
            "left_arm_id": left,
            "right_arm_id": right,
            "left_response_id": left_id,
            "right_response_id": right_id,
            "side_order_key": order.key,
            "state": "leased",
            "leased_until": at + timedelta(hours=1),
            "created_at": at,
            "submitted_at": None,
        }
        return Shown(turn.item.id, order.left, order.right, left_text, right_text), presentation

    def _revision(self, token: str, number: int, kind: str, answer: dict[str, Any], at: datetime) -> dict[str, Any]:
        kept = {name: value for name, value in answer.items() if name != "spans"}
        return kept | {
            "id": opaque("revision", token, number),
            "presentation_id": token,
            "number": number,
            "idempotency_key": f"attempt-{number:06d}",
            "kind": kind,
            "guideline_version": self.study.guideline_version,
            "app_version": APP_VERSION,
            "created_at": at,
        }

    def _mark(
        self,
        rows: dict[Any, list[dict[str, Any]]],
        beside: dict[tuple[str, int, int], list[dict[str, Any]]],
        shown: Shown,
        token: str,
        revision_id: str,
        position: int,
        span: dict[str, Any],
        pid: str,
        at: datetime,
    ) -> None:
        arm, text = next((arm, text) for side, arm, text in shown.sides() if side == span["side"])
        place = span["side"], span["start"], span["end"]
        asked = self.questions.evidence
        if asked and place not in beside:
            beside[place] = self._draw(asked, token, place, at)
            rows[Evidence] += beside[place]
        instances = [(one["id"], one["is_decoy"]) for one in beside.get(place, ())]
        judged = judge_evidence(self.truth, pid, arm, span, instances)
        key = opaque("span", revision_id, position)
        row = {name: span[name] for name in ("side", "start", "end", "quote", "type", "severity", "note")}
        rows[Span].append(
            row
            | {"id": key, "revision_id": revision_id, "position": position, "no_evidence": judged["no_evidence"]}
            | {"prefix": text[max(0, span["start"] - CONTEXT) : span["start"]]}
            | {"suffix": text[span["end"] : span["end"] + CONTEXT]}
        )
        rows[EvidenceAnswer] += [
            {"span_id": key, "evidence_id": one["id"], "verdict": one["verdict"]} for one in judged["evidence"]
        ]

    def _draw(
        self, asked: EvidenceQuestion, token: str, place: tuple[str, int, int], at: datetime
    ) -> list[dict[str, Any]]:
        side, start, end = place
        draw = random.Random(f"{self.study.seed}/{token}/{place}")
        positions = draw.sample(range(self.instances), min(self.instances, asked.k + asked.decoys))
        kinds = [False] * asked.k + [True] * asked.decoys
        drawn = list(zip(positions, kinds, strict=False))
        draw.shuffle(drawn)
        return [
            {
                "id": opaque("evidence", token, side, start, end, number),
                "presentation_id": token,
                "side": side,
                "start": start,
                "end": end,
                "place": number,
                "set_id": asked.set_id,
                "position": position,
                "is_decoy": decoy,
                "origin": "" if decoy else "nearest",
                "score": None if decoy else float(len(drawn) - number),
                "created_at": at,
            }
            for number, (position, decoy) in enumerate(drawn, start=1)
        ]
