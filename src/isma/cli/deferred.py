"""Commands that are imported when they are called: the list of them costs nothing."""

from importlib import import_module
from typing import Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command


class CommandEntry(NamedTuple):
    """A command as the help lists it, and where it is written."""

    where: str
    """`module:name` of a function, or of an app with commands of its own."""
    help: str
    """The first line of its help."""


class Deferred(TyperCommand):
    """A command's name and help; the command itself as soon as anything is asked of it."""

    def __init__(self, name: str, listed: CommandEntry) -> None:
        super().__init__(name, callback=None, help=listed.help)
        self._where = listed.where

    def load(self) -> Any:  # Typer has no public name for a command and a group.
        """Import the command."""
        module, _, attribute = self._where.partition(":")
        made = getattr(import_module(module), attribute)
        if not isinstance(made, typer.Typer):
            function, made = made, typer.Typer(add_completion=False)
            made.command(self.name)(function)
        return get_command(made)

    def make_context(self, info_name: str | None, args: list[str], *rest: Any, **named: Any) -> Any:
        """Import the command, and go on with it in place of this one."""
        return self.load().make_context(info_name, args, *rest, **named)


def group_of(commands: dict[str, CommandEntry]) -> type[TyperGroup]:
    """The class of a program with these commands."""

    class Group(TyperGroup):
        """Commands by name."""

        def __init__(self, **settings: Any) -> None:
            settings["commands"] = {name: Deferred(name, one) for name, one in commands.items()}
            super().__init__(**settings)

    return Group
