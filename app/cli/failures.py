"""What a failure means to whoever typed the command: one sentence, a remedy, an exit code."""

import errno
from typing import Any

from app.errors import AppError, ConfigurationError, EngineError, InvalidInputError, NotFoundError, StorageError

# A write that fails names no file.
_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}
_INPUT = (InvalidInputError, NotFoundError, ConfigurationError)


def explained(error: Exception) -> AppError | None:
    """Say what a failure means; None for one that is a mistake of ours."""
    if isinstance(error, AppError):
        return error
    if isinstance(error, OSError) and error.filename:
        return StorageError(f"{error.filename}: {error.strerror}.", remedy="Make room, or name a place you may use.")
    if isinstance(error, OSError) and error.errno in _DISK:
        return StorageError(f"{error.strerror}.", remedy="Make room, or name a place you may use.")
    return _of_settings(error) or _of_database(error)


def exit_code(error: AppError) -> int:
    """Name the exit code of a failure: 2 for what was asked, 3 for a model, 1 for the rest."""
    if isinstance(error, _INPUT):
        return 2
    return 3 if isinstance(error, EngineError) else 1


def _of_settings(error: Exception) -> AppError | None:
    from pydantic import ValidationError  # noqa: PLC0415  loaded already where this is such an error

    if not isinstance(error, ValidationError) or error.title != "Settings":
        return None
    first: Any = error.errors()[0]
    name = "_".join(["TUNESHIFT", *map(str, first["loc"])]).upper()
    # What was set may be a secret, so it is not repeated.
    return ConfigurationError(
        f"{name}: {first['msg'][:1].lower()}{first['msg'][1:]}.", remedy="Correct it in the environment or in .env."
    )


def _of_database(error: Exception) -> AppError | None:
    from sqlalchemy.exc import DBAPIError  # noqa: PLC0415  likewise

    if not isinstance(error, DBAPIError):
        return None
    said = str(error.orig).strip().partition("\n")[0].rstrip(".")
    return StorageError(
        f"The database cannot be used: {said}.",
        remedy="TUNESHIFT_DATABASE_URL or TUNESHIFT_DATA_DIR names it; see what is wrong with: tuneshift db check",
    )
