"""The program and its commands."""

import os
import sys
from importlib.metadata import version
from typing import Annotated

import typer

from isma import interrupts
from isma.cli import bench, scenario
from isma.cli.bound import bound
from isma.cli.check_policy import check_policy
from isma.cli.compare import compare
from isma.cli.explain import explain
from isma.cli.last_resort import guarded
from isma.cli.reproduce import reproduce
from isma.cli.train import train
from isma.errors import RunError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _tell_version(asked: bool) -> None:
    if asked:
        typer.echo(f"isma {version('isma')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_tell_version, help="say it and exit"),
    ] = False,
    traceback: Annotated[
        bool,
        typer.Option("--traceback", help="print where an error comes from (or ISMA_TRACEBACK=1)"),
    ] = False,
) -> None:
    """When, where and how a mobile user's service moves between edge servers."""


app.command()(compare)
app.command()(bound)
app.command()(explain)
app.command()(train)
app.command()(reproduce)
app.command()(check_policy)
app.add_typer(scenario.app, name="scenario")
app.add_typer(bench.app, name="bench")

INTERRUPTED = interrupts.STATUS
TRACEBACK = "--traceback"


def main() -> None:
    """Run the command line; a user's mistake is one line on stderr and a status that is not 0."""
    arguments = [word for word in sys.argv[1:] if word != TRACEBACK]
    wanted = len(arguments) < len(sys.argv) - 1 or os.environ.get("ISMA_TRACEBACK") == "1"
    sys.exit(guarded(lambda: _run(arguments), wanted))


def _run(arguments: list[str]) -> int | None:
    for word in arguments:
        if not word.isascii() and word.encode(errors="replace").decode() != word:
            raise RunError(f"what is typed must be UTF-8 text, got {ascii(word)[:80]}")
    return app(args=arguments, standalone_mode=False)
