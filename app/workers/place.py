"""Which part of the server a process is, and the folder by which the parts find each other."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from app.accounts.access import ACCESS, Access

_EVERYBODY = frozenset({Access.PUBLIC, Access.SIGNED_IN})


@dataclass(frozen=True, slots=True)
class Place:
    """A process: the whole server, one that answers people (`pages`), or the one that has the models.

    The last holds whatever belongs to one process: engines, comparisons that run, background work. `folder` is where
    the parts of one server meet; only its owner may enter it.
    """

    role: Literal["whole", "pages", "models"] = "whole"
    folder: Path | None = None

    @property
    def has_models(self) -> bool:
        """Whether runs and background work live here."""
        return self.role != "pages"

    @property
    def models_socket(self) -> Path:
        """Where the process with the models listens."""
        assert self.folder is not None  # noqa: S101  only a part of several asks
        return self.folder / "models.sock"

    @property
    def metrics(self) -> Path:
        """The folder in which every process counts."""
        assert self.folder is not None  # noqa: S101  only a part of several asks
        return self.folder / "metrics"


WHOLE = Place()


@dataclass(frozen=True, slots=True)
class Crew:
    """How many processes there should be and are, and how often one was replaced."""

    wanted: int
    running: int
    replaced: int
    models: bool


def write_crew(place: Place, crew: Crew) -> None:
    """Say how the processes are; readers see the old or the new, never half."""
    assert place.folder is not None  # noqa: S101  only the parent of several writes
    partial = place.folder / "crew.partial"
    partial.write_text(json.dumps(asdict(crew)), encoding="utf-8")
    partial.replace(place.folder / "crew.json")


def read_crew(place: Place) -> Crew | None:
    """Read how the processes are; None for a server that is one process."""
    if place.folder is None:
        return None
    return Crew(**json.loads((place.folder / "crew.json").read_text(encoding="utf-8")))


def _first(path: str) -> str:
    return path.split("/", 2)[1]


# Whatever is for researchers may need a model, a run or background work; what is for everybody never does.
_WITH_MODELS = frozenset(_first(path) for (_, path), needed in ACCESS.items() if needed not in _EVERYBODY)


def is_elsewhere(path: str) -> bool:
    """Tell whether a process without models leaves an address to the one that has them."""
    return path.startswith("/") and _first(path) in _WITH_MODELS
