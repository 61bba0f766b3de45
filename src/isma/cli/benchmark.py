"""`isma bench`: the repository's benchmarks, which are no part of the package."""

import sys
from importlib import import_module
from pathlib import Path

import typer

from isma.errors import RunError

_REPOSITORY = Path(__file__).parents[3]


def __getattr__(name: str) -> typer.Typer:
    """The commands of `python -m benchmarks`. Raises RunError where there is no copy of the repository."""
    if name != "app":
        raise AttributeError(name)
    if not (_REPOSITORY / "benchmarks" / "commands.py").is_file():
        raise RunError(
            "isma bench measures in a copy of the repository, and the installed package brings no "
            "benchmarks: run python -m benchmarks there"
        )
    if str(_REPOSITORY) not in sys.path:
        sys.path.append(str(_REPOSITORY))
    return import_module("benchmarks.commands").app
