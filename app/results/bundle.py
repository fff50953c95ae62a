"""The whole of a study's export as one zip: every table in three formats, the formats of other tools, a manifest.

The same state gives the same bytes. Everything is written to a folder beside the zip first, a few rows in memory at a
time; the zip appears under its name whole or not at all.
"""

import json
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path

from sqlmodel import Session

from app.results.account import Account, Tally
from app.results.accounting import Stored, count_stored, table_account, weights
from app.results.comparisons import comparisons, pairs_of
from app.results.dictionary import readme, schema
from app.results.export import COLUMNS
from app.results.files import Written, write_rows, written
from app.results.formats import formats_for
from app.results.formats.base import Comparison, Format
from app.results.manifest import manifest
from app.results.parts import PARTS
from app.results.queries import table_rows
from models import Study

Report = Callable[[int, int, str], None]

STAGING = ".building-"
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)
_LEVEL = 4
_READ = 1 << 20


@dataclass
class _Progress:
    """How far a build is, in rows and, at the end, in bytes that count as rows."""

    report: Report
    expected: dict[str, int]
    done: int = 0
    _within: int = 0

    def add(self, part: str, rows: int) -> None:
        self._within += rows
        self.say(part, self._within)

    def say(self, part: str, within: int) -> None:
        self.report(self.done + min(within, self.expected[part]), sum(self.expected.values()), part)

    def finish(self, part: str) -> None:
        self.done += self.expected[part]
        self._within = 0
        self.say(part, 0)


@dataclass(frozen=True, slots=True)
class _Build:
    """What a build has made so far."""

    session: Session
    study: Study
    folder: Path
    progress: _Progress
    files: list[Written] = field(default_factory=list)
    accounts: dict[str, Account] = field(default_factory=dict)

    def place(self, name: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def keep(self, name: str, content: bytes) -> None:
        path = self.place(name)
        path.write_bytes(content)
        self.files.append(written(name, path))


def write_bundle(
    session: Session, study: Study, path: Path, *, external_ids: bool = False, on_progress: Report | None = None
) -> None:
    """Write a study's export to `path`. The session should be one snapshot.

    `on_progress` is called with done, total and what is being written; what it raises ends the build, which leaves
    nothing behind. Raises ValueError where the rows written are not those stored.
    """
    stored = count_stored(session, study)
    formats = formats_for(study.slug, pairs_of(session, study))
    expected = weights(stored, len(formats))
    expected["results"] = stored.judgments + 1
    expected["zip"] = sum(expected.values()) // 2
    folder = Path(tempfile.mkdtemp(prefix=STAGING, dir=path.parent))
    try:
        progress = _Progress(on_progress or (lambda _done, _total, _what: None), expected)
        build = _Build(session, study, folder, progress)
        tally = _tables(build, stored, external_ids=external_ids)
        _formats(build, formats, stored)
        _results(build)
        _about(build, formats, tally, external_ids=external_ids)
        whole = folder / "whole.zip"
        _zip(build, whole)
        whole.replace(path)
    finally:
        shutil.rmtree(folder)


def _tables(build: _Build, stored: Stored, *, external_ids: bool) -> Tally:
    """Write every table; returns what preferences counted."""
    preferences = Tally()
    for table in COLUMNS:
        tally = preferences if table == "preferences" else Tally()
        rows = table_rows(build.session, build.study, table, external_ids=external_ids)
        add = partial(build.progress.add, table)
        build.files.extend(write_rows(build.folder, table, tally.passing(rows), on_rows=add))
        build.accounts[table] = table_account(table, stored, tally)
        build.progress.finish(table)
    return preferences


def _formats(build: _Build, formats: list[Format], stored: Stored) -> None:
    """Write the formats of other tools, all in one pass over the judgments."""
    files = {one: _Open(one, build.place(f"formats/{one.file}")) for one in formats}
    try:
        for ones in comparisons(build.session, build.study):
            for file in files.values():
                file.add(ones)
            build.progress.add("formats", len(ones) * len(files))
        for file in files.values():
            file.end()
    finally:
        for file in files.values():
            file.close()
    for one, file in files.items():
        name = f"formats/{one.file}"
        build.files.append(written(name, build.folder / name, file.records))
        build.accounts[name] = Account("judgments", stored.judgments, file.used, file.records, file.left_out)
    build.progress.finish("formats")


def _results(build: _Build) -> None:
    """Write the results and what computes them again."""
    build.progress.say("results", 0)
    for part in PARTS:
        for name, content in part(build.session, build.study, partial(build.progress.say, "results")):
            build.keep(name, content)
    build.progress.finish("results")


class _Open:
    """A file of another tool's format while it is written."""

    def __init__(self, form: Format, path: Path) -> None:
        self._form = form
        self._file = path.open("w", encoding="utf-8", newline="")
        self._file.write(form.head)
        self.used = self.records = 0
        self.left_out: dict[str, int] = {}

    def add(self, ones: list[Comparison]) -> None:
        used = []
        for one in ones:
            reason = self._form.left_out(one)
            if reason:
                self.left_out[reason] = self.left_out.get(reason, 0) + 1
            else:
                used.append(one)
        if not used:
            return
        records = self._form.records(used, self.used)
        self._file.write(self._form.between if self.records else "")
        self._file.write(self._form.between.join(records))
        self.used += len(used)
        self.records += len(records)

    def end(self) -> None:
        self._file.write(self._form.tail if self.records or self._form.head else "")
        self.close()

    def close(self) -> None:
        self._file.close()


def _about(build: _Build, formats: list[Format], tally: Tally, *, external_ids: bool) -> None:
    """Write what explains the files, the manifest last: it weighs all others."""
    study = build.study
    build.keep("schema.json", schema(formats).encode())
    about = manifest(build.session, study, build.files, build.accounts, tally, external_ids=external_ids)
    text = readme(name=study.name, slug=study.slug, version=version("tuneshift"), as_of=about["as_of"], formats=formats)
    build.keep("README.md", text.encode())
    about["files"].append({"name": "README.md", "bytes": build.files[-1].bytes, "sha256": build.files[-1].sha256})
    build.keep("manifest.json", (json.dumps(about, ensure_ascii=False, indent=1) + "\n").encode())


def _zip(build: _Build, path: Path) -> None:
    total = sum(one.bytes for one in build.files) or 1
    packed = 0
    with zipfile.ZipFile(path, "w") as archive:
        for one in sorted(build.files, key=_reading_order):
            entry = zipfile.ZipInfo(one.name, _ZIP_TIME)
            entry.external_attr = 0o644 << 16
            # Parquet is compressed already.
            entry.compress_type = zipfile.ZIP_STORED if one.name.endswith(".parquet") else zipfile.ZIP_DEFLATED
            entry._compresslevel = _LEVEL  # type: ignore[attr-defined]  # noqa: SLF001  a stream takes it no other way
            with archive.open(entry, "w", force_zip64=True) as file:
                for block in _blocks(one.path):
                    file.write(block)
                    packed += len(block)
                    build.progress.say("zip", packed * build.progress.expected["zip"] // total)


def _reading_order(one: Written) -> tuple[int, str]:
    """Put what explains the others first."""
    first = ("README.md", "manifest.json", "schema.json")
    return (first.index(one.name), "") if one.name in first else (len(first) + one.name.count("/"), one.name)


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(_READ):
            yield block
