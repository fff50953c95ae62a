"""The people page: who takes part and how far they are, pausing and removing, invites, another try at the check."""

import csv
import io
from datetime import timedelta

import pytest
from sqlmodel import select

from app.db import reading, writing
from models import (
    ComprehensionAttempt,
    Invite,
    Membership,
    MemberState,
    Presentation,
    PresentationState,
    Role,
    Study,
    User,
    WithdrawalPolicy,
)
from models.base import now
from tests.factories import PASSWORD, add, fill_study, make_member, make_user
from tests.web.judging_help import an_answer, change, post, take
from tests.web.people_help import invite_links, invite_rows, member_rows, members, soup, trail, words

CHECK = [{"question": "What counts?", "choices": ["Length", "What is written"], "right": 1, "why": "Length does not."}]
BOB = "a00000000001"
NEW = {"name": "Eve", "email": "eve@example.org", "password": PASSWORD}


@pytest.fixture
def filled(database, study):
    with writing(database) as session:
        fill_study(session, session.get_one(Study, study.id), prompts=tuple(f"Prompt {n}?" for n in range(5)))
    return study


@pytest.fixture
def dora(database, filled):
    with writing(database) as session:
        user = make_user(session, email="dora@example.org", name="Dora")
        make_member(session, study=filled, user=user, pid="a00000000002")
        return user


def act(client, study, what, pid=BOB, **form):
    return client.post(f"/studies/{study.id}/people/{pid}/{what}", data=form)


def test_a_row_tells_where_somebody_stands(researcher, annotator, database, filled, dora):
    change(database, filled, per_annotator=4)
    for skipped in (False, True):
        answer = an_answer(preference="cannot_judge", skip_reason="x", ratings={}) if skipped else an_answer()
        assert post(annotator, take(annotator, filled), "submit", answer).status_code == 200
    before = now()
    take(annotator, filled)
    after = now()
    rows = member_rows(researcher, filled)
    bob = rows[BOB]
    assert bob["Member"] == f"{BOB} Bob, bob@example.org"
    assert (bob["State"], bob["Judged"], bob["In hand"], bob["Left"]) == ("active", "1 1 could not", "1", "1")
    assert bob["Pace"] == "1 s 1 in 24 h"
    assert (bob["Check"], bob["One person?"]) == ("none", "nothing")
    # A minute may end while the item is taken.
    assert bob["Last seen"] in {at.strftime("%Y-%m-%d %H:%M") for at in (before, after)}
    assert (rows["a00000000002"]["Judged"], rows["a00000000002"]["Left"]) == ("0", "4")
    assert rows["a00000000002"]["Pace"] == "none yet"


def test_left_counts_only_items_with_a_free_place(researcher, annotator, client_for, database, filled, dora):
    change(database, filled, overlap=1)
    post(annotator, take(annotator, filled), "submit", an_answer())
    take(client_for(dora), filled)
    # One is judged, one is in the hand of each.
    rows = member_rows(researcher, filled)
    assert (rows[BOB]["Left"], rows["a00000000002"]["Left"]) == ("2", "2")


def test_last_seen_follows_an_open_page(researcher, annotator, database, filled):
    token = take(annotator, filled)
    at = now()
    early = at - timedelta(hours=30)
    with writing(database) as session:
        session.get_one(
            Membership, (filled.id, session.exec(select(User.id).where(User.name == "Bob")).one())
        ).joined_at = early
        shown = session.get_one(Presentation, token)
        shown.created_at, shown.leased_until = early, at + timedelta(minutes=50)
    heard = (at - timedelta(minutes=10)).strftime("%Y-%m-%d %H:%M")
    assert member_rows(researcher, filled)[BOB]["Last seen"] == heard


def test_names_are_for_who_runs_the_study_and_addresses_for_owners(client_for, database, filled, bob, carol):
    with writing(database) as session:
        make_member(session, study=filled, user=carol, pid="a00000000009").role = Role.RESEARCHER
    page = client_for(carol).get(f"/studies/{filled.id}/people").text
    assert "Bob" in page
    assert bob.email not in page
    assert "researchers, who see results" not in page


