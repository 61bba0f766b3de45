"""Last resort of a command: any exception becomes one line on stderr and a status that is not 0."""

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
"""Exit statuses: errors of the input, of the command line, and of isma itself."""

_SMALLER = "lower users.count, sites.count, time.duration_s or raise tasks.interval_s"


def guarded(command: Callable[[], int | None], with_traceback: bool) -> int:
    """Run a command to its status; an exception becomes one line, after its traceback if wanted."""
    interrupt = interrupts.installed()
    _open_streams()
    try:
        if interrupt is not None:
            interrupt.raises = True
        with _warnings_in_a_line():
            status = command() or 0
            sys.stdout.flush()
        if status == interrupts.STATUS:  # Typer turns Ctrl-C into a status silently.
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
        if interrupt is not None and interrupt.received:
            error = KeyboardInterrupt()
        status, line = _status_and_line(error)
        if interrupt is not None and status == interrupts.STATUS:
            interrupt.leave()  # Python's own end waits for compilers, and takes seconds.
        if line:
            say(line)
        return status


def say(message: str) -> None:
    """Write one line to stderr, even if that is closed or full."""
    line = f"isma: {clipped(' '.join(message.split()))}"
    with suppress(OSError, ValueError):
        sys.stderr.write(line.encode(errors="backslashreplace").decode() + "\n")
        sys.stderr.flush()


def _status_and_line(error: BaseException) -> tuple[int, str]:
    """Status and message; empty for a broken pipe."""
    match error:
        case typer.TyperException():
            message = getattr(error, "format_message", error.__str__)()
            # Without arguments there is nothing to say but the help, which has been shown.
            return MISUSE, message and f"{message} (isma --help tells more)"
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
        # By name, so that help and version need not import jax.
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
        default = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *rest: object) -> None:
            if issubclass(category, ScenarioWarning):
                say(f"warning: {message}")
            else:
                default(message, category, *rest)  # pyright: ignore[reportArgumentType]

        warnings.showwarning = show
        yield


def _open_streams() -> None:
    """Replace closed standard streams by the null device."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  # for the process's life
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115


def _give_up_stdout() -> None:
    """Discard unwritten output, which would otherwise be flushed again when the process ends."""
    with suppress(OSError, ValueError):
        sys.stdout.flush()
        return
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
