"""The judgments behind a number: whatever answer is asked for, each that fits is on one page, in order."""

from itertools import cycle
from unittest.mock import patch

import pytest
from sqlalchemy import event
from sqlmodel import select

from app.db import reading, writing
from app.monitor.votes import iter_votes
from app.results import rows
from app.results.rows import OUTCOMES, Asked, judgments_like
from models import Arm, Item, Preference, Presentation, PresentationState, Revision, RevisionKind, Study
from tests.factories import add, fill_study
from tests.web.monitor_help import SKIPPED, items_of, judge, person, shown

L, R, GOOD, BAD = Preference.LEFT, Preference.RIGHT, Preference.TIE_GOOD, Preference.TIE_BAD
# What somebody said first, and last where they changed it.
SAID = ((L,), (R,), (GOOD,), (BAD,), (SKIPPED,), (L, R), (SKIPPED, L), (R, SKIPPED), (GOOD, L, GOOD))
FITS = {
    "": lambda _said, _chosen: True,
    "judged": lambda said, _chosen: said[-1] != SKIPPED,
    "first": lambda _said, chosen: chosen == "lft",
    "second": lambda _said, chosen: chosen == "sft",
    "left": lambda said, _chosen: said[-1] == L,
    "right": lambda said, _chosen: said[-1] == R,
    "tie": lambda said, _chosen: said[-1] in {GOOD, BAD},
    "tie_good": lambda said, _chosen: said[-1] == GOOD,
    "tie_bad": lambda said, _chosen: said[-1] == BAD,
    "cannot_judge": lambda said, _chosen: said[-1] == SKIPPED,
    "changed": lambda said, _chosen: said[-1] not in {SKIPPED, said[0]},
}


def edit(session, one, number, preference, kind=RevisionKind.SUBMITTED):
    """Change an answer as a save would."""
    values = {"idempotency_key": f"attempt-{number}", "app_version": "0", "preference": preference}
    add(session, Revision(presentation_id=one.id, number=number, kind=kind, **values))
    if kind == RevisionKind.SUBMITTED:
        one.state = PresentationState.SKIPPED if preference == SKIPPED else PresentationState.SUBMITTED


@pytest.fixture
def said(database, study):
    """What was said of each presentation, by its id: seven items, some of them nobody judged, and one in hand."""
    found, each = {}, cycle(SAID)
    with writing(database) as session:
        kept = session.get_one(Study, study.id)
        fill_study(session, kept, prompts=tuple(f"Question {at}?" for at in range(7)))
        items = items_of(session, kept)
        people = [person(session, kept, at) for at in range(2, 8)]
        for at, item in enumerate(items):
            for one in people[: 0 if at in {2, 6} else len(people)]:
                answers = next(each)
                made = judge(session, kept, one, item, answers[0], left=("lft", "sft")[len(found) % 2])
                for number, answer in enumerate(answers[1:], start=2):
                    edit(session, made, number, answer)
                edit(session, made, 9, L, RevisionKind.DRAFT)
                found[made.id] = answers
        shown(session, kept, people[0], items[6])
    return found


@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize("size", [1, 4, 50])
def test_every_judgment_that_fits_is_on_one_page_in_order(database, study, said, outcome, size):
    with patch.object(rows, "PAGE", size), reading(database) as session:
        kept = session.get_one(Study, study.id)
        names = {arm.id: arm.name for arm in session.exec(select(Arm))}
        chosen = {vote.presentation_id: names.get(vote.chosen_arm_id) for vote in iter_votes(session, kept)}
        order = session.exec(
            select(Presentation.id).join(Item, Item.id == Presentation.item_id).order_by(Item.position, Presentation.id)
        )
        wanted = [key for key in order if key in said and FITS[outcome](said[key], chosen[key])]
        asked = Asked(first="lft", second="sft", outcome=outcome, excluded="no")
        found = judgments_like(session, kept, asked, 1)
        listed = [one for page in range(1, found.pages + 2) for one in judgments_like(session, kept, asked, page).rows]
    assert 0 < len(wanted) <= len(said)
    assert [one.presentation_id for one in listed] == wanted
    assert (found.total, found.pages) == (len(wanted), -(-len(wanted) // size))


@pytest.mark.parametrize(("outcome", "times"), [("judged", 0), ("cannot_judge", 0), ("left", 2), ("tie", 2)])
def test_answers_are_looked_up_only_where_the_state_does_not_tell_them(database, study, said, outcome, times):
    """Looking at the answers of a study takes longer than all else: once to count, and once for the page."""
    statements = []

    def note(_connection, _cursor, statement, *_):
        statements.append(statement)

    event.listen(database, "before_cursor_execute", note)
    with reading(database) as session:
        judgments_like(session, session.get_one(Study, study.id), Asked(outcome=outcome, excluded="no"), 1)
    event.remove(database, "before_cursor_execute", note)
    # The last of them reads the few rows of the page.
    looked = [one for one in statements if "JOIN revision" in one]
    assert len(looked) == times + 1
    assert sum("count(" in one for one in looked) == times // 2
