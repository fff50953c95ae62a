"""Everything that is counted on the monitor, loaded once: judgments, who gave them, names, and what rules take out."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlmodel import Session

from app.monitor.columns import Bools, Sheet, sheet_of
from app.monitor.described import Meaning
from app.monitor.exclusions import Person
from app.monitor.in_hand import Unfinished, unfinished_of
from app.monitor.kept import judged_columns
from app.monitor.sections import Names, names_of
from app.monitor.taken_out import taken_out
from app.monitor.votes import active_rules, lengths_of, members_of
from models import Study


@dataclass(frozen=True, slots=True)
class Standing:
    """A study's judgments as they stand. `out` tells row by row which ones some rule takes out."""

    members: Mapping[str, Person]
    names: Names
    sheet: Sheet
    out: Bools
    unfinished: Unfinished
    meaning: Meaning


def standing_of(session: Session, study: Study) -> Standing:
    """Load it; judgments that were read before are not read again."""
    members = members_of(session, study)
    names = names_of(session, study.id, members)
    unfinished = unfinished_of(session, study.id)
    columns = judged_columns(session, study, unfinished.finished)
    meaning = Meaning(names.known, lengths_of(session, study.id), names.better_arm_id)
    sheet = sheet_of(columns, meaning.items, meaning.lengths, meaning.better_arm_id)
    out = taken_out(active_rules(session, study), sheet, members)
    return Standing(members, names, sheet, out, unfinished, meaning)
