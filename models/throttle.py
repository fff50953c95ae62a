"""What throttles count, so that every process of a server counts together and a new start forgets nothing."""

from sqlmodel import Field, SQLModel

from models.base import new_id


class ThrottleMoment(SQLModel, table=True):
    """One attempt: `key` is a keyed hash of what is counted, `at` and `until` are seconds since 1970.

    Hashed, so that neither an address nor an account can be read here; after `until` it may be deleted.
    """

    id: str = Field(default_factory=new_id, primary_key=True)
    key: str = Field(max_length=64, index=True)
    at: float
    until: float = Field(index=True)