@pytest.mark.parametrize("what", ["pause", "remove"])
def test_a_stop_gives_back_what_is_in_hand_is_read_on_the_desk_and_can_be_undone(
    researcher, annotator, client_for, database, filled, dora, what
):
    change(database, filled, overlap=1)
    token = take(annotator, filled)
    assert post(annotator, token, "draft", an_answer()).status_code == 200
    told = f"Please read the <guidelines> again ({what})."
    assert act(researcher, filled, what, told=told).headers["location"] == f"/studies/{filled.id}/people/{BOB}"
    with reading(database) as session:
        assert session.get_one(Presentation, token).state == PresentationState.EXPIRED
    desk = soup(annotator.get("/judge"))
    assert words(desk.select_one(".people-told")) == told
    assert "Alice" not in desk.text
    refused = post(annotator, token, "submit", an_answer(base_revision=1))
    assert refused.status_code == 409
    assert take(annotator, filled) is None
    assert annotator.post(f"/judge/studies/{filled.id}/resume").status_code == 409
    row = member_rows(researcher, filled)[BOB]
    assert row["State"] == f"{'paused' if what == 'pause' else 'removed'} {told}"
    assert (row["In hand"], row["Left"]) == ("0", "none")
    assert act(researcher, filled, "resume").status_code == 303
    assert member_rows(researcher, filled)[BOB]["State"] == "active"
    assert take(annotator, filled) == token
    assert [action for action, _ in trail(database, filled)] == ["paused" if what == "pause" else "removed", "resumed"]


def test_a_stop_without_a_sentence_has_one_of_its_own_and_twice_is_once(researcher, annotator, database, filled):
    for _ in range(2):
        act(researcher, filled, "pause", told="  ")
    assert "Your part in this study is paused for now." in annotator.get("/judge").text
    assert len(trail(database, filled)) == 1


@pytest.mark.parametrize(
    ("policy", "said", "free"),
    [(WithdrawalPolicy.KEEP, "stays in the results", 4), (WithdrawalPolicy.EXCLUDE, "others judge it instead", 5)],
)
def test_removing_says_beforehand_what_becomes_of_the_judgments_and_does_so(
    researcher, annotator, database, filled, dora, policy, said, free
):
    change(database, filled, overlap=1, withdrawal=policy)
    post(annotator, take(annotator, filled), "submit", an_answer())
    page = researcher.get(f"/studies/{filled.id}/people/{BOB}").text
    assert said in page
    assert members(database, filled)[BOB].state == MemberState.ACTIVE
    act(researcher, filled, "remove")
    assert member_rows(researcher, filled)["a00000000002"]["Left"] == str(free)
    act(researcher, filled, "resume")
    assert member_rows(researcher, filled)["a00000000002"]["Left"] == "4"


def test_who_left_by_themselves_is_not_taken_back_and_whose_break_it_is_ends_it(
    researcher, annotator, database, filled
):
    annotator.post(f"/judge/studies/{filled.id}/pause")
    assert member_rows(researcher, filled)[BOB]["State"] == "on a break"
    assert act(researcher, filled, "resume").status_code == 409
    act(researcher, filled, "pause", told="Wait.")
    assert annotator.post(f"/judge/studies/{filled.id}/resume").status_code == 409
    act(researcher, filled, "resume")
    annotator.post(f"/judge/studies/{filled.id}/withdraw", data={"reason": "No time."})
    assert member_rows(researcher, filled)[BOB]["State"] == "left No time."
    page = researcher.get(f"/studies/{filled.id}/people/{BOB}").text
    assert "That is theirs to decide" in page
    assert "Take them back" not in page
    for what in ("resume", "pause", "remove"):
        assert act(researcher, filled, what).status_code == 409
    assert members(database, filled)[BOB].told == "No time."


