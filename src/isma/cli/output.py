"""Answers of a command: tables as wide as the terminal, JSON for programs, little where that is asked."""

import json
import math
import os
import re
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

QuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", help="no progress and no tables: where the results are")
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="print the results as JSON, and nothing else")
]
BROAD = 120
"""Columns of text where it goes to a file or another program."""
_NO_BREAK = "\u00a0"
_TOGETHER = re.compile(r"`[^`]+`|\d (?:%|[mµ]?s\b)")
"""Texts that are not broken at the end of a line: commands, and numbers with their units."""
_BETWEEN, _EDGES = 3, 2
"""Blanks between two columns of a table, and those at its sides."""
_SHORTEST = 12
"""Characters of a line of text to which it is narrowed before a number is left out."""


@dataclass(frozen=True)
class Column:
    """A column of a table on the terminal."""

    head: str
    cells: Sequence[str]
    rank: int = 0
    """Where the terminal is narrow, the columns of the highest rank go first; those of rank 0 stay."""
    is_text: bool = False
    """Whether it is set flush left, and may go on in a second line."""


def out_console() -> Console:
    """Console of the terminal's width, or that of COLUMNS; else of a width for files."""
    known = sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdigit()
    return Console(width=None if known else BROAD)


def print_table(title: str, columns: Sequence[Column], where: str = "") -> None:
    """Print as many columns as there is room for, and the names of the others with their place (`where`)."""
    console = out_console()
    shown, left_out = fitting(columns, console.width)
    console.print(_table(title, shown))
    if left_out:
        rest = ", ".join(column.head for column in reversed(left_out))
        note = f"not shown at {console.width} columns: {rest}" + (where and f" (in {where})")
        console.print(note, style="dim", markup=False, highlight=False)


def fitting(columns: Sequence[Column], width: int) -> tuple[list[Column], list[Column]]:
    """Columns that fit into a width, and those that do not, the highest rank first."""
    shown, left_out = list(columns), []
    while _wide(shown) > width and any(column.rank for column in shown):
        least = max(shown, key=lambda column: column.rank)
        shown.remove(least)
        left_out.append(least)
    return shown, left_out


def print_lines(lines: Sequence[str]) -> None:
    """Print sentences as a list."""
    width = max(out_console().width, _SHORTEST)
    for line in lines:
        unbroken = _TOGETHER.sub(lambda match: match.group().replace(" ", _NO_BREAK), line)
        wrapped = textwrap.fill(unbroken, width, initial_indent="- ", subsequent_indent="  ")
        typer.echo(wrapped.replace(_NO_BREAK, " "))


def print_path(path: Path) -> None:
    """Print where something is, in one piece however long it is."""
    typer.echo(str(path))


def print_json(value: object) -> None:
    """Print a result as JSON; a number that is none is null."""
    typer.echo(json.dumps(_plain(value), indent=2, ensure_ascii=False))


def _wide(columns: Sequence[Column]) -> int:
    """Columns of text that a table takes whose words are not broken, if it is not for want of room."""
    return sum(map(_longest, columns)) + _BETWEEN * (len(columns) - 1) + _EDGES


def _table(title: str, columns: Sequence[Column]) -> Table:
    table = Table(
        title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False
    )
    for column in columns:
        table.add_column(
            column.head,
            justify="left" if column.is_text else "right",
            no_wrap=not column.is_text,
            overflow="fold",
            min_width=min(_SHORTEST, _longest(column)) if column.is_text else _longest(column),
        )
    for row in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*row)
    return table


def _longest(column: Column) -> int:
    return max(map(len, (column.head, *column.cells)))


def _plain(value: Any) -> Any:
    """A value as JSON has it."""
    if hasattr(value, "item"):  # Numbers of NumPy.
        value = value.item()
    match value:
        case Mapping():
            return {str(key): _plain(one) for key, one in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_plain(one) for one in value]
        case float():
            return value if math.isfinite(value) else None
        case None | bool() | int() | str():
            return value
        case Enum():
            return _plain(value.value)
    return str(value)
