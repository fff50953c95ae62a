"""Rows of an export as a Parquet file with exact types, one row group at a time. Pure."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from app.results.column import Column, Kind
from app.results.records import json_text

# Whatever comes first closes a row group, so that neither many rows nor long texts fill the memory. What is known of a
# group stays in memory until the file ends, so narrow tables, which are the long ones, have more rows in each.
_CELLS, _CHARACTERS = 60_000, 4_000_000


def _list_of(kind: pa.DataType) -> pa.DataType:
    # Parquet calls what is in a list so; a file read back has the very schema it was written with.
    return pa.list_(pa.field("element", kind))


_TYPES: dict[Kind, pa.DataType] = {
    "text": pa.string(),
    "int": pa.int64(),
    "float": pa.float64(),
    "bool": pa.bool_(),
    "time": pa.timestamp("us", tz="UTC"),
    "json": pa.string(),
    "texts": _list_of(pa.string()),
    "ints": _list_of(pa.int64()),
    "floats": _list_of(pa.float64()),
    "bools": _list_of(pa.bool_()),
}


def schema_of(columns: Sequence[Column]) -> pa.Schema:
    """Return the Arrow schema of a table; each field carries its meaning."""
    return pa.schema([pa.field(one.name, _TYPES[one.kind], metadata={"meaning": one.meaning}) for one in columns])


@contextmanager
def parquet_file(file: BinaryIO, columns: Sequence[Column]) -> Iterator[Callable[[Sequence[Any]], None]]:
    """Write a Parquet file; yields what to call with the values of each row, in the order of the columns.

    Rows wait in memory until they make a row group. The file is complete when the block ends.
    """
    schema, rows = schema_of(columns), _CELLS // len(columns)
    waiting: list[Sequence[Any]] = []
    size = 0
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:

        def flush() -> None:
            nonlocal size
            if waiting:
                writer.write_batch(_batch(waiting, columns, schema))
            waiting.clear()
            size = 0

        def add(values: Sequence[Any]) -> None:
            nonlocal size
            waiting.append(values)
            size += sum(len(value) for value in values if isinstance(value, str | list | dict))
            if len(waiting) >= rows or size >= _CHARACTERS:
                flush()

        yield add
        flush()


def _batch(rows: Sequence[Sequence[Any]], columns: Sequence[Column], schema: pa.Schema) -> pa.RecordBatch:
    arrays = [
        pa.array([_value(row[at], column.kind) for row in rows], type=field.type)
        for at, (column, field) in enumerate(zip(columns, schema, strict=True))
    ]
    return pa.record_batch(arrays, schema=schema)


def _value(value: Any, kind: Kind) -> Any:
    if value is None:
        return None
    if kind == "json":
        return json_text(value)
    if kind == "time":
        moment: datetime = value
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if kind == "text":
        return str(value)
    return value
