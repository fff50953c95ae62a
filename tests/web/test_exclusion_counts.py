"""What the database counts of exclusion rules equals what the rules say of each judgment, read one by one."""

import random
from collections import Counter

import pytest
from sqlmodel import select

from app.db import reading, writing
from app.monitor.counts import count_excluded, count_met, people_counted
from app.monitor.excluding import add_rule
from app.monitor.exclusions import Rule, matched, people_of, reasons
from app.monitor.votes import iter_votes, members_of
from app.results.rows import Asked, judgments_like
from models import Membership, MemberState, Preference, Revision, RevisionKind, Study, User
from models.base import now
from tests.factories import add, fill_study, make_study
from tests.web.monitor_help import SKIPPED, gold, items_of, judge, person

RULES = (
    Rule("min_active", {"seconds": 3}),
    Rule("min_active", {"seconds": 20.5}),
    Rule("recognised", {}),
    Rule("outdated_guidelines", {"version": 2}),
    Rule("gold_failed", {"share": 0.5, "min_n": 2}),
    Rule("straight_lining", {"share": 0.6, "min_n": 4}),
    Rule("annotator", {"annotator": "a00000000003"}),
    Rule("withdrawn", {}),
    Rule("comprehension", {}),
)


@pytest.fixture
def judged(database, study, bob):
    """Eight people who judge ten items and three gold ones, some of them again; and another study beside it."""
    draw = random.Random(11)
    with writing(database) as session:
        kept = session.get(Study, study.id)
        for one in (kept, make_study(session, owner=bob, slug="other")):
            fill_study(session, one, prompts=tuple(f"{at}?" for at in range(10)))
            known = [gold(session, one, position=100), gold(session, one, position=101, expected="tie_good")]
            people = [person(session, one, at + 10 * (one is not kept)) for at in range(2, 10)]
            for who in people:
                for item in (*items_of(session, one), *known):
                    _judge(session, one, who, item, draw)
        member = session.exec(select(Membership).where(Membership.study_id == study.id)).all()[-1]
        member.state = MemberState.WITHDRAWN
    return study


def _judge(session, study, who, item, draw):
    said = draw.choice([*Preference, Preference.LEFT, Preference.LEFT])
    answer = {"active_ms": draw.choice([-1, 0, 2_999, 3_000, 20_499, 20_500]), "guideline_version": draw.choice([1, 2])}
    one = judge(session, study, who, item, said, recognised_model=draw.random() < 0.3, **answer)
    if draw.random() < 0.3 and said != SKIPPED:
        again = {"number": 2, "idempotency_key": "k2", "kind": RevisionKind.SUBMITTED, "app_version": "0"}
        add(session, Revision(presentation_id=one.id, preference=Preference.RIGHT, active_ms=1_000, **again))
    if draw.random() < 0.3:
        draft = {"number": 3, "idempotency_key": "k3", "kind": RevisionKind.DRAFT, "app_version": "0"}
        add(session, Revision(presentation_id=one.id, preference=None, recognised_model=True, **draft))


def test_counts_equal_the_rules_of_each_judgment(database, judged):
    with reading(database) as session:
        study = session.get_one(Study, judged.id)
        members, votes = members_of(session, study), list(iter_votes(session, study))
        people = people_of(votes, members)
        assert people_counted(session, study, members) == people
        met = count_met(session, study, people, RULES)
        assert met == matched(votes, people, RULES)
        assert sum(judgments > 0 for judgments, _ in met) >= 7
        for rules in (RULES[:1], RULES[2:4], RULES[4:6], RULES[6:7], ()):
            judgments, excluded = count_excluded(session, study, people, rules)
            regular = [vote for vote in votes if vote.item_kind == "regular"]
            assert judgments == Counter(vote.annotator_id for vote in regular)
            out = Counter(vote.annotator_id for vote in regular if reasons(rules, vote, people))
            assert +excluded == out


def test_the_list_of_judgments_parts_them_as_the_rules_do(database, judged):
    with writing(database) as session:
        study, by = session.get_one(Study, judged.id), session.exec(select(User)).first()
        for rule in (RULES[0], RULES[2], RULES[4]):
            add_rule(session, study, rule.name, rule.settings, reason="x", by=by, now=now())
    with reading(database) as session:
        study = session.get_one(Study, judged.id)
        votes = [vote for vote in iter_votes(session, study) if vote.item_kind == "regular"]
        people = people_of(iter_votes(session, study), members_of(session, study))
        rules = (RULES[0], RULES[2], RULES[4])
        out = {vote.presentation_id for vote in votes if reasons(rules, vote, people)}
        found = {}
        for said in ("yes", "no"):
            pages = [judgments_like(session, study, Asked(excluded=said), page) for page in (1, 2)]
            found[said] = {row.presentation_id for page in pages for row in page.rows}
            assert all(page.total == len(found[said]) for page in pages)
            assert all(bool(row.excluded_by) == (said == "yes") for page in pages for row in page.rows)
        assert found == {"yes": out, "no": {vote.presentation_id for vote in votes} - out}
        assert out
