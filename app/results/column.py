"""A column of an export: its name, what it promises, and the kind of its values. Pure."""

from typing import Literal, NamedTuple

Kind = Literal["text", "int", "float", "bool", "time", "json", "texts", "ints", "floats", "bools"]

KINDS: dict[Kind, str] = {
    "text": "Text, Unicode.",
    "int": "A whole number of up to 64 bits.",
    "float": "A number in double precision.",
    "bool": "true or false.",
    "time": "A moment in UTC. CSV and JSON Lines: ISO 8601 with milliseconds. Parquet: a timestamp in microseconds.",
    "json": "A JSON value. JSON Lines: the value itself. CSV and Parquet: its text.",
    "texts": "A list of texts. CSV: a JSON list.",
    "ints": "A list of whole numbers. CSV: a JSON list.",
    "floats": "A list of numbers, null where one is unknown. CSV: a JSON list.",
    "bools": "A list of true and false. CSV: a JSON list.",
}


class Column(NamedTuple):
    """One column and what it promises; `kind` is a key of `KINDS`. Any value may be missing."""

    name: str
    meaning: str
    kind: Kind = "text"
