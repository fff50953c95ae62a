"""Judging over HTTP: handing out, saving, submitting, and everything that must be refused."""

import re
from datetime import timedelta

import pytest
from bs4 import BeautifulSoup
from sqlmodel import func, select

from app.db import reading, writing
from models import (
    Membership,
    Presentation,
    PresentationState,
    Revision,
    Role,
    Span,
    Study,
    StudyState,
)
from models.base import now
from tests.factories import fill_study, make_member, make_study, make_user
from tests.web.judging_help import a_form, an_answer, page_data, post, take


@pytest.fixture
def filled(database, study):
    with writing(database) as session:
        fill_study(session, session.get(Study, study.id))
    return study


@pytest.fixture
def token(annotator, filled):
    return take(annotator, filled)


def revisions(database):
    with reading(database) as session:
        return session.exec(select(Revision).order_by(Revision.number)).all()


def set_state(database, study, state):
    with writing(database) as session:
        session.get(Study, study.id).state = state


@pytest.mark.parametrize("path", ["/judge", "/judge/0123456789abcdef"])
def test_nobody_judges_without_signing_in(anonymous, path):
    assert anonymous.get(path).status_code == 303
    assert anonymous.get(path, headers={"Accept": "application/json"}).status_code == 401


def test_access_to_the_writing_routes(anonymous, stranger, token, filled):
    for client, status in ((anonymous, 401), (stranger, 404)):
        assert post(client, token, "draft", an_answer()).status_code == status
        assert post(client, token, "submit", an_answer()).status_code == status
        taken = client.post("/judge/next", data={"study_id": filled.id}, headers={"Accept": "application/json"})
        assert taken.status_code == status
    assert stranger.get(f"/judge/{token}").status_code == 404


def test_somebody_elses_item_looks_like_no_item(client_for, database, filled, token):
    with writing(database) as session:
        other = make_user(session, email="dora@example.org", name="Dora")
        make_member(session, study=filled, user=other, pid="a2")
    dora = client_for(other)
    theirs, none = dora.get(f"/judge/{token}"), dora.get("/judge/0123456789abcdef")
    assert theirs.status_code == none.status_code == 404
    assert theirs.text.replace(token, "0123456789abcdef") == none.text
    assert post(dora, token, "submit", an_answer()).status_code == 404
    assert revisions(database) == []


def test_the_desk_says_where_one_stands(annotator, stranger, filled, htmx):
    page = annotator.get("/judge", headers=htmx)
    assert page.status_code == 200
    assert "Start" in page.text
    assert "Nothing to judge yet" in stranger.get("/judge", headers=htmx).text


def test_reading_a_page_hands_nothing_out(annotator, database, filled):
    for path in ("/judge", "/judge?stay"):
        annotator.get(path)
        annotator.head(path)
    with reading(database) as session:
        assert session.exec(select(func.count()).select_from(Presentation)).one() == 0


def test_an_open_item_is_found_again(annotator, filled, token):
    assert annotator.get("/judge").headers["location"] == f"/judge/{token}"
    assert take(annotator, filled) == token


def test_the_page_works_without_scripts(annotator, token, htmx):
    page = BeautifulSoup(annotator.get(f"/judge/{token}", headers=htmx).text, "html.parser")
    form = page.select_one("form#judging")
    assert form["action"] == f"/judge/{token}/submit"
    assert (
        len(form.select("input[type=radio][name^=left_]")) == len(form.select("input[type=radio][name^=right_]")) == 25
    )
    assert [radio["value"] for radio in form.select("input[name=preference]")] == [
        "left", "right", "tie_good", "tie_bad", "cannot_judge",
    ]  # fmt: skip
    assert not page.select("[hx-get], [hx-post], [onclick], style, script:not([src])")


def test_a_plain_form_submits_and_leads_on(annotator, database, token):
    answer = annotator.post(f"/judge/{token}/submit", data=a_form(comment="fine"))
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/judge/")
    assert answer.headers["location"] != f"/judge/{token}"
    (revision,) = revisions(database)
    assert (revision.number, revision.kind, revision.comment) == (1, "submitted", "fine")


