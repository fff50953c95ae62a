"""Judgments kept between polls: whatever happens in between, what is counted is what is in the tables."""

from datetime import timedelta
from unittest.mock import patch

import pytest
from sqlmodel import select

from app.db import connect, reading, writing
from app.monitor import kept
from app.monitor.board import EPOCH
from app.monitor.columns import ANSWERED
from app.monitor.in_hand import unfinished_of
from app.monitor.votes import iter_votes
from models import Item, ItemKind, Preference, Presentation, PresentationState, Revision, RevisionKind, Study
from tests.factories import add, fill_study
from tests.web.judging_help import an_answer, page_data, post, take
from tests.web.monitor_help import SKIPPED, START, gold, items_of, judge, person, shown

L, R, GOOD = Preference.LEFT, Preference.RIGHT, Preference.TIE_GOOD


def seen(database, study):
    """What the monitor counts with, by presentation."""
    with reading(database) as session:
        finished = unfinished_of(session, study.id).finished
        c = kept.judged_columns(session, session.get_one(Study, study.id), finished)
    return [
        (
            c.id_of(at), c.people[c.who[at]], c.items[c.item[at]], c.pairs[c.pair[at]], c.arms[c.left[at]],
            ANSWERED[c.preference[at]], c.active_ms[at], EPOCH + timedelta(microseconds=int(c.submitted[at])),
            c.recognised[at], c.guesses.get(c.id_of(at), "").strip(), c.flagged[at], c.guideline_version[at],
        )
        for at in range(len(c))
    ]  # fmt: skip


def stored(database, study):
    """The same, read one by one."""
    with reading(database) as session:
        return [
            (
                vote.presentation_id, vote.annotator_id, vote.item_id, vote.pair_id, vote.left_arm_id, vote.preference,
                vote.active_ms, vote.submitted_at, vote.recognised, vote.guess.strip(), vote.flagged,
                vote.guideline_version,
            )
            for vote in iter_votes(session, session.get_one(Study, study.id))
        ]  # fmt: skip


@pytest.fixture
def running(database, study, bob):
    with writing(database) as session:
        one = session.get_one(Study, study.id)
        fill_study(session, one, prompts=tuple(f"Question {n}?" for n in range(8)))
        gold(session, one)
        judge(session, one, bob, items_of(session, one)[0], L, recognised_model=True, recognised_guess="kettle")
    return study


@pytest.fixture
def reads(running, database):
    """Count how often all judgments of a study were read, and not only what is new."""
    with patch.object(kept, "_read", wraps=kept._read) as whole:
        seen(database, running)
        whole.reset_mock()
        yield whole


def revise(session, presentation_id, number, preference, *, at=START, kind=RevisionKind.SUBMITTED, **over):
    values = {"idempotency_key": f"attempt-{number}", "app_version": "0", "created_at": at}
    return add(
        session,
        Revision(presentation_id=presentation_id, number=number, kind=kind, preference=preference, **values | over),
    )


def test_nothing_new_is_not_read_again(database, running, reads):
    assert seen(database, running) == stored(database, running)
    reads.assert_not_called()


def test_work_through_the_pages_is_seen_at_once(database, running, reads, annotator):
    """Drafts, judgments, skips and edits over HTTP, as annotators do them."""
    token = take(annotator, running)
    page_data(annotator, token)
    post(annotator, token, "draft", an_answer(comment="wait"))
    assert seen(database, running) == stored(database, running)
    sent = post(annotator, token, "submit", an_answer(preference="right", base_revision=1))
    assert sent.status_code == 200
    assert seen(database, running) == stored(database, running)
    post(
        annotator, token, "submit",
        an_answer(preference="cannot_judge", skip_reason="hm", base_revision=2),
    )  # fmt: skip
    found = {row[0]: row[5] for row in seen(database, running)}
    assert found[token] == "cannot_judge"
    assert seen(database, running) == stored(database, running)
    for _ in range(3):
        token = take(annotator, running)
        assert post(annotator, token, "submit", an_answer()).status_code == 200
        assert seen(database, running) == stored(database, running)
    assert len(seen(database, running)) == 5
    reads.assert_not_called()


def test_what_another_process_wrote_is_seen(database, settings, running, reads, bob):
    other = connect(settings.resolved_database_url)
    with writing(other) as session:
        one = session.get_one(Study, running.id)
        judge(session, one, bob, items_of(session, one)[1], R, at=START + timedelta(seconds=5))
    other.dispose()
    assert len(seen(database, running)) == 2
    assert seen(database, running) == stored(database, running)
    reads.assert_not_called()


