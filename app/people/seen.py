"""How much of what is still free in a study each member was handed before. For researchers' routes alone."""

from collections.abc import Sequence

import numpy as np
from sqlmodel import Session, col, select

from app.monitor.columns import Columns
from models import Presentation, PresentationState, Study

_FINISHED = (PresentationState.SUBMITTED, PresentationState.SKIPPED)
_NOT_FREE = -1


def seen_of_free(
    session: Session, study: Study, slots: Sequence[tuple[str, str]], columns: Columns
) -> tuple[int, dict[str, int]]:
    """Count what is free, and of it what each member was handed, by user id; who was handed none of it is left out.

    `slots` are items and pairs with a free place. These are counted where the study repeats items, else the items.
    `columns` are the study's judgments; what is not finished is looked up.
    """
    places = {
        key: at for at, key in enumerate(dict.fromkeys(slots if study.repeat_items else (one for one, _ in slots)))
    }
    if not places:
        return 0, {}

    def place(item_id: str, pair_id: str) -> int:
        return places.get((item_id, pair_id) if study.repeat_items else item_id, _NOT_FREE)

    people = {user_id: at for at, user_id in enumerate(columns.people)}
    query = select(Presentation.annotator_id, Presentation.item_id, Presentation.pair_id).where(
        Presentation.study_id == study.id, col(Presentation.state).not_in(_FINISHED)
    )
    begun = [(people.setdefault(who, len(people)), place(item, pair)) for who, item, pair in session.exec(query)]
    table = np.array([[place(item, pair) for pair in columns.pairs] for item in columns.items], dtype=np.int64)
    table = table.reshape(len(columns.items), len(columns.pairs))
    who = np.concatenate([columns.who, np.array([one for one, _ in begun], dtype=np.int64)])
    what = np.concatenate([table[columns.item, columns.pair], np.array([at for _, at in begun], dtype=np.int64)])
    free = what != _NOT_FREE
    # Somebody may have had one item in several pairs.
    each = np.unique(who[free].astype(np.int64) * len(places) + what[free])
    counts = np.bincount(each // len(places), minlength=len(people)).tolist()
    return len(places), {user_id: counts[at] for user_id, at in people.items() if counts[at]}