def test_a_plain_form_leaves_the_marks_of_the_draft(annotator, database, token):
    text = page_data(annotator, token)["texts"]["left"]
    mark = {"side": "left", "start": 0, "end": 6, "quote": text[:6], "type": "other", "severity": "major", "note": "n"}
    assert post(annotator, token, "draft", an_answer(spans=[mark])).json()["revision"] == 1
    assert annotator.post(f"/judge/{token}/submit", data=a_form(base_revision="1")).status_code == 303
    with reading(database) as session:
        spans = session.exec(select(Span)).all()
    assert [(span.quote, span.note) for span in spans] == [(text[:6], "n")] * 2


def test_a_draft_is_kept_and_shown_again_and_is_no_judgment(annotator, database, token):
    draft = an_answer(preference=None, ratings={"left": {"depth": 5}}, comment="half", active_ms=7)
    reply = post(annotator, token, "draft", draft)
    assert reply.status_code == 200
    assert set(reply.json()) == {"revision", "saved_at"}
    answer = page_data(annotator, token)["answer"]
    assert answer["ratings"] == {"left": {"depth": 5}, "right": {}}
    assert (answer["revision"], answer["comment"], answer["active_ms"]) == (1, "half", 7)
    with reading(database) as session:
        assert session.get(Presentation, token).state == PresentationState.LEASED


def test_revisions_are_counted_and_none_is_overwritten(annotator, database, token):
    for base, words in enumerate(("one", "two", "three")):
        assert (
            post(annotator, token, "draft", an_answer(base_revision=base, comment=words)).json()["revision"] == base + 1
        )
    done = post(annotator, token, "submit", an_answer(base_revision=3, comment="four")).json()
    assert done["revision"] == 4
    assert done["next"].startswith("/judge/")
    assert [(r.number, r.kind.value, r.comment) for r in revisions(database)] == [
        (1, "draft", "one"), (2, "draft", "two"), (3, "draft", "three"), (4, "submitted", "four"),
    ]  # fmt: skip


@pytest.mark.parametrize("what", ["draft", "submit"])
def test_a_retried_attempt_is_stored_once(annotator, database, token, what):
    answer = an_answer()
    first = post(annotator, token, what, answer).json()
    for _ in range(3):
        again = post(annotator, token, what, answer)
        assert again.status_code == 200
        assert (again.json()["revision"], again.json()["saved_at"]) == (first["revision"], first["saved_at"])
    assert len(revisions(database)) == 1


def test_a_key_cannot_be_used_for_something_else(annotator, token):
    answer = an_answer()
    post(annotator, token, "draft", answer)
    assert post(annotator, token, "submit", answer).status_code == 409


def test_an_older_tab_is_told_and_can_keep_its_version(annotator, database, token):
    post(annotator, token, "draft", an_answer(comment="first tab"))
    stale = post(annotator, token, "draft", an_answer(comment="second tab"))
    assert stale.status_code == 409
    assert "Revision 1 of this answer was saved elsewhere" in stale.json()["error"]["message"]
    base = stale.json()["current"]["revision"]
    kept = post(annotator, token, "draft", an_answer(comment="second tab", base_revision=base))
    assert kept.json()["revision"] == 2
    assert [r.comment for r in revisions(database)] == ["first tab", "second tab"]
    ahead = post(annotator, token, "draft", an_answer(base_revision=9))
    assert ahead.status_code == 409


@pytest.mark.parametrize("field", ["model_left", "excluded", "role", "created_at", "is_gold", "annotator_id", "number"])
def test_fields_that_are_not_the_annotators_are_refused(annotator, database, token, field):
    assert post(annotator, token, "submit", an_answer(**{field: "x"})).status_code == 422
    form = annotator.post(f"/judge/{token}/submit", data=a_form(**{field: "x"}))
    assert form.status_code == 422
    assert revisions(database) == []


@pytest.mark.parametrize("value", [0, 6, 3.5, "5", True, None, [3]])
def test_ratings_are_never_coerced(annotator, database, token, value):
    answer = an_answer()
    answer["ratings"]["right"]["clarity"] = value
    reply = post(annotator, token, "submit", answer)
    assert reply.status_code == 422
    assert "ratings.right.clarity" in reply.json()["error"]["message"]
    assert revisions(database) == []


def test_what_is_missing_is_named(annotator, database, token):
    answer = an_answer(preference=None)
    del answer["ratings"]["left"]["depth"]
    reply = post(annotator, token, "submit", answer)
    assert reply.status_code == 422
    assert reply.json()["error"]["message"] == "Still missing: depth of A, which response is better."
    assert revisions(database) == []


