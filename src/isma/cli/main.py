"""The program and its commands."""

import os
import sys
from importlib.metadata import version
from typing import Annotated

import typer

from isma import interrupts
from isma.cli.deferred import CommandEntry, group_of
from isma.cli.last_resort import guarded
from isma.errors import RunError

COMMANDS = {
    "compare": CommandEntry(
        "isma.cli.compare:compare",
        "Simulate, tabulate, draw, explain: which policy serves this city's users best, and by how much.",
    ),
    "merge": CommandEntry(
        "isma.cli.merge:merge",
        "Put the shards of a comparison together: the files and report of one run; nothing is simulated.",
    ),
    "report": CommandEntry(
        "isma.cli.report:report",
        "Print a finished run again, and draw its report anew from its tables; nothing is simulated.",
    ),
    "bound": CommandEntry(
        "isma.cli.bound:bound",
        "How good anyone could be here: a lower bound of the mean with the whole future known.",
    ),
    "watch": CommandEntry(
        "isma.cli.watch:watch",
        "Watch a run as a map that plays: users, who serves them, migrations, load, price and delay.",
    ),
    "explain": CommandEntry(
        "isma.cli.explain:explain",
        "Why a service was sent where it was: what each server would have cost, and what came of it.",
    ),
    "train": CommandEntry(
        "isma.cli.train:train",
        "Train a model by simulation. Interrupted or killed, the same command goes on exactly there.",
    ),
    "reproduce": CommandEntry(
        "isma.cli.reproduce:reproduce",
        "Run the paper's figures again and judge its claims. Interrupted, the same command goes on.",
    ),
    "check-policy": CommandEntry(
        "isma.cli.check_policy:check_policy",
        "Try a policy on every rule of the contract: shapes, ranges, determinism, no peeking, memory.",
    ),
    "scenario": CommandEntry(
        "isma.cli.scenario:app", "Look at scenarios, check them, make them from data."
    ),
    "agent": CommandEntry(
        "isma.cli.agent:app",
        "Run the agent of one edge server: it owns its users' services, decides, and moves them.",
    ),
    "cache": CommandEntry(
        "isma.cli.cache:app",
        "Compiled programs that are kept for the next command: where, how many, and how to remove them.",
    ),
    "bench": CommandEntry(
        "isma.cli.benchmark:app",
        "Speed, with a peer beside it in the same run; published results, run again.",
    ),
}
"""Each is imported when it is called; the help says what its own help begins with."""

app = typer.Typer(
    cls=group_of(COMMANDS),
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
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


INTERRUPTED = interrupts.STATUS
_COMPILES = ("compare", "merge", "bound", "explain", "train", "reproduce", "check-policy")
TRACEBACK = "--traceback"
_LOGS, _FATAL_ALONE = "TF_CPP_MIN_LOG_LEVEL", "3"
"""XLA's log level: it logs a compilation of minutes as an error, which it is not."""


def main() -> None:
    """Run the command line; a user's mistake is one line on stderr and a status that is not 0."""
    arguments = [word for word in sys.argv[1:] if word != TRACEBACK]
    wanted = len(arguments) < len(sys.argv) - 1 or os.environ.get("ISMA_TRACEBACK") == "1"
    os.environ.setdefault(_LOGS, _FATAL_ALONE)
    sys.exit(guarded(lambda: _run(arguments), wanted))


def _run(arguments: list[str]) -> int | None:
    if any(word in _COMPILES for word in arguments[:1]):
        from isma.cli.cache import keep_programs

        keep_programs()
    for word in arguments:
        if not word.isascii() and word.encode(errors="replace").decode() != word:
            raise RunError(f"what is typed must be UTF-8 text, got {ascii(word)[:80]}")
    return app(args=arguments, prog_name="isma", standalone_mode=False)
