"""The report of a study as one file: opens from a disk or prints, asks no network, needs no script."""

from functools import lru_cache

from markupsafe import Markup
from sqlmodel import Session

from app.results.about import about
from app.results.methods import methods
from app.results.page import draw, titles_of
from app.results.report.findings import Findings
from app.results.standing import Standing
from app.results.view.page import parts_of, reading_of
from app.share.bundle import inline_style
from app.web.templates import STATIC, fragment
from models import Study

_STYLES = ("app.css", "results.css")


def write_report(session: Session, study: Study, stands: Standing, findings: Findings, *, public_url: str) -> str:
    """Write the report; `public_url` is where its links to judgments lead."""
    known = about(session, study)
    style, source = _style(tuple((STATIC / file).stat().st_mtime_ns for file in _STYLES))
    base = public_url.rstrip("/")
    reading = reading_of(findings, study.id, base=base, titles=titles_of(study))
    return fragment(
        "results/report.html",
        study=study,
        about=known,
        stands=stands,
        findings_=findings,
        paragraphs=methods(known, findings),
        parts=parts_of(reading),
        draw=draw,
        style=style,
        policy=f"default-src 'none'; style-src {source}; base-uri 'none'; form-action 'none'",
        address=f"{base}/studies/{study.id}/results",
    )


@lru_cache(maxsize=1)
def _style(_changed: tuple[int, ...]) -> tuple[Markup, str]:
    return inline_style("\n".join((STATIC / file).read_text(encoding="utf-8") for file in _STYLES))