def test_whom_a_researcher_paused_may_still_leave_and_then_it_is_theirs(researcher, annotator, database, filled):
    act(researcher, filled, "pause", told="Wait.")
    annotator.post(f"/judge/studies/{filled.id}/withdraw", data={"reason": "Bye."})
    member = members(database, filled)[BOB]
    assert (member.state, member.told, member.stopped_by) == (MemberState.WITHDRAWN, "Bye.", None)
    assert "Bye." not in annotator.get("/judge").text


def test_another_try_at_the_check_for_who_failed_and_nobody_else(researcher, annotator, database, filled):
    change(database, filled, comprehension=CHECK)
    assert member_rows(researcher, filled)[BOB]["Check"] == "not tried"
    assert act(researcher, filled, "try").status_code == 409
    for tries in (1, 2):
        annotator.post(f"/judge/check/{filled.id}", data={"q0": "0"})
        said = {1: "not passed yet after 1 try", 2: "failed after 2 tries"}[tries]
        assert member_rows(researcher, filled)[BOB]["Check"] == f"{said} last 0 of 1 right"
    assert member_rows(researcher, filled)[BOB]["Left"] == "none"
    assert "there are no items for you" in annotator.get("/judge").text
    assert "shown which answers were right" in researcher.get(f"/studies/{filled.id}/people/{BOB}").text
    assert act(researcher, filled, "try").status_code == 303
    assert "there are no items for you" not in annotator.get("/judge").text
    annotator.post(f"/judge/check/{filled.id}", data={"q0": "1"})
    assert member_rows(researcher, filled)[BOB]["Check"] == "passed, 3 tries"
    assert take(annotator, filled) is not None
    assert act(researcher, filled, "try").status_code == 409
    with reading(database) as session:
        assert [one.number for one in session.exec(select(ComprehensionAttempt))] == [1, 2, 3]
    assert ("another try", f"{BOB} got another try at the check") in trail(database, filled)


def test_a_person_of_another_study_is_not_there(researcher, stranger, filled):
    for pid in ("a99999999999", "x", "invites"):
        assert researcher.get(f"/studies/{filled.id}/people/{pid}").status_code == 404
        for what in ("pause", "remove", "resume", "try"):
            assert act(researcher, filled, what, pid=pid).status_code == 404
    assert act(researcher, filled, "pause", told="x" * 501).status_code == 422


def test_nobody_has_joined_yet(researcher, database, alice, study):
    with writing(database) as session:
        session.delete(session.exec(select(Membership)).one())
    assert "Nobody has joined yet" in researcher.get(f"/studies/{study.id}/people").text


# Invites


def test_an_invite_is_shown_once_and_makes_an_annotator(researcher, anonymous, database, study):
    begun = now()
    links = invite_links(researcher, study, count="2", note="the <b>lab</b>", days="3")
    assert len(set(links)) == 2
    again = researcher.get(f"/studies/{study.id}/people").text
    assert not any(link in again for link in links)
    assert "the &lt;b&gt;lab&lt;/b&gt;" in again
    with reading(database) as session:
        assert not any(invite.token_sha256 in links[0] for invite in session.exec(select(Invite)))
    assert anonymous.get(links[0]).status_code == 200
    assert anonymous.post(links[0], data=NEW).status_code == 303
    assert study.name in anonymous.get("/judge").text
    assert len(members(database, study)) == 2
    pid = next(pid for pid in members(database, study) if pid != BOB)
    rows = invite_rows(researcher, study)
    assert sorted(row[1] for row in rows) == ["open", f"used {pid}"]
    # A day may end while this runs.
    assert all(row[2][:10] in {(at + timedelta(days=3)).strftime("%Y-%m-%d") for at in (begun, now())} for row in rows)
    assert trail(database, study) == [("invited", "links for 2 annotators, for 3 days"), ("joined", f"{pid} joined")]


