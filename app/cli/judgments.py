"""`tuneshift judgments import`: judgments made elsewhere, into a study."""

import hashlib
from pathlib import Path
from typing import Annotated

import typer

from app.cli.common import StudyArgument, notes
from app.cli.files import read_bytes
from app.cli.opened_database import opened_database
from app.db import writing
from app.leaks.scanning import scan_study
from app.results.importing import Found, import_judgments
from app.results.outside_rows import ALPACA_EVAL, FORMS
from app.settings import Settings, load_secret
from app.studies.imports import SentFile
from app.studies.queries import get_study
from models.base import now


def bring_in(
    study: StudyArgument,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Judgments, ours or of another tool; CSV, JSON Lines or JSON.")
    ],
    form: Annotated[
        str, typer.Option("--from", help=f"The file's format: {', '.join(FORMS)}. Left out, its columns tell.")
    ] = "",
    check: Annotated[bool, typer.Option("--check", help="Say what would come of it, and change nothing.")] = False,
) -> None:
    """Bring judgments made elsewhere into a study; the same file again adds nothing."""
    settings, raw = Settings(), read_bytes(file)
    with opened_database(settings) as database:
        with writing(database) as session:
            kept = get_study(session, study)
            study_id = kept.id
            found = import_judgments(
                session,
                kept,
                SentFile(file.name, hashlib.sha256(raw).hexdigest(), raw),
                secret=load_secret(settings),
                by=None,
                now=now(),
                form=form,
                max_chars=settings.max_prompt_chars,
                check_only=check,
            )
        if found.prepared and not check:
            scan_study(database, study_id)
    notes.print(in_words(found, check_only=check), markup=False, soft_wrap=True)


def in_words(found: Found, *, check_only: bool) -> str:
    """Say what a file brought, or would bring."""
    if found.prepared:
        words = prepared_words(found, check_only=check_only)
    else:
        words = [
            f"{found.new} judgments {'would be' if check_only else 'were'} added, of {found.annotators} annotators."
        ]
    if found.left_out:
        words.append(f"{found.left_out} rows without a preference {'would be' if check_only else 'were'} left out.")
    if found.form == ALPACA_EVAL:
        words.append("alpaca_eval does not say which side an output stood on: read no position effect from it.")
    if found.there:
        words.append(f"{found.there} are there already.")
    if found.changed:
        words.append(f"{found.changed} had another first answer, which is not kept: a file has the last one alone.")
    return " ".join(words)


def prepared_words(found: Found, *, check_only: bool) -> list[str]:
    """Say what a file gave a draft, or would give it, and what is to be done then."""
    given = found.prepared
    if given is None:
        return []
    would = "would be" if check_only else "were"
    return [
        f"{given.prompts} prompts, {given.responses} responses and the arms {', '.join(given.arms)} {would} added.",
        f"Open the study then, and import the same file again: its {found.new} judgments come in once nothing changes.",
    ]
