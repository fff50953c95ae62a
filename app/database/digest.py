"""What a table holds, as a number of rows and one hash that is the same on SQLite and on PostgreSQL.

The hash is the sum of the SHA-256 of every row, so rows may come in any order. It finds what went wrong on the way, not
what somebody forged.
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, ColumnElement, Connection, LargeBinary, Select, Table, Text, cast, select, type_coerce

_MODULUS = 2**256
# Traces are large: few of them at a time.
_ROWS, _LARGE_ROWS = 1_000, 50


@dataclass
class Digest:
    """Rows seen so far, and the sum of their hashes."""

    rows: int = 0
    total: int = 0

    def add(self, row: Sequence[Any]) -> None:
        """Count one more row; its values are as `read_rows` gives them."""
        text = json.dumps([plain(value) for value in row], ensure_ascii=False, separators=(",", ":"))
        self.rows += 1
        self.total = (
            self.total + int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest())
        ) % _MODULUS

    @property
    def hexadecimal(self) -> str:
        """The sum in 64 digits."""
        return f"{self.total:064x}"


def digest_of(
    connection: Connection, table: Table, names: Collection[str] = (), *, only: ColumnElement[bool] | None = None
) -> Digest:
    """Read a whole table, or the columns that are named, or some rows `only`, and return its digest."""
    found = Digest()
    for rows in read_rows(connection, table, names, only=only):
        for row in rows:
            found.add(row)
    return found


def read_rows(
    connection: Connection,
    table: Table,
    names: Collection[str] = (),
    *,
    only: ColumnElement[bool] | None = None,
    depths: Select[tuple[str, int]] | None = None,
) -> Iterator[Sequence[Sequence[Any]]]:
    """Read a table, or the columns that are named, in batches; JSON is the text that is stored.

    Rows come in no order, but where `depths` says how deep an id lies: the deepest first.
    """
    sqlite = connection.dialect.name == "sqlite"
    columns = [column for column in table.columns if not names or column.name in names]
    query = select(*(_stored(column, sqlite=sqlite) for column in columns))
    if only is not None:
        query = query.where(only)
    if depths is not None:
        lies = depths.subquery()
        query = query.select_from(table).join(lies, lies.c.id == table.c.id).order_by(lies.c.depth.desc())
    large = any(isinstance(column.type, LargeBinary) for column in columns)
    yield from connection.execute(query, execution_options={"yield_per": _LARGE_ROWS if large else _ROWS}).partitions()


def _stored(column: ColumnElement[Any], *, sqlite: bool) -> ColumnElement[Any]:
    if not isinstance(column.type, JSON):
        return column
    return type_coerce(column, Text) if sqlite else cast(column, Text)


def plain(value: object) -> object:
    """Write a value of a row as JSON can hold it; the same value, the same writing on both kinds of database."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return hashlib.sha256(value).hexdigest() if isinstance(value, bytes) else value
