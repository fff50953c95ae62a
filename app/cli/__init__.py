"""The command line. Exit codes: 0 done, 1 a check failed, 2 your input cannot be used, 3 a model could not answer."""

import sys
from typing import Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from app.cli.lazy import MARKUP, built
from app.cli.table import COMMANDS
from app.errors import AppError, ConfigurationError, EngineError, InvalidInputError, NotFoundError

_INPUT = (InvalidInputError, NotFoundError, ConfigurationError)


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
        cli()
    except AppError as error:
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        console.print(error.message, style="bold red", markup=False)
        if error.remedy:
            console.print(error.remedy, markup=False)
        sys.exit(exit_code(error))


def exit_code(error: AppError) -> int:
    """Name the exit code of a failure: 2 for what was asked, 3 for a model, 1 for the rest."""
    if isinstance(error, _INPUT):
        return 2
    return 3 if isinstance(error, EngineError) else 1
