"""Remember what was built from what, by content, so that a finished step is never done twice."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from app.finetune.hashing import file_sha256
from app.finetune.publish import write_text


@dataclass(frozen=True)
class FileRecord:
    """A file as it was when it was last hashed."""

    size: int
    mtime_ns: int
    sha256: str


@dataclass(frozen=True)
class StepRecord:
    """A finished step: the content of its inputs, and its output files by path relative to the output folder."""

    inputs: dict[str, str]
    outputs: dict[str, FileRecord]


Manifest = dict[str, StepRecord]


def _file_record(path: Path) -> FileRecord:
    status = path.stat()
    return FileRecord(size=status.st_size, mtime_ns=status.st_mtime_ns, sha256=file_sha256(path))


def record_outputs(folder: Path) -> dict[str, FileRecord]:
    """Hash every file below `folder`."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): _file_record(path) for path in paths}


def _checked(path: Path, known: FileRecord) -> FileRecord | None:
    """The record of `path` if its content is still `known`, else None.

    Size and time only spare the hashing of a file that nobody touched: a file with another time is hashed again
    and accepted when its content is the same.
    """
    if not path.is_file():
        return None
    status = path.stat()
    if status.st_size != known.size:
        return None
    if status.st_mtime_ns == known.mtime_ns:
        return known
    now = _file_record(path)
    return now if now.sha256 == known.sha256 else None


def still_valid(record: StepRecord | None, *, inputs: dict[str, str], folder: Path) -> StepRecord | None:
    """The record, refreshed, if it was made from `inputs` and every output file still has its content."""
    if record is None or record.inputs != inputs or not record.outputs:
        return None
    checked = {name: _checked(folder / name, known) for name, known in record.outputs.items()}
    outputs = {name: file for name, file in checked.items() if file is not None}
    return StepRecord(inputs=inputs, outputs=outputs) if len(outputs) == len(checked) else None


def _step(raw: dict[str, Any]) -> StepRecord:
    return StepRecord(
        inputs=dict(raw["inputs"]), outputs={name: FileRecord(**file) for name, file in raw["outputs"].items()}
    )


def read_manifest(path: Path) -> Manifest:
    """All finished steps. A missing or unreadable manifest means that nothing is known to be finished."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        return {name: _step(step) for name, step in raw.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Replace the manifest in one step."""
    write_text(path, json.dumps({name: asdict(step) for name, step in manifest.items()}, indent=1) + "\n")
