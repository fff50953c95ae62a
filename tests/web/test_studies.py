"""Making, opening and closing studies, inviting annotators, and generating what is missing."""

import asyncio
import re

import pytest
from sqlmodel import func, select

from app.db import reading, writing
from app.errors import ConflictError, EngineError, InvalidInputError
from app.studies.design import NewArm, every_pair
from app.studies.generate import generate_missing
from app.studies.queries import create_study
from models import Arm, Item, ItemResponse, Pair, Response, Role, Study, StudyState, Trace
from tests.factories import fill_study, make_member, make_study
from tests.scripted_engine import Script
from tests.scripted_engine import scripted_engines as build_engines

ROUTES = [
    ("GET", "/studies"),
    ("POST", "/studies"),
    ("GET", "/studies/new"),
    ("POST", "/studies/preview"),
    ("POST", "/studies/imports"),
    ("GET", "/studies/{id}"),
    ("GET", "/studies/{id}/setup"),
    ("POST", "/studies/{id}/setup"),
    ("GET", "/studies/{id}/guidelines"),
    ("POST", "/studies/{id}/duplicate"),
    ("POST", "/studies/{id}/delete"),
    ("POST", "/studies/{id}/state"),
    ("POST", "/studies/{id}/people/invites"),
    ("GET", "/studies/{id}/export/preferences.csv"),
]


def count(database, table):
    with reading(database) as session:
        return session.exec(select(func.count()).select_from(table)).one()


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_studies_are_for_researchers(anonymous, annotator, study, method, path):
    headers = {"Accept": "application/json"}
    path = path.format(id=study.id)
    assert anonymous.request(method, path, headers=headers).status_code == 401
    assert annotator.request(method, path, headers=headers).status_code == 403


@pytest.mark.parametrize(("method", "path"), [route for route in ROUTES if "{id}" in route[1]])
def test_somebody_elses_study_looks_like_no_study(stranger, study, method, path):
    data = {"state": "closed"} if path.endswith("state") else None
    theirs = stranger.request(method, path.format(id=study.id), data=data)
    none = stranger.request(method, path.format(id="0123456789abcdef"), data=data)
    assert theirs.status_code == none.status_code == 404
    assert theirs.text.replace(study.id, "X") == none.text.replace("0123456789abcdef", "X")


def test_a_member_who_is_a_researcher_sees_the_study(stranger, carol, database, study):
    with writing(database) as session:
        make_member(session, study=study, user=carol, pid="a2").role = Role.RESEARCHER
    assert stranger.get(f"/studies/{study.id}").status_code == 200
    assert study.name in stranger.get("/studies").text


def test_an_empty_list_says_what_to_do(stranger, htmx):
    page = stranger.get("/studies", headers=htmx)
    assert page.status_code == 200
    assert "No studies yet" in page.text


def test_a_study_with_holes_does_not_open(researcher, database, alice):
    with writing(database) as session:
        draft = make_study(session, owner=alice, slug="draft", state=StudyState.DRAFT)
        items = fill_study(session, draft)
        session.delete(session.exec(select(ItemResponse).where(ItemResponse.item_id == items[1].id)).first())
    refused = researcher.post(f"/studies/{draft.id}/state", data={"state": "open"})
    assert refused.status_code == 409
    assert re.search(r"1 response is missing: item 2 from (lft|sft)", refused.text)
    assert "tuneshift generate draft" in refused.text


@pytest.mark.parametrize(
    ("before", "after", "status"),
    [
        ("draft", "open", 303), ("open", "paused", 303), ("paused", "open", 303), ("open", "closed", 303),
        ("closed", "open", 303), ("open", "open", 303), ("draft", "closed", 409), ("closed", "paused", 409),
        ("open", "draft", 409), ("open", "gone", 422),
    ],
)  # fmt: skip
def test_states_and_the_steps_between_them(researcher, database, alice, before, after, status):
    with writing(database) as session:
        study = make_study(session, owner=alice, slug="s", state=StudyState(before))
        fill_study(session, study)
    assert researcher.post(f"/studies/{study.id}/state", data={"state": after}).status_code == status
    with reading(database) as session:
        assert session.get_one(Study, study.id).state == (after if status == 303 else before)