@pytest.mark.parametrize("kind", ["text/plain", "application/octet-stream", "application/json; charset=utf-16"])
def test_other_kinds_of_bodies_are_refused(annotator, token, kind):
    reply = annotator.post(f"/judge/{token}/draft", content="{}", headers={"Content-Type": kind})
    assert reply.status_code == 422


def test_a_mark_must_quote_the_stored_text(annotator, database, token):
    text = page_data(annotator, token)["texts"]["right"]
    mark = {"side": "right", "start": 2, "end": 8, "quote": text[2:8], "type": "wrong_fact", "severity": "major"}
    for wrong in ({"quote": "nothing"}, {"start": 3}, {"end": 10_000}, {"side": "left", "start": 0}):
        reply = post(annotator, token, "draft", an_answer(spans=[mark | wrong]))
        assert reply.status_code == 422, wrong
        assert "Span 1" in reply.json()["error"]["message"]
    assert revisions(database) == []
    assert post(annotator, token, "draft", an_answer(spans=[mark])).status_code == 200
    with reading(database) as session:
        (span,) = session.exec(select(Span)).all()
    assert (span.prefix, span.quote, span.suffix) == (text[:2], text[2:8], text[8:40])


@pytest.mark.parametrize(
    ("state", "words"), [(StudyState.PAUSED, "paused"), (StudyState.CLOSED, "closed"), (StudyState.DRAFT, "opened")]
)
def test_a_study_that_is_not_open_takes_nothing_and_says_so(annotator, database, filled, token, state, words):
    set_state(database, filled, state)
    for what in ("draft", "submit"):
        reply = post(annotator, token, what, an_answer())
        assert reply.status_code == 409
        assert words in reply.json()["error"]["message"]
        assert "kept in this browser" in reply.json()["error"]["remedy"]
    assert revisions(database) == []
    assert annotator.get(f"/judge/{token}").status_code == 200
    assert take(annotator, filled) is None


def test_what_was_acknowledged_before_closing_is_still_acknowledged(annotator, database, filled, token):
    answer = an_answer()
    post(annotator, token, "submit", answer)
    set_state(database, filled, StudyState.CLOSED)
    assert post(annotator, token, "submit", answer).status_code == 200


def test_skipping_needs_a_reason_and_leaves_the_place_to_others(annotator, database, token):
    nothing = an_answer(preference="cannot_judge", ratings={})
    assert post(annotator, token, "submit", nothing).status_code == 422
    reason = an_answer(preference="cannot_judge", ratings={}, skip_reason="not my field")
    assert post(annotator, token, "submit", reason).status_code == 200
    with reading(database) as session:
        assert session.get(Presentation, token).state == PresentationState.SKIPPED


def test_the_last_item_ends_in_thanks(annotator, filled, htmx):
    seen = set()
    while (token := take(annotator, filled)) is not None:
        seen.add(token)
        post(annotator, token, "submit", an_answer())
    assert len(seen) == 3
    page = annotator.get("/judge", headers=htmx).text
    assert "That was the last one. Thank you." in page
    assert "3 of 3 judged" in page


def test_a_judgment_can_be_changed_until_the_study_closes(annotator, database, filled, token):
    post(annotator, token, "submit", an_answer(preference="left"))
    page = annotator.get(f"/judge/{token}").text
    assert "You judged this item" in page
    assert post(annotator, token, "submit", an_answer(preference="right", base_revision=1)).status_code == 200
    assert [r.preference.value for r in revisions(database)] == ["left", "right"]
    with reading(database) as session:
        assert session.exec(select(func.count()).select_from(Presentation)).one() == 2


def test_no_items_now_when_others_hold_the_rest(client_for, database, alice, bob):
    with writing(database) as session:
        small = make_study(session, owner=alice, slug="small", overlap=1)
        other = make_user(session, email="dora@example.org", name="Dora")
        make_member(session, study=small, user=bob, pid="a1")
        make_member(session, study=small, user=other, pid="a2")
        fill_study(session, small, prompts=("Only one?",))
    assert take(client_for(bob), small) is not None
    assert take(client_for(other), small) is None
    page = client_for(other).get("/judge").text
    assert "1 is held by others until" in page
    assert "in 60 min" in page


