"""The command line. Exit codes: 0 done, 1 a check failed, 2 your input cannot be used, 3 a model could not answer."""

import os
import sys
from typing import Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from app.cli.failures import exit_code, explained
from app.cli.lazy import MARKUP, built
from app.cli.table import COMMANDS


class _Root(TyperGroup):
    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands.update(built(COMMANDS))


cli = typer.Typer(
    name="tuneshift",
    cls=_Root,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=MARKUP,
    pretty_exceptions_enable=False,
)


@cli.callback()
def tuneshift() -> None:
    """What tuning shifted, token by token, and what people think of it."""


def main() -> None:
    """Run a command; a failure we can explain becomes one sentence on standard error and an exit code."""
    try:
        try:
            cli()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read has seen enough, as `head` has.
        _forget_output()
        sys.exit(1)
    except Exception as error:
        found = explained(error)
        if found is None:
            raise
        _forget_output()
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        console.print(found.message, style="bold red", markup=False)
        if found.remedy:
            console.print(found.remedy, markup=False)
        sys.exit(exit_code(found))


def _forget_output() -> None:
    """Send what is still to be written nowhere: at exit Python would fail at it a second time."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
