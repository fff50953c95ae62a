"""Every failure Tuneshift explains to a person.

AppError                   status, message, remedy
├── NotFoundError          404  not there, or not yours
├── AccessDeniedError      403  signed in, but not allowed
├── InvalidInputError      422  what you sent cannot be used (file, line and field in the message)
├── ConflictError          409  someone, or another tab, was first
├── TooManyRequestsError   429  slow down
├── ConfigurationError     500  settings or checkpoints.toml are wrong
├── DamagedError           500  what is stored cannot be read
├── UnavailableError       503  the database is busy or does not answer
├── StorageError           507  the disk is full, takes no changes or fails; nothing was changed
└── EngineError            502  a model could not answer
    ├── EngineUnavailableError  503  it is down or still loading
    └── EngineTimeoutError      504  it did not answer in time
"""

from typing import ClassVar


class AppError(Exception):
    """A failure with an HTTP status, one clear sentence, and, where known, what would put it right."""

    status: ClassVar[int] = 500

    def __init__(self, message: str, *, remedy: str = "", where: str = "") -> None:
        """Keep the sentence, the remedy and the field apart so a page or a program can show them apart."""
        super().__init__(f"{message} {remedy}".strip())
        self.message = message
        self.remedy = remedy
        self.where = where


class NotFoundError(AppError):
    """The thing does not exist, or the person asking may not know that it does."""

    status = 404


class AccessDeniedError(AppError):
    """The person is known and may not do this."""

    status = 403


class InvalidInputError(AppError):
    """What was sent cannot be used; nothing was changed."""

    status = 422


class ConflictError(AppError):
    """The state moved on since the sender last saw it."""

    status = 409


class TooManyRequestsError(AppError):
    """The sender must wait, this many seconds."""

    status = 429

    def __init__(self, message: str, *, remedy: str = "", where: str = "", retry_after_s: int = 60) -> None:
        """Keep how long to wait beside the sentence, for programs."""
        super().__init__(message, remedy=remedy, where=where)
        self.retry_after_s = retry_after_s


class ConfigurationError(AppError):
    """Settings or the registry contradict themselves or the disk."""


class DamagedError(AppError):
    """What is stored cannot be read as what it was."""


class UnavailableError(AppError):
    """The database is busy or does not answer; nothing was changed."""

    status = 503


class StorageError(AppError):
    """The disk is full, takes no changes or fails; nothing was changed."""

    status = 507


class EngineError(AppError):
    """A model failed to answer."""

    status = 502


class EngineUnavailableError(EngineError):
    """The engine is down, refuses connections or is still loading."""

    status = 503


class EngineTimeoutError(EngineError):
    """The engine accepted the work and did not answer in time."""

    status = 504
