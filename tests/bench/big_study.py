"""A study as large as asked, for the benches: 500 judgments of each item with ten ratings each.

Every tenth judgment was changed once, every seventh has a comment, every fifth marks a span.
"""

import hashlib
import json
import sqlite3

from app import migrate
from app.db import connect, writing
from models import Membership, Role
from tests.factories import fill_study, make_study, make_user

PER_ITEM = 500
DIMENSIONS = ("helpfulness", "clarity", "factuality", "depth", "engagement")
MOMENT = "2026-03-01 09:00:00.123456"
TEXT = "{arm} says, " + "at length, " * 40
# The first "length" of every response.
SPAN = (TEXT.index("length") - len("{arm}") + len("Answer 1"), "length")
SHOWN = (
    "id, study_id, item_id, pair_id, annotator_id, left_arm_id, right_arm_id, left_response_id, right_response_id, "
    "side_order_key, state, leased_until, created_at, submitted_at"
)
REVISIONS = (
    "id, number, presentation_id, preference, active_ms, ratings, comment, created_at, idempotency_key, kind, wall_ms, "
    "acceptability, flagged, skip_reason, recognised_model, recognised_guess, reading, edit_reason, guideline_version, "
    "app_version"
)
SAME = "'k' || ?2, 'submitted', 60000, '{}', 0, '', 0, '', '{}', '', 1, '0.1.0'"
SPANS = 'id, revision_id, side, type, "start", "end", quote, position, prefix, suffix, severity, note, no_evidence'


def opaque(*parts):
    return hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()[:16]


def fill(path, judgments):
    """Make the database at `path`; returns the id of its study."""
    database = connect(f"sqlite:///{path}")
    migrate.upgrade(database)
    with writing(database) as session:
        study = make_study(session, owner=make_user(session, email="bench@example.org", role=Role.OWNER))
        prompts = tuple(f"Why does kettle {at} whistle, and what of it?" for at in range(max(2, judgments // PER_ITEM)))
        items = [item.id for item in fill_study(session, study, prompts=prompts, text=TEXT)]
        people = [make_user(session, email=f"{at}@example.org", name=f"Person {at}").id for at in range(PER_ITEM)]
        for at, one in enumerate(people):
            session.add(Membership(study_id=study.id, user_id=one, pid=f"a{at:011d}"))
        study_id = study.id
    database.dispose()
    raw = sqlite3.connect(path)
    raw.execute("PRAGMA synchronous=OFF")
    arms = dict(raw.execute("SELECT name, id FROM arm"))
    (pair,) = raw.execute("SELECT id FROM pair").fetchone()
    texts = {
        (item, arm): key for item, arm, key in raw.execute("SELECT item_id, arm_id, response_id FROM itemresponse")
    }
    for number, item in enumerate(items):
        _judge(raw, (study_id, item, pair), number, people, arms, texts)
    raw.commit()
    raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    raw.close()
    return study_id


def _judge(raw, where, number, people, arms, texts):
    shown, revisions, spans = [], [], []
    for at, one in enumerate(people):
        draw = hashlib.sha256(f"{number}/{at}".encode()).digest()
        names = ("lft", "sft") if draw[0] % 2 else ("sft", "lft")
        sides = [arms[name] for name in names] + [texts[where[1], arms[name]] for name in names]
        token = opaque("shown", number, at)
        shown.append((token, *where, one, *sides, draw.hex(), "submitted", MOMENT, MOMENT, MOMENT))
        said = ("left", "right", "tie_good", "tie_bad", "left")[draw[1] % 5]
        rated = {
            side: {name: 1 + (draw[2 + place] >> shift) % 5 for place, name in enumerate(DIMENSIONS)}
            for shift, side in enumerate(("left", "right"))
        }
        comment = "Both miss the point, I think." if at % 7 == 0 else ""
        given = (token, said, 20_000 + 100 * draw[9], json.dumps(rated), comment, MOMENT)
        last = 2 if at % 10 == 0 else 1
        revisions += [(opaque("revision", number, at, n), n, *given) for n in range(1, last + 1)]
        if at % 5 == 0:
            side, kind = ("left", "right")[draw[10] % 2], ("wrong_fact", "invented")[draw[11] % 2]
            start, quote = SPAN
            spans.append((opaque("span", number, at), revisions[-1][0], side, kind, start, start + len(quote), quote))
    raw.executemany(f"INSERT INTO presentation ({SHOWN}) VALUES ({','.join('?' * 14)})", shown)
    raw.executemany(f"INSERT INTO revision ({REVISIONS}) VALUES ({','.join('?' * 8)}, {SAME})", revisions)
    raw.executemany(
        f"INSERT INTO span ({SPANS}) VALUES ({','.join('?' * 7)}, 1, 'says, at ', ', at', 'minor', '', 0)", spans
    )
