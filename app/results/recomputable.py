"""What makes an export recomputable: the numbers of the results page, a script that computes them, and its code."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

from sqlmodel import Session

import app
from app import results, stats
from app.results import report
from app.results.standing import compute, standing
from models import Study


def bundle_parts(
    session: Session, study: Study, on_read: Callable[[int], None] = lambda _read: None
) -> Iterator[tuple[str, bytes]]:
    """Yield names within the zip and contents: results.json, recompute.py and code/; the same state, the same bytes.

    Findings that were kept of this very state are used as they are: a million judgments then need not be in memory.
    Otherwise they are computed, and `on_read` is that of `read_tables`.
    """
    stands = standing(session, study)
    findings = stands.findings if stands.findings and stands.fresh else compute(session, study, on_read).findings
    numbers = findings.flat()
    written = json.dumps(numbers, ensure_ascii=False, indent=1, sort_keys=True, allow_nan=False)
    yield "results.json", f"{written}\n".encode()
    yield "recompute.py", (_folder(results) / "recompute.py").read_bytes()
    yield from code_parts()


def code_parts() -> Iterator[tuple[str, bytes]]:
    """Yield the code that findings come from, byte for byte, so that it need not be installed."""
    yield "code/app/__init__.py", (_folder(app) / "__init__.py").read_bytes()
    yield "code/app/results/__init__.py", (_folder(results) / "__init__.py").read_bytes()
    for name, package in (("stats", stats), ("results/report", report)):
        for path in sorted(_folder(package).glob("*.py")):
            yield f"code/app/{name}/{path.name}", path.read_bytes()


def _folder(package: object) -> Path:
    return Path(str(package.__file__)).parent  # type: ignore[attr-defined]
