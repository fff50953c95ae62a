"""The command line. Exit codes: 0 done, 1 a check failed, 2 your input cannot be used, 3 a model could not answer."""

import sys

import typer
from rich.console import Console

from app.cli import (
    borrowing,
    checkpoints,
    database,
    demo,
    exports,
    finetune,
    judgments,
    models,
    people,
    provenance,
    serve,
    stats,
    studies,
    tokens,
    tuning_sets,
)
from app.errors import AppError, ConfigurationError, EngineError, InvalidInputError, NotFoundError

cli = typer.Typer(
    name="tuneshift",
    help="What tuning shifted, token by token, and what people think of it.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
for module in (serve, demo, models, checkpoints, provenance, finetune, studies, exports, borrowing, people):
    module.add_to(cli)
cli.add_typer(tuning_sets.group, name="tuning-set", help="Import tuning sets, list them.")
cli.add_typer(stats.group, name="stats", help="Agreement, preference and effects of judgments in a CSV file.")
cli.add_typer(judgments.group, name="judgments", help="Import judgments made elsewhere, or convert them.")
cli.add_typer(tokens.group, name="token", help="Make, list and revoke keys for programs.")
cli.add_typer(database.group, name="db", help="Upgrade, back up or check the database.")

_INPUT = (InvalidInputError, NotFoundError, ConfigurationError)


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
