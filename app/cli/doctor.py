"""`tuneshift doctor`: whether everything that is configured works."""

import asyncio

import typer

from app.cli.common import JsonOption, RegistryOption, console, print_json
from app.diagnosis import diagnose
from app.settings import settings_for


def doctor(checkpoints: RegistryOption = None, json: JsonOption = False) -> None:
    """Check engines, adapters, database and settings: one line each, exit code 1 if any fails."""
    findings = asyncio.run(diagnose(settings_for(checkpoints)))
    if json:
        print_json([{"part": f.part, "ok": f.ok, "detail": f.detail} for f in findings])
    else:
        for finding in findings:
            mark = "[green]ok  [/]" if finding.ok else "[red]FAIL[/]"
            console.print(mark, end=" ")
            console.print(f"{finding.part}: {finding.detail}", markup=False, soft_wrap=True)
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)
