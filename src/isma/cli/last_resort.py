"""Last resort of a command: whatever it raises is one line on stderr and a status that is not 0."""

import errno
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version

import typer

from isma import interrupts
from isma.errors import IsmaError, ScenarioWarning, clipped

MISTAKE, MISUSE, UNFORESEEN = 1, 2, 70
"""Exit statuses: what a person can mend, a command that is no command, and a fault of isma's."""

_SMALLER = "lower users.count, sites.count, time.duration_s or raise tasks.interval_s"


def guarded(command: Callable[[], int | None], with_traceback: bool) -> int:
    """Run a command to its status; whatever it raises is one line, after its traceback if wanted."""
    interrupt = interrupts.installed()
    _open_streams()
    try:
        if interrupt is not None:
            interrupt.raises = True
        with _warnings_in_a_line():
            status = command() or 0
            sys.stdout.flush()
        if status == interrupts.STATUS:  # What typer makes of Ctrl-C, without a word.
            raise KeyboardInterrupt
        return status
    except BaseException as error:
        if interrupt is not None:
            interrupt.raises = False  # From here on Ctrl-C ends the process at once.
        if isinstance(error, SystemExit):
            raise
        if with_traceback:
            traceback.print_exception(error)
        if isinstance(error, OSError):
            _give_up_stdout()
        if interrupt is not None and interrupt.heard:
            error = KeyboardInterrupt()
        status, told = _told(error)
        if interrupt is not None and status == interrupts.STATUS:
            interrupt.leave()  # Python's own end waits for compilers, and takes seconds.
        if told:
            say(told)
        return status


def say(message: str) -> None:
    """Write one line to stderr, wherever that leads."""
    line = f"isma: {clipped(' '.join(message.split()))}"
    with suppress(OSError, ValueError):
        sys.stderr.write(line.encode(errors="backslashreplace").decode() + "\n")
        sys.stderr.flush()


def _told(error: BaseException) -> tuple[int, str]:
    """The status, and the line; empty where nobody would read it."""
    match error:
        case typer.TyperException():
            told = getattr(error, "format_message", error.__str__)()
            # Without arguments there is nothing to say but the help, which has been shown.
            return MISUSE, told and f"{told} (isma --help tells more)"
        case IsmaError():
            return MISTAKE, str(error)
        case KeyboardInterrupt() | typer.Abort():
            return interrupts.STATUS, interrupts.LINE.removeprefix("isma: ")
        case BrokenPipeError():
            return MISTAKE, ""
        case MemoryError():
            return (
                MISTAKE,
                f"there must be enough memory for this world, and there is not: {_SMALLER}",
            )
        case RecursionError():
            return MISTAKE, "what is given is nested too deeply: give it with fewer levels"
        case OSError():
            where = f"{error.filename}: " if error.filename else "output or input "
            reason = error.strerror or os.strerror(error.errno or errno.EIO)
            return MISTAKE, f"{where}cannot be written or read: {reason}"
        # By name: who asks for help or the version need not wait for jax.
        case RuntimeError() if type(
            error
        ).__name__ == "JaxRuntimeError" and "RESOURCE_EXHAUSTED" in str(error):
            return (
                MISTAKE,
                f"there must be enough memory for this world, and there is not: {_SMALLER}",
            )
    first = next(iter(str(error).strip().splitlines()), "")[:200]
    return UNFORESEEN, (
        f"{type(error).__name__}: {first}: this should not happen (isma {version('isma')}). Please "
        "report it, with the command and what it prints with --traceback"
    )


@contextmanager
def _warnings_in_a_line() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("always", ScenarioWarning)
        usual = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *rest: object) -> None:
            if issubclass(category, ScenarioWarning):
                say(f"warning: {message}")
            else:
                usual(message, category, *rest)  # pyright: ignore[reportArgumentType]

        warnings.showwarning = show
        yield


def _open_streams() -> None:
    """Write to nowhere what is meant for a standard file that is closed."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  # for the process's life
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115


def _give_up_stdout() -> None:
    """Let what is still to be written go nowhere: else it is tried again when the process ends."""
    with suppress(OSError, ValueError):
        sys.stdout.flush()
        return
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
