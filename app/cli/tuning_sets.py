"""`tuneshift tuning-set list`: the tuning sets there are."""

from app.cli.common import JsonOption, console, print_json
from app.cli.opened_database import opened_database
from app.db import reading
from app.settings import Settings
from app.tuning_sets.queries import list_sets


def list_(as_json: JsonOption = False) -> None:
    """List the tuning sets with their versions, hashes, checkpoints and states."""
    with opened_database(Settings()) as database, reading(database) as session:
        rows = list_sets(session)
    if as_json:
        fields = ("id", "name", "version", "sha256", "n", "shape", "filename")
        facts = [{field: getattr(entry.row, field) for field in fields} for entry in rows]
        states = [{"state": entry.row.state.value, "checkpoints": list(entry.checkpoints)} for entry in rows]
        print_json([fact | state for fact, state in zip(facts, states, strict=True)])
        return
    for entry in rows:
        row = entry.row
        tuned = ", ".join(entry.checkpoints) or "no checkpoint"
        facts_line = (
            f"{row.name}  version {row.version}  {row.sha256[:12]}  {row.n:,} instances  {row.state.value}  {tuned}"
        )
        console.print(facts_line, markup=False, soft_wrap=True)
