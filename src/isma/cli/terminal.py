"""What all commands share: options, values as they are typed, a bar of progress."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from isma import units
from isma.errors import ScenarioError
from isma.world.vary import scalar

ScenarioArgument = Annotated[str, typer.Argument(help="a preset's name or a TOML file")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="FIELD=VALUE", help="override a field of the scenario"),
]


LINE_EVERY_S = 10.0
"""How often a log hears how far the work is."""


@contextmanager
def bar(console: Console) -> Iterator[Progress]:
    """A bar that says what is being done, how much is, and how long it will take; in a log, lines."""
    columns = (
        TextColumn("{task.description:32.32}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
    )
    watched = console.is_terminal
    shown = Progress(
        *(*columns, TimeElapsedColumn(), TimeRemainingColumn()),
        console=console,
        transient=True,
        disable=not watched,
    )
    with shown, nullcontext() if watched else _lines(shown, console):
        yield shown


@contextmanager
def _lines(shown: Progress, console: Console) -> Iterator[None]:
    """From a thread of their own: work that says nothing for minutes is under way too."""
    ended = threading.Event()

    def tell() -> None:
        while not ended.wait(LINE_EVERY_S):
            for task in shown.tasks:
                done = "" if task.total is None else f"{task.percentage:.0f} %, "
                line = f"{task.description}: {done}{task.elapsed or 0:.0f} s"
                console.print(line, markup=False, highlight=False, soft_wrap=True)

    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def overrides_of(texts: list[str] | None, option: str = "--set FIELD=VALUE") -> dict:
    """Fields and values of `--set` and its like. Raises ScenarioError."""
    name, _, form = option.partition(" ")
    overrides = {}
    for text in texts or []:
        field, equals, value = text.partition("=")
        if not equals:
            raise ScenarioError(f"{name} is written {form}, got {text!r}")
        overrides[field.strip()] = scalar(value)
    return overrides


def moment(text: str | None) -> datetime | None:
    """A moment with its time zone. Raises ScenarioError."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ScenarioError(
            f"--start must be a moment like 2008-05-31T18:00:00Z, got {text!r}"
        ) from None
    if found.tzinfo is None:
        raise ScenarioError(f"--start must carry a time zone (2008-05-31T18:00:00Z), got {text!r}")
    return found


def seconds(
    text: str | None, option: str = "--duration", *, from_zero: bool = False
) -> float | None:
    """A length of time above 0 (or from 0 on), with a unit or in seconds. Raises ScenarioError."""
    if text is None:
        return None
    try:
        value = units.quantity(text, units.SECONDS)
    except ValueError as error:
        raise ScenarioError(f"{option} {error}, got {text!r}") from None
    least = "0 or more" if from_zero else "above 0"
    if not isinstance(value, float) or not 0 <= value < float("inf"):
        raise ScenarioError(f"{option} must be {least}, got {text!r}")
    if value == 0 and not from_zero:
        raise ScenarioError(f"{option} must be {least}, got {text!r}")
    return value
