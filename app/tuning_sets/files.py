"""Where a tuning set's files lie: what was sent until it is imported, the word file, the indexes."""

import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from app.errors import InvalidInputError
from app.settings import Settings

_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Source:
    """A file on our own disk, hashed, and what its owner calls it. It is moved away when its import begins."""

    path: Path
    filename: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Places:
    """The folders of all tuning sets, and the largest file taken, in bytes."""

    folder: Path
    indexes: Path
    max_bytes: int

    def source(self, set_id: str) -> Path:
        """Name the file an import reads; it is there until that has succeeded, or has found the file wrong."""
        return self.folder / f"{set_id}.source"

    def words(self, set_id: str) -> Path:
        """Name the word file."""
        return self.folder / f"{set_id}.words"

    def forget(self, set_id: str, index: Path | None) -> None:
        """Remove a set's files and, where given, the indexes of its content for every tokenizer."""
        self.source(set_id).unlink(missing_ok=True)
        self.words(set_id).unlink(missing_ok=True)
        if index is not None:
            for folder in (index, *index.parent.glob(f"{index.name}-*")):
                shutil.rmtree(folder, ignore_errors=True)


def places_of(settings: Settings) -> Places:
    """Return the folders under the data folder."""
    return Places(
        folder=settings.data_dir / "tuning_sets",
        indexes=settings.data_dir / "provenance",
        max_bytes=settings.max_upload_bytes,
    )


def copy_source(path: Path, places: Places) -> Source:
    """Copy a file of this machine, hashing it on the way, so that it may change while it is imported.

    Raises InvalidInputError for one that cannot be read or is larger than an upload may be.
    """
    places.folder.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix="upload-", dir=places.folder)
    try:
        with os.fdopen(descriptor, "wb") as copy:
            sha256 = _copy(path, copy, max_bytes=places.max_bytes)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return Source(path=Path(name), filename=path.name, sha256=sha256)


def _copy(path: Path, copy: BinaryIO, *, max_bytes: int) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
                if copy.tell() + len(block) > max_bytes:
                    raise InvalidInputError(
                        f"{path} is larger than {max_bytes >> 20} MiB.",
                        remedy="Split it, or raise TUNESHIFT_MAX_UPLOAD_MIB.",
                    )
                copy.write(block)
    except OSError as error:
        raise InvalidInputError(
            f"{path} cannot be read ({error.strerror}).", remedy="Give the path of a JSON, JSONL or Parquet file."
        ) from error
    return digest.hexdigest()
