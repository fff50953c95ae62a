"""Ten thousand steps of handing out, saving, leaving and restarting on a real database, checked after every one."""

import hashlib
import itertools
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlmodel import update

from app.db import writing
from app.judging import desk_routes, save_routes
from app.leaks.scanning import scan_study
from models import LeakDecision, LeakFlag, Role, StudyState, WithdrawalPolicy, base
from tests.databases import PlainReader, SqliteFiles
from tests.factories import fill_study, make_member, make_study, make_user
from tests.simulation.desks import LEASE, Clock, Functions, Pages
from tests.web.judging_help import an_answer

PEOPLE, ITEMS = 4, 4
START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
PREFERENCES = ("left", "right", "tie_good", "tie_bad")
DONE = ("submitted", "skipped")
LATE = {
    ("expired", "leased"), ("expired", "submitted"), ("skipped", "submitted"), ("submitted", "skipped"),
}  # fmt: skip
anybody = st.integers(0, PEOPLE - 1)
anything = st.integers(0, 2**16)


class Judging(RuleBasedStateMachine):
    """Annotators, a researcher and a clock. What was acknowledged is remembered here and looked for in the database."""

    # Set by the test: how things are done, where fresh databases come from, and where files of theirs go.
    make_desk = None
    databases = None
    folder = None
    steps: ClassVar = Counter()
    numbers = itertools.count()
    ids = None

    @initialize(
        arms=st.sampled_from([("lft", "sft"), ("base", "lft", "sft")]),
        overlap=st.integers(1, 2),
        repeat=st.booleans(),
        limit=st.sampled_from([None, None, 3]),
        policy=st.sampled_from(list(WithdrawalPolicy)),
    )
    def open_a_study(self, arms, overlap, repeat, limit, policy):
        self.ids.seek(0)
        self.url = self.databases.create(self.folder / str(next(self.numbers)))
        self.clock = Clock(START)
        self.desk = type(self).make_desk(self.url, self.clock)
        with writing(self.desk.database) as session:
            owner = make_user(session, email="owner@example.org", role=Role.OWNER)
            study = make_study(
                session, owner=owner, overlap=overlap, repeat_items=repeat, per_annotator=limit, withdrawal=policy
            )
            prompts = tuple(f"Item {n}?" for n in range(ITEMS))
            fill_study(session, study, prompts=prompts, arms=arms, text="{arm} 🫖 says: {prompt}")
            users = [make_user(session, email=f"p{n}@example.org") for n in range(PEOPLE)]
            for number, user in enumerate(users):
                make_member(session, study=study, user=user, pid=f"p{number}")
        # As before every opening: the responses are read for what tells who wrote them, and every flag is decided.
        scan_study(self.desk.database, study.id)
        with writing(self.desk.database) as session:
            session.exec(update(LeakFlag).values(decision=LeakDecision.KEEP))
        self.owner, self.study, self.people = owner.id, study.id, [user.id for user in users]
        self.repeat, self.limit, self.policy = repeat, limit, policy
        self.file = PlainReader(self.url)
        self.tokens: list[tuple[str, str]] = []
        self.acknowledged: dict[tuple[str, str], tuple[int, str, str, dict]] = {}
        self.rows: dict[str, tuple] = {}
        self.states: dict[str, str] = {}
        self.late = Counter()

    def teardown(self):
        if hasattr(self, "file"):
            self.file.close()
            self.desk.close()
            self.databases.drop(self.url)

    # What the database says, read past the app

    def ask(self, query, *values):
        return self.file.ask(query, values)

    def now(self):
        return self.clock.now.strftime("%Y-%m-%d %H:%M:%S.%f")

    def study_now(self):
        return self.ask("SELECT state, overlap FROM study WHERE id = ?", self.study)[0]

    def standing(self, user):
        return self.ask("SELECT state FROM membership WHERE user_id = ?", user)[0][0]

    def shown(self):
        """Every presentation: id, item, pair, annotator, state, whether it is live, whether the first arm is left."""
        return self.ask(
            "SELECT p.id, p.item_id, p.pair_id, p.annotator_id, p.state, p.state = 'leased' AND p.leased_until > ?, "
            "l.name < r.name FROM presentation p "
            "JOIN arm l ON l.id = p.left_arm_id JOIN arm r ON r.id = p.right_arm_id",
            self.now(),
        )

    def taken(self, shown):
        """Places held per item and pair."""
        gone = set()
        if self.policy == WithdrawalPolicy.EXCLUDE:
            gone = {user for (user,) in self.ask("SELECT user_id FROM membership WHERE state = 'withdrawn'")}
        return Counter(
            (item, pair)
            for _, item, pair, user, state, live, _ in shown
            if (state == "submitted" or live) and user not in gone
        )

    def step(self, name):
        self.steps[name] += 1

    # What people do

    @rule(who=anybody)
    def claim(self, who):
        self.step("claim")
        user, before = self.people[who], self.shown()
        token = self.desk.claim(self.study, user)
        self.check_claim(user, token, before)

    def check_claim(self, user, token, before):
        state, overlap = self.study_now()
        if state != "open" or self.standing(user) != "active":
            assert token is None
            return
        if token is not None:
            assert token in {one[0] for one in self.shown() if one[3] == user and one[5]}
            in_hand = {one[0] for one in before if one[3] == user and one[5]}
            assert token in in_hand or not in_hand
            self.tokens += [(user, token)] if (user, token) not in self.tokens else []
            return
        # Nothing was handed out: then there must have been nothing to hand out.
        after = self.shown()
        taken, mine = self.taken(after), [one for one in after if one[3] == user]
        if self.limit is not None and sum(one[4] in (*DONE, "leased") for one in mine) >= self.limit:
            return
        had = {(one[1], one[2]) if self.repeat else one[1] for one in mine}
        slots = self.ask("SELECT i.id, p.id FROM item i, pair p WHERE i.study_id = p.study_id")
        assert not [
            slot for slot in slots if taken[slot] < overlap and (slot if self.repeat else slot[0]) not in had
        ], "places are free, and somebody goes without"
        assert not [one for one in mine if one[4] == "expired" and taken[one[1], one[2]] < overlap]

    @precondition(lambda self: self.tokens)
    @rule(pick=anything)
    def heartbeat(self, pick):
        self.step("heartbeat")
        user, token = self.pick(pick)
        expected = self.may_hold(user, token) and self.state_of(token) not in DONE
        assert self.desk.heartbeat(user, token) == (200 if expected else 409)

    @precondition(lambda self: self.tokens)
    @rule(pick=anything, preference=st.sampled_from([None, *PREFERENCES]), marked=st.booleans())
    def draft(self, pick, preference, marked):
        self.step("draft")
        user, token = self.pick(pick)
        answer = self.answer(token, preference=preference, comment=f"draft {pick}")
        self.save(user, token, "draft", answer | {"spans": [self.mark(token)] if marked else []})

    @precondition(lambda self: self.tokens)
    @rule(pick=anything, preference=st.sampled_from(PREFERENCES), marked=st.booleans())
    def submit(self, pick, preference, marked):
        self.step("submit")
        user, token = self.pick(pick, states=("leased", "expired"))
        answer = self.answer(token, preference=preference, spans=[self.mark(token)] if marked else [])
        self.save(user, token, "submit", answer)

    @precondition(lambda self: self.tokens)
    @rule(pick=anything, preference=st.sampled_from(PREFERENCES))
    def edit(self, pick, preference):
        self.step("edit")
        user, token = self.pick(pick, states=DONE)
        self.save(user, token, "submit", self.answer(token, preference=preference, edit_reason="again"))

    @precondition(lambda self: self.tokens)
    @rule(pick=anything)
    def skip(self, pick):
        self.step("skip")
        user, token = self.pick(pick)
        answer = self.answer(token, preference="cannot_judge", skip_reason="in a language I cannot read", ratings={})
        self.save(user, token, "submit", answer)

    @precondition(lambda self: self.acknowledged)
    @rule(pick=anything)
    def retry(self, pick):
        """The receipt was lost on the way: the same attempt comes again and is stored once."""
        self.step("retry")
        place = sorted(self.acknowledged)[pick % len(self.acknowledged)]
        number, what, user, answer = self.acknowledged[place]
        before = self.ask("SELECT count(*) FROM revision")
        status, receipt = self.desk.save(user, place[0], what, answer)
        assert (status, receipt["revision"]) == (200, number)
        assert self.ask("SELECT count(*) FROM revision") == before
        self.follow(user, receipt)

    @precondition(lambda self: self.acknowledged)
    @rule(pick=anything)
    def save_from_a_stale_page(self, pick):
        self.step("stale")
        user, token = self.pick(pick)
        newest = self.newest(token)
        for since in {newest - 1, newest + 1} - {-1}:
            answer = self.answer(token) | {"base_revision": since}
            assert self.desk.save(user, token, "draft", answer)[0] == 409
        assert self.newest(token) == newest

    @precondition(lambda self: self.tokens)
    @rule(pick=anything, what=st.sampled_from(["draft", "submit"]))
    def save_what_is_somebody_elses(self, pick, what):
        self.step("foreign")
        user, token = self.pick(pick)
        other = self.people[(self.people.index(user) + 1 + pick % (PEOPLE - 1)) % PEOPLE]
        assert self.desk.save(other, token, what, self.answer(token))[0] == 404
        assert self.desk.heartbeat(other, token) == 404

    # What ends or stops work comes seldom, or there would be nothing left to do: most such steps are claims.

    @rule(who=anybody, seldom=st.integers(0, 3))
    def pause(self, who, seldom):
        if seldom:
            self.claim(who)
            return
        self.step("pause")
        self.leave(who, "pause", {"active": "paused"})

    @rule(who=anybody)
    def resume(self, who):
        self.step("resume")
        self.leave(who, "resume", {"paused": "active"})

    @rule(who=anybody, seldom=st.integers(0, 5))
    def withdraw(self, who, seldom):
        if seldom:
            self.resume(who)
            return
        self.step("withdraw")
        self.leave(who, "withdraw", {"active": "withdrawn", "paused": "withdrawn"})

    def leave(self, who, how, becomes):
        user = self.people[who]
        before = self.standing(user)
        status = self.desk.leave(user, self.study, how)
        assert status == (409 if how == "resume" and before == "withdrawn" else 200)
        assert self.standing(user) == becomes.get(before, before)
        if self.standing(user) != "active":
            assert not [one for one in self.shown() if one[3] == user and one[5]]

    # What the researcher and the world do

    @rule(state=st.sampled_from([StudyState.OPEN, StudyState.PAUSED, StudyState.CLOSED]), seldom=st.integers(0, 3))
    def set_state(self, state, seldom):
        if seldom:
            self.claim(seldom)
            return
        self.step("state")
        before = self.study_now()[0]
        status = self.desk.set_state(self.owner, self.study, state)
        assert self.study_now()[0] == (state.value if status == 200 else before)

    @precondition(lambda self: self.study_now()[0] != "open")
    @rule()
    def open_again(self):
        self.step("open")
        self.desk.set_state(self.owner, self.study, StudyState.OPEN)
        assert self.study_now()[0] == "open"

    @rule(seldom=st.integers(0, 2))
    def top_up(self, seldom):
        if seldom:
            self.claim(seldom)
            return
        self.step("top up")
        state, overlap = self.study_now()
        self.desk.top_up(self.owner, self.study, min(overlap + 1, PEOPLE - 1))
        assert self.study_now()[1] == (overlap if state == "closed" else max(overlap, min(overlap + 1, PEOPLE - 1)))

    @rule(minutes=st.sampled_from([1, 20, 45, 61, 200, -5, -30, -90]))
    def the_clock_moves(self, minutes):
        self.step("clock")
        self.clock.now += timedelta(minutes=minutes)

    @rule(seldom=st.integers(0, 2))
    def restart(self, seldom):
        if seldom:
            self.claim(seldom)
            return
        self.step("restart")
        self.desk.restart()

    # Helpers of the rules

    def pick(self, number, *, states=()):
        fitting = [one for one in self.tokens if self.state_of(one[1]) in states] or self.tokens
        return fitting[number % len(fitting)]

    def state_of(self, token):
        return self.ask("SELECT state FROM presentation WHERE id = ?", token)[0][0]

    def newest(self, token):
        return self.ask("SELECT coalesce(max(number), 0) FROM revision WHERE presentation_id = ?", token)[0][0]

    def answer(self, token, **over):
        return an_answer(base_revision=self.newest(token), **over)

    def mark(self, token):
        text = self.ask(
            "SELECT r.text FROM response r JOIN presentation p ON p.left_response_id = r.id WHERE p.id = ?", token
        )[0][0]
        span = {"side": "left", "start": 9, "end": 15, "quote": text[9:15]}
        return span | {"type": "invented", "severity": "minor", "note": ""}

    def at_work(self, user):
        return self.study_now()[0] == "open" and self.standing(user) == "active"

    def may_hold(self, user, token):
        if not self.at_work(user):
            return False
        shown = self.shown()
        _, item, pair, _, state, live, _ = next(one for one in shown if one[0] == token)
        return state == "submitted" or live or self.taken(shown)[item, pair] < self.study_now()[1]

    def save(self, user, token, what, answer):
        """Save, and say beforehand what must come of it: accepted whenever the study, the person and the cap allow."""
        judged = what == "submit" and answer["preference"] != "cannot_judge"
        expected = self.may_hold(user, token) if judged else self.at_work(user)
        status, receipt = self.desk.save(user, token, what, answer)
        assert status == (200 if expected else 409)
        if expected:
            assert receipt["revision"] == answer["base_revision"] + 1
            self.acknowledged[token, answer["idempotency_key"]] = receipt["revision"], what, user, answer
            self.follow(user, receipt)

    def follow(self, user, receipt):
        upcoming = receipt.get("next")
        if upcoming and (user, upcoming) not in self.tokens:
            self.tokens.append((user, upcoming))

    # What must hold after every step

    @invariant()
    def nothing_is_promised_twice(self):
        shown = self.shown()
        overlap = self.study_now()[1]
        assert max(self.taken(shown).values(), default=0) <= overlap
        seen = Counter((one[3], one[1], one[2] if self.repeat else "") for one in shown)
        assert max(seen.values(), default=0) <= 1

    @invariant()
    def sides_stay_balanced(self):
        shown = self.shown()
        for token, _, _, user, state, _, _ in shown:
            if (self.states.get(token), state) in LATE:
                self.late[user] += 1
            self.states[token] = state
        for user in self.people:
            steps = [1 if one[6] else -1 for one in shown if one[3] == user and (one[4] == "submitted" or one[5])]
            # What comes back or is taken back late has the sides it was given, whatever was handed out since.
            assert abs(sum(steps)) <= 1 + self.late[user]

    @invariant()
    def what_was_acknowledged_is_there_and_stays_as_it_was(self):
        rows = {row[0]: row for row in self.ask("SELECT * FROM revision")}
        assert all(rows.get(key) == row for key, row in self.rows.items())
        self.rows = rows
        found = self.ask("SELECT presentation_id, idempotency_key, number, kind, preference FROM revision")
        stored = {(token, key): (number, kind, preference) for token, key, number, kind, preference in found}
        assert stored.keys() == self.acknowledged.keys()
        for place, (number, what, _, answer) in self.acknowledged.items():
            kind = "draft" if what == "draft" else "submitted"
            assert stored[place] == (number, kind, answer["preference"])

    @invariant()
    def a_presentation_is_one_judgment(self):
        rows = self.ask(
            "SELECT p.state, count(r.id), max(r.number), sum(CASE WHEN r.kind = 'submitted' THEN 1 ELSE 0 END) "
            "FROM presentation p LEFT JOIN revision r ON r.presentation_id = p.id GROUP BY p.id"
        )
        for state, number, highest, submitted in rows:
            assert number == (highest or 0)
            assert (state in DONE) == bool(submitted)
        assert self.ask(
            "SELECT count(*) FROM span s JOIN revision v ON v.id = s.revision_id "
            "JOIN presentation p ON p.id = v.presentation_id JOIN response r "
            "ON r.id = CASE s.side WHEN 'left' THEN p.left_response_id ELSE p.right_response_id END "
            'WHERE substr(r.text, s."start" + 1, s."end" - s."start") <> s.quote'
        ) == [(0,)]