def test_a_name_that_tells_is_warned_about(researcher, database, alice):
    with writing(database) as session:
        telling = make_study(session, owner=alice, slug="t", name="Is LFT better?")
        fill_study(session, telling)
    assert "would read as the name of a model" in researcher.get(f"/studies/{telling.id}").text


def test_contradictions_are_refused_before_anything_is_stored(database, alice):
    arms = [NewArm("a", "lft", {}), NewArm("b", "sft", {})]
    values = {
        "name": "S", "slug": "s", "prompts": ["p"], "arms": arms, "pairs": [("a", "b")], "guidelines": "",
        "overlap": 1, "created_by": alice.id,
    }  # fmt: skip
    wrong = [
        ({"pairs": [("a", "c")]}, "No arm is called 'c'"),
        ({"pairs": [("a", "a")]}, "paired with itself"),
        ({"pairs": []}, "at least one pair"),
        ({"prompts": []}, "at least one prompt"),
        ({"arms": [arms[0], NewArm("a", "sft", {})]}, "same name"),
        ({"overlap": 0}, "1 to 100, not 0"),
    ]
    for over, sentence in wrong:
        with writing(database) as session, pytest.raises(InvalidInputError, match=sentence):
            create_study(session, **(values | over))
    assert count(database, Study) == 0
    with writing(database) as session:
        create_study(session, **(values | {"pairs": [("a", "b"), ("b", "a")]}))
    assert count(database, Pair) == 1
    with writing(database) as session, pytest.raises(ConflictError):
        create_study(session, **values)


def test_every_pair_is_named_once():
    assert every_pair(["a", "b", "c"]) == [("a", "b"), ("a", "c"), ("b", "c")]


def make_draft(database, alice):
    with writing(database) as session:
        decoding = {"max_tokens": 200, "temperature": 0.0, "seed": 0}
        arms = [NewArm(name, name, decoding) for name in ("base", "lft", "sft")]
        return create_study(
            session, name="Draft", slug="draft", prompts=["One?", "Two?"], arms=arms, pairs=[("lft", "sft")],
            guidelines="", overlap=1, created_by=alice.id,
        )  # fmt: skip


def test_generation_fills_what_is_missing_and_nothing_twice(database, alice, scripted_engines):
    make_draft(database, alice)
    steps = []
    assert asyncio.run(generate_missing(database, scripted_engines, "draft", on_progress=steps.append)) == 6
    assert [(step.done, step.total) for step in steps] == [(n, 6) for n in range(1, 7)]
    assert asyncio.run(generate_missing(database, scripted_engines, "draft", on_progress=steps.append)) == 0
    assert count(database, Response) == count(database, ItemResponse) == count(database, Trace) == 6


def test_an_interrupted_generation_goes_on_with_the_same_prompts(database, alice, tmp_path):
    make_draft(database, alice)
    broken = build_engines(
        tmp_path / "t", base=Script(), lft=Script(), sft=Script(fail_at=3, error=EngineError("sft died."))
    )
    with pytest.raises(EngineError, match=r"sft died.*run it again"):
        asyncio.run(generate_missing(database, broken, "draft", on_progress=lambda _: None))
    # Both items were under way: base and lft of each ended, sft of neither.
    assert count(database, Response) == 4
    engines = build_engines(tmp_path / "t")
    assert asyncio.run(generate_missing(database, engines, "draft", on_progress=lambda _: None)) == 2
    with reading(database) as session:
        ids = session.exec(
            select(Item.position, Arm.name, Response.prompt_ids)
            .join(ItemResponse, ItemResponse.item_id == Item.id)
            .join(Arm, Arm.id == ItemResponse.arm_id)
            .join(Response, Response.id == ItemResponse.response_id)
        ).all()
    assert len(ids) == 6
    by_item = {position: {tuple(seen) for at, _, seen in ids if at == position} for position, _, _ in ids}
    assert [len(seen) for seen in by_item.values()] == [1, 1]