def test_a_clock_that_went_back_costs_a_reading_and_loses_nothing(database, running, reads, bob):
    with writing(database) as session:
        one = session.get_one(Study, running.id)
        judge(session, one, bob, items_of(session, one)[2], R, at=START - timedelta(days=3))
    assert seen(database, running) == stored(database, running)
    assert reads.call_count == 1


def test_an_old_judgment_that_is_edited_changes_in_place(database, running, reads, bob):
    with writing(database) as session:
        one = session.get_one(Study, running.id)
        old = session.exec(select(Presentation.id).where(Presentation.study_id == one.id)).one()
        judge(session, one, bob, items_of(session, one)[3], GOOD, at=START + timedelta(days=2))
    seen(database, running)
    with writing(database) as session:
        revise(session, old, 2, R, at=START + timedelta(days=3))
    found = seen(database, running)
    assert found == stored(database, running)
    assert [row[5] for row in found] == ["right", "tie_good"]
    assert [row[9] for row in found] == ["", ""], "the guess of the first revision is gone with it"
    reads.assert_not_called()


def test_a_judgment_that_is_no_longer_one_is_not_counted(database, running, reads):
    """No page takes a judgment back; should somebody do it by hand in the tables, it is noticed."""
    with writing(database) as session:
        for one in session.exec(select(Presentation)):
            one.state = PresentationState.EXPIRED
    assert seen(database, running) == stored(database, running) == []
    assert reads.call_count == 1


def test_studies_do_not_see_each_others_work(database, running, reads, bob, alice):
    with writing(database) as session:
        other = add(session, Study(slug="other", name="Other", seed="s", created_by=alice.id))
        fill_study(session, other, prompts=("One?", "Two?"))
        judge(session, other, bob, items_of(session, other)[0], R, at=START + timedelta(minutes=1))
    assert seen(database, running) == stored(database, running)
    assert len(seen(database, other)) == 1
    reads.reset_mock()
    with writing(database) as session:
        judge(session, other, bob, items_of(session, other)[1], L, at=START + timedelta(minutes=2))
    assert seen(database, other) == stored(database, other)
    assert seen(database, running) == stored(database, running)
    reads.assert_not_called()


def test_a_long_mixed_history_is_always_counted_whole(database, running, bob):
    """Many people, leases, drafts, skips, gold and edits, in any order of clocks: after each step all is right."""
    with writing(database) as session:
        one = session.get_one(Study, running.id)
        people = [bob, *(person(session, one, number) for number in (2, 3, 4))]
    done = []
    for step in range(60):
        at = START + timedelta(minutes=step, hours=-7 * (step % 11 == 10))
        with writing(database) as session:
            one = session.get_one(Study, running.id)
            items = [*items_of(session, one), session.exec(select_gold(one)).one()]
            who, item = people[step % 4], items[(step // 4) % 9]
            free = not session.exec(
                select(Presentation).where(Presentation.annotator_id == who.id, Presentation.item_id == item.id)
            ).first()
            if step % 5 == 4 and done:
                again = done[(step * 7) % len(done)]
                number = len(session.exec(select(Revision).where(Revision.presentation_id == again)).all()) + 1
                kind = RevisionKind.DRAFT if step % 10 == 9 else RevisionKind.SUBMITTED
                revise(session, again, number, R, at=at, kind=kind, flagged=step % 3 == 0)
            elif free and step % 7 == 6:
                shown(session, one, who, item, at=at)
            elif free:
                done.append(judge(session, one, who, item, (L, R, GOOD, SKIPPED)[step % 4], at=at).id)
        assert seen(database, running) == stored(database, running), step
    assert len(done) > 20
    assert {row[5] for row in seen(database, running)} == set(ANSWERED) - {"tie_bad"}


def select_gold(study):
    return select(Item).where(Item.study_id == study.id, Item.kind == ItemKind.GOLD)


def test_only_so_many_studies_are_kept(database, running, alice):
    with writing(database) as session:
        others = [
            add(session, Study(slug=f"s{n}", name=f"S{n}", seed="s", created_by=alice.id))
            for n in range(kept._STUDIES + 3)
        ]
    for one in others:
        assert seen(database, one) == []
    assert len(kept._kept) <= kept._STUDIES
    assert seen(database, running) == stored(database, running)
