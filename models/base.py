"""What every table shares: the constraint naming convention, opaque ids, checked enums, aware timestamps."""

import secrets
from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy import Enum
from sqlmodel import SQLModel

# Named constraints are what lets Alembic alter SQLite tables in batch mode.
SQLModel.metadata.naming_convention = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


def new_id() -> str:
    """Draw an opaque id: 16 hex digits that say nothing about order, owner or content."""
    return secrets.token_hex(8)


def now() -> datetime:
    """Tell the current time, aware, in UTC."""
    return datetime.now(UTC)


def checked(kind: type[StrEnum]) -> Enum:
    """Build a column type that stores an enum's value and refuses anything else, in Python and in the database."""
    return Enum(
        kind,
        name=kind.__name__.lower(),
        values_callable=lambda members: [member.value for member in members],
        native_enum=False,
        create_constraint=True,
        validate_strings=True,
    )
