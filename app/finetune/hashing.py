"""What a file or a checkpoint is, by its content."""

import hashlib
from pathlib import Path


def file_sha256(path: Path) -> str:
    """SHA-256 of the bytes of `path`, in hexadecimal."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def weights_sha256(folder: Path) -> str:
    """SHA-256 over the names and contents of the safetensors files of a checkpoint folder."""
    total = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        total.update(f"{path.name} {file_sha256(path)}\n".encode())
    return total.hexdigest()
