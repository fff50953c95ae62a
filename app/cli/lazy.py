"""Commands that are named in a table and imported when they are called or asked for their own help."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

MARKUP: Final = "rich"


@dataclass(frozen=True, slots=True)
class Command:
    """Where a command is, as `module:function` below `app.cli`, and what the list of commands says of it."""

    place: str
    help: str


@dataclass(frozen=True, slots=True)
class Group:
    """Commands under one word, and what that word's help says."""

    help: str
    commands: Mapping[str, Command]


class LazyCommand(TyperCommand):
    """A command that is known by name and help alone; typer asks it for a context only when it is really meant."""

    def __init__(self, name: str, row: Command) -> None:
        super().__init__(name, help=row.help, rich_markup_mode=MARKUP)
        self.place = row.place

    def loaded(self) -> Any:
        """Import the command's module and build the whole command, with its arguments and options."""
        module, _, function = self.place.partition(":")
        alone = typer.Typer(add_completion=False, rich_markup_mode=MARKUP, pretty_exceptions_enable=False)
        alone.command(self.name)(getattr(import_module(f"app.cli.{module}"), function))
        return typer.main.get_command(alone)

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Let the whole command read its arguments; the context is of that command, and runs it."""
        return self.loaded().make_context(info_name, args, parent, **extra)


def built(table: Mapping[str, Command | Group]) -> dict[str, TyperCommand | TyperGroup]:
    """Build what stands in the table, in its order; nothing is imported for it."""
    return {
        name: _group(name, row) if isinstance(row, Group) else LazyCommand(name, row) for name, row in table.items()
    }


def _group(name: str, row: Group) -> TyperGroup:
    commands: dict[str, Any] = {**built(row.commands)}
    return TyperGroup(name=name, help=row.help, commands=commands, no_args_is_help=True, rich_markup_mode=MARKUP)
