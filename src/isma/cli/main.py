"""The program: its commands, and what becomes of a mistake."""

import os
import sys
from importlib.metadata import version
from typing import Annotated

import typer

from isma.cli import bench, scenario
from isma.cli.bound import bound
from isma.cli.check_policy import check_policy
from isma.cli.compare import compare
from isma.cli.explain import explain
from isma.cli.reproduce import reproduce
from isma.cli.train import train
from isma.errors import IsmaError

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

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""


def main() -> None:
    """Run the command line; a user's mistake is one line on stderr and a status that is not 0."""
    try:
        status = app(standalone_mode=False) or 0
        if status == INTERRUPTED:  # What typer makes of Ctrl-C, without a word.
            raise KeyboardInterrupt
    except typer.TyperException as error:
        told = getattr(error, "format_message", error.__str__)()
        if told:  # Without arguments there is nothing to say but the help, which has been shown.
            _fail(f"{told} (isma --help tells more)")
        status = 2
    except IsmaError as error:
        _fail(str(error))
        status = 1
    except (KeyboardInterrupt, typer.Abort):
        _fail("interrupted; what is finished is kept, and the same command goes on from there")
        status = INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    sys.exit(status)


def _fail(message: str) -> None:
    print(f"isma: {' '.join(message.split())}", file=sys.stderr)
