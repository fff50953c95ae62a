"""The import form as typed, and what the registry offers to import in one click."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from app.engines.registry import Checkpoint
from app.errors import InvalidInputError


@dataclass(frozen=True, slots=True)
class ImportForm:
    """What was typed, and what was wrong with it; `same` is the id of the set that holds the same bytes already."""

    name: str = ""
    checkpoints: tuple[str, ...] = ()
    problem: str = ""
    same: str = ""


_TUNED = "tuned:"


def import_form(fields: Mapping[str, str]) -> ImportForm:
    """Read the form's fields; each ticked checkpoint is a field of its own, `tuned:` and its name."""
    ticked = tuple(name.removeprefix(_TUNED) for name in fields if name.startswith(_TUNED))
    return ImportForm(name=fields.get("name", ""), checkpoints=ticked)


@dataclass(frozen=True, slots=True)
class Offer:
    """A tuning set the registry names and nobody has imported: the checkpoints tuned on it, and its file."""

    checkpoints: tuple[str, ...]
    path: Path

    @property
    def title(self) -> str:
        """The checkpoints in words: a, b and c."""
        *others, last = self.checkpoints
        return f"{', '.join(others)} and {last}" if others else last


def offers(checkpoints: Iterable[Checkpoint], attached: Collection[str]) -> tuple[Offer, ...]:
    """Group the registry's checkpoints that name a tuning set and have none attached by that file."""
    by_path: dict[Path, list[str]] = {}
    for checkpoint in checkpoints:
        if checkpoint.tuning_set is not None and checkpoint.name not in attached:
            by_path.setdefault(checkpoint.tuning_set, []).append(checkpoint.name)
    return tuple(Offer(tuple(names), path) for path, names in by_path.items())


def offered(found: Iterable[Offer], checkpoint: str) -> Offer:
    """Return the offer a checkpoint belongs to. Raises InvalidInputError, for instance when it was taken meanwhile."""
    for offer in found:
        if checkpoint in offer.checkpoints:
            return offer
    raise InvalidInputError(
        f"The registry names no tuning set of {checkpoint[:80]!r} that still needs importing.",
        remedy="Upload the file, or name it as tuning_set in checkpoints.toml.",
    )


def known_checkpoint(name: str, known: Collection[str]) -> str:
    """Return a checkpoint's name. Raises InvalidInputError for one the registry does not have."""
    if name not in known:
        raise InvalidInputError(f"There is no checkpoint {name[:80]!r}.", remedy=f"Known: {', '.join(known)}.")
    return name