class SameIds:
    """Ids that say nothing of their order, the same ones in every example."""

    def seek(self, number):
        self.number = number

    def token_hex(self, length):
        self.number += 1
        return hashlib.sha256(str(self.number).encode()).hexdigest()[: 2 * length]


def run(monkeypatch, tmp_path, all_databases, make_desk, *, examples, steps):
    class Here(Judging):
        databases, folder, steps, ids = all_databases, tmp_path, Counter(), SameIds()

    # Items are drawn by their ids, so a run can be repeated only with the same ones.
    monkeypatch.setattr(base, "secrets", Here.ids)

    Here.make_desk = staticmethod(make_desk)
    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    return Here.steps


@pytest.mark.timeout(1_200)
def test_nine_thousand_steps_by_the_functions_of_the_routes_break_nothing(monkeypatch, tmp_path, all_databases):
    # On PostgreSQL the first third of the same walks: a step takes longer there.
    share = 1 if isinstance(all_databases, SqliteFiles) else 3
    desk = clocked(monkeypatch, Functions)
    taken = run(monkeypatch, tmp_path, all_databases, desk, examples=216 // share, steps=51)
    assert taken.total() >= 9_000 // share
    assert min(taken[name] for name in RULES) >= 20 // share
    # Drawn only while a study is not open, and then among many.
    assert taken["open"]


@pytest.mark.timeout(600)
def test_a_thousand_steps_over_http_break_nothing(monkeypatch, tmp_path, all_databases, app):
    app.state.settings = app.state.settings.model_copy(update={"lease_minutes": LEASE.seconds // 60})
    with TestClient(app) as started:

        def desk(url, clock):
            return Pages(url, clock, app, started.portal)

        own = app.state.database
        taken = run(monkeypatch, tmp_path, all_databases, clocked(monkeypatch, desk), examples=27, steps=51)
        app.state.database = own
    assert taken.total() >= 1_000


# Each is drawn dozens of times, in a third of the walks too.
RULES = (
    "claim", "heartbeat", "draft", "submit", "edit", "skip", "retry", "stale", "foreign",
    "pause", "resume", "withdraw", "state", "top up", "clock", "restart",
)  # fmt: skip


def clocked(monkeypatch, make_desk):
    """A desk whose routes read the test's clock."""

    def make(url, clock):
        for module in (desk_routes, save_routes):
            monkeypatch.setattr(module, "now", clock)
        return make_desk(url, clock)

    return make
