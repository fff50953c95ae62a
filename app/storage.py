"""What a failure of the disk or of the database means, in words for whoever asked, and what helps."""

import errno
import sqlite3

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from app.errors import AppError, DamagedError, StorageError, UnavailableError

_LATER = "Keep what you wrote and send it again later; tell whoever runs this server"
FULL = StorageError(
    "The server's disk is full, so nothing of this was stored.",
    remedy=f"{_LATER} to make room. It goes on by itself once there is some.",
)
READ_ONLY = StorageError(
    "The server's disk takes no changes, so nothing of this was stored.",
    remedy=f"{_LATER} that the folder of its data cannot be written.",
)
FAILING = StorageError(
    "The server's disk failed, so nothing of this was stored.",
    remedy=f"{_LATER} to look at the disk; `tuneshift db check` says whether the database is sound.",
)
BUSY = UnavailableError(
    "The server's database was busy for too long, so nothing of this was stored.",
    remedy="Send it again in a moment.",
)
SILENT = UnavailableError(
    "The server's database does not answer, so nothing of this was stored.",
    remedy=f"{_LATER} that its database does not answer.",
)
DAMAGED = DamagedError(
    "A part of the server's database is damaged, so this could be neither read nor stored.",
    remedy="Tell whoever runs this server: `tuneshift db check` says what is damaged. The rest goes on working.",
)

_BY_ERRNO = {
    errno.ENOSPC: FULL,
    errno.EDQUOT: FULL,
    errno.EFBIG: FULL,
    errno.EROFS: READ_ONLY,
    errno.EACCES: READ_ONLY,
    errno.EPERM: READ_ONLY,
    errno.EIO: FAILING,
}
_BY_SQLITE = {
    sqlite3.SQLITE_FULL: FULL,
    sqlite3.SQLITE_READONLY: READ_ONLY,
    sqlite3.SQLITE_CANTOPEN: FAILING,
    sqlite3.SQLITE_IOERR: FAILING,
    sqlite3.SQLITE_BUSY: BUSY,
    sqlite3.SQLITE_LOCKED: BUSY,
    sqlite3.SQLITE_CORRUPT: DAMAGED,
    sqlite3.SQLITE_NOTADB: DAMAGED,
}
# PostgreSQL's own codes, or the first two letters of their class.
_BY_SQLSTATE = {
    "53100": FULL,
    "25006": READ_ONLY,
    "58": FAILING,
    "XX": DAMAGED,
    "55P03": BUSY,
    "40": BUSY,
} | dict.fromkeys(("08", "57", "53"), SILENT)
_PRIMARY_CODE = 0xFF


def explained(error: BaseException) -> AppError | None:
    """Say what a failure of storage means; None for any other failure, which is a mistake of ours."""
    if isinstance(error, AppError):
        return error
    if isinstance(error, PoolTimeoutError):
        return BUSY
    if isinstance(error, DBAPIError):
        return _of_driver(error)
    return _BY_ERRNO.get(error.errno or 0) if isinstance(error, OSError) else None


def in_words(error: BaseException, otherwise: str = "The server's log has the details.") -> str:
    """Say for a page why work in the background ended; `otherwise` when only the log can tell."""
    found = explained(error)
    return otherwise if found is None else str(found)


def _of_driver(error: DBAPIError) -> AppError | None:
    code = getattr(error.orig, "sqlite_errorcode", None)
    if code is not None:
        return _BY_SQLITE.get(code & _PRIMARY_CODE)
    state = getattr(error.orig, "sqlstate", None)
    if state:
        return _BY_SQLSTATE.get(state) or _BY_SQLSTATE.get(state[:2])
    # A driver that could not reach its server has no code to tell.
    return SILENT if error.connection_invalidated or type(error.orig).__name__ == "OperationalError" else None


STORAGE_FAILURES: tuple[type[Exception], ...] = (SQLAlchemyError, OSError)