@pytest.mark.parametrize(
    "wrong",
    [{"count": value} for value in ("0", "201", "-1", "many", "1.5")]
    + [{"days": "0"}, {"days": "366"}, {"note": "x" * 201}, {"note": "a\tb"}, {"role": "owner"}],
)
def test_what_an_invite_cannot_be_is_refused_by_field_and_none_is_made(researcher, database, study, wrong):
    answer = researcher.post(f"/studies/{study.id}/people/invites", data={"count": "1"} | wrong)
    assert answer.status_code == 422
    with reading(database) as session:
        assert session.exec(select(Invite)).all() == []


def test_links_come_as_a_table_no_spreadsheet_runs(researcher, anonymous, study):
    note = '=HYPERLINK("http://evil"), "x"'
    answer = researcher.post(
        f"/studies/{study.id}/people/invites", data={"count": "3", "note": note, "as": "csv", "days": "2"}
    )
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.headers["content-disposition"] == 'attachment; filename="kettles-invites.csv"'
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert [row["note"] for row in rows] == [f"'{note}"] * 3
    assert {row["role"] for row in rows} == {"annotator"}
    assert len({row["link"] for row in rows}) == 3
    assert anonymous.get(rows[0]["link"].removeprefix("http://testserver")).status_code == 200


def test_one_or_all_open_invites_are_revoked_and_their_links_are_dead_at_once(researcher, client_for, database, study):
    first, second, third, used = (invite_links(researcher, study, note=str(n))[0] for n in range(4))
    assert client_for().post(used, data=NEW).status_code == 303
    with reading(database) as session:
        ids = {invite.note: invite.id for invite in session.exec(select(Invite))}

    def revoke(which):
        return researcher.post(f"/studies/{study.id}/people/invites/revoke", data={"invite_id": which})

    assert revoke(ids["0"]).status_code == 303
    assert (revoke(ids["0"]).status_code, revoke(ids["3"]).status_code, revoke("nothing").status_code) == (
        409,
        409,
        404,
    )
    for answer in (client_for().get(first), client_for().post(first, data=NEW | {"email": "f@example.org"})):
        assert answer.status_code == 410
        assert "This link has been withdrawn." in answer.text
    assert client_for().get(second).status_code == 200
    assert revoke("all").status_code == 303
    assert client_for().post(third, data=NEW | {"email": "g@example.org"}).status_code == 410
    assert sorted(row[1].split()[0] for row in invite_rows(researcher, study)) == ["revoked"] * 3 + ["used"]
    assert [detail for action, detail in trail(database, study) if action == "revoked"] == [
        "1 open invitation",
        "2 open invitations",
    ]
    assert revoke("all").status_code == 303
    assert len(members(database, study)) == 2


def test_an_invite_of_another_study_cannot_be_revoked_from_here(client_for, researcher, database, study, carol):
    invite_links(researcher, study)
    with writing(database) as session:
        other = add(session, Study(slug="other", name="Other", seed="s", created_by=carol.id))
        invite_id = session.exec(select(Invite.id)).one()
    answer = client_for(carol).post(f"/studies/{other.id}/people/invites/revoke", data={"invite_id": invite_id})
    assert answer.status_code == 404
    assert invite_rows(researcher, study)[0][1] == "open"


def test_only_an_owner_invites_researchers_and_they_see_the_study(client_for, researcher, database, study, carol):
    path = invite_links(researcher, study, role="researcher")[0]
    client = client_for(carol)
    assert client.get(f"/studies/{study.id}/people").status_code == 404
    assert client.post(path).status_code == 303
    assert client.get(f"/studies/{study.id}/people").status_code == 200
    refused = client.post(f"/studies/{study.id}/people/invites", data={"count": "1", "role": "researcher"})
    assert refused.status_code == 403
    with reading(database) as session:
        assert len(session.exec(select(Invite)).all()) == 1


def test_an_invite_to_judge_does_not_let_a_researcher_see_the_study(client_for, researcher, study, carol):
    client = client_for(carol)
    assert client.post(invite_links(researcher, study)[0]).status_code == 303
    assert client.get(f"/studies/{study.id}").status_code == 404
    assert study.name not in client.get("/studies").text
    assert study.name in client.get("/judge").text
