"""Small tuning sets and their indexes, for tests of provenance."""

from collections.abc import Sequence
from pathlib import Path

from app.provenance.build import build_index
from app.provenance.index import Encoder, Index, Instance, open_index

SHA = "0" * 64


def index_of(folder: Path, answers: Sequence[str | tuple[str, ...]], encoder: Encoder | None = None) -> Index:
    """Index answers under ids i0, i1, ...; a tuple holds the turns of one instance."""
    instances = [
        Instance(f"i{position}", f"instruction {position}", (answer,) if isinstance(answer, str) else answer)
        for position, answer in enumerate(answers)
    ]
    build_index(folder, SHA, instances, encoder=encoder)
    return open_index(folder, SHA, encoder)