def test_a_lease_that_ran_out_goes_to_others_and_back_only_while_there_is_room(client_for, database, alice, bob):
    with writing(database) as session:
        small = make_study(session, owner=alice, slug="small", overlap=1)
        other = make_user(session, email="dora@example.org", name="Dora", role=Role.ANNOTATOR)
        make_member(session, study=small, user=bob, pid="a1")
        make_member(session, study=small, user=other, pid="a2")
        fill_study(session, small, prompts=("Only one?",))
    slow, quick = client_for(bob), client_for(other)
    token = take(slow, small)
    post(slow, token, "draft", an_answer(comment="half"))
    with writing(database) as session:
        session.get(Presentation, token).leased_until = now() - timedelta(seconds=1)
    # Nobody came yet: the annotator goes on as if nothing had happened.
    assert take(slow, small) == token
    with writing(database) as session:
        session.get(Presentation, token).leased_until = now() - timedelta(seconds=1)
    theirs = take(quick, small)
    assert theirs is not None
    late = post(slow, token, "submit", an_answer(base_revision=1))
    assert late.status_code == 409
    assert "ran out, and others have judged it" in late.json()["error"]["message"]
    assert post(slow, token, "draft", an_answer(base_revision=1, comment="more")).status_code == 200
    assert page_data(slow, token)["answer"]["comment"] == "more"
    assert post(quick, theirs, "submit", an_answer()).status_code == 200
    with reading(database) as session:
        states = [one.state for one in session.exec(select(Presentation))]
    assert states.count(PresentationState.SUBMITTED) == 1
    assert states.count(PresentationState.LEASED) == 0


def test_saving_keeps_the_lease_alive(annotator, database, token):
    with writing(database) as session:
        session.get(Presentation, token).leased_until = now() + timedelta(seconds=5)
    post(annotator, token, "draft", an_answer())
    with reading(database) as session:
        left = session.get(Presentation, token).leased_until.replace(tzinfo=now().tzinfo) - now()
    assert left > timedelta(minutes=59)


def test_both_sides_say_that_a_text_was_cut_off_in_the_same_words(annotator, database, alice, bob):
    with writing(database) as session:
        cut = make_study(session, owner=alice, slug="cut")
        make_member(session, study=cut, user=bob, pid="a9")
        fill_study(session, cut, prompts=("One?",), finish="length", text="same")
    page = BeautifulSoup(annotator.get(f"/judge/{take(annotator, cut)}").text, "html.parser")
    left, right = page.select(".side")
    assert len(left.select(".badge")) == len(right.select(".badge")) == 1
    name = re.compile(r'(?<=["\s])(left|right)(?=[-_"])')
    assert name.sub("S", str(left)).replace(">A<", ">X<").replace(" A", " X") == name.sub("S", str(right)).replace(
        ">B<", ">X<"
    ).replace(" B", " X")


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        "</div><img src=x onerror=alert(1)>",
        "<b hx-get=/logout>x</b>",
        "{{7*7}}",
        "'\"><x>",
    ],
)
def test_a_models_text_is_text_and_nothing_else(annotator, database, alice, bob, hostile):
    with writing(database) as session:
        bad = make_study(session, owner=alice, slug="bad", guidelines=hostile, name=hostile)
        make_member(session, study=bad, user=bob, pid="a9")
        fill_study(session, bad, prompts=(hostile,), text=hostile)
    token = take(annotator, bad)
    post(annotator, token, "draft", an_answer(comment=hostile))
    page = BeautifulSoup(annotator.get(f"/judge/{token}").text, "html.parser")
    assert [element.text for element in page.select(".answer")] == [hostile, hostile]
    assert page.select_one("[name=comment]")["value"] == hostile
    assert not page.select("script:not([src]), img, [hx-get], x, b:not(.anchors b)")
    assert page_data(annotator, token)["texts"] == {"left": hostile, "right": hostile}


def test_texts_reach_the_script_exactly(annotator, database, alice, bob):
    exact = "one\r\ntwo\rthree\u2028 👩‍🍳 e\u0301 שלום\t'\"<&>"
    with writing(database) as session:
        odd = make_study(session, owner=alice, slug="odd")
        make_member(session, study=odd, user=bob, pid="a9")
        fill_study(session, odd, prompts=("Odd?",), text=exact)
    assert page_data(annotator, take(annotator, odd))["texts"] == {"left": exact, "right": exact}


def test_a_study_one_does_not_belong_to_hands_nothing_out(researcher, database, filled):
    with reading(database) as session:
        assert session.get(Membership, (filled.id, filled.created_by)) is None
    assert researcher.post("/judge/next", data={"study_id": filled.id}).status_code == 404
