"""Everything that can go wrong by a user's hand, as one tree.

    IsmaError
    ├── ScenarioError   a preset, a scenario file or one of its fields
    ├── DataError       a trace, a site table or a graph that cannot be used
    ├── PolicyError     a policy's name or option
    ├── CheckpointError trained weights that are missing, damaged or another model's
    ├── OptionError     an option or a seed of an environment
    └── RunError        a run folder, an output path, a full disk

A message states the rule, the value and the way out.
"""

from collections.abc import Iterable
from difflib import get_close_matches

MOST = 480
"""Characters of a message."""


class IsmaError(Exception):
    """A mistake that the person at the keyboard can mend: printed as one line, never a traceback."""

    def __init__(self, message: str = "") -> None:
        super().__init__(clipped(message))


class ScenarioError(IsmaError):
    """A preset, a scenario file or one of its fields is wrong."""


class ScenarioWarning(UserWarning):
    """A scenario's file says something that changes nothing."""


class DataError(IsmaError):
    """A trace, a site table or a graph cannot be used."""


class PolicyError(IsmaError):
    """A policy's name or one of its options is wrong."""


class CheckpointError(IsmaError):
    """Trained weights are missing, damaged, or of another model or world."""


class OptionError(IsmaError):
    """An option or a seed of an environment is wrong."""


class RunError(IsmaError):
    """A run's folder cannot be written, read or resumed."""


def unknown(kind: str, name: str, known: Iterable[str], besides: str = "") -> str:
    """Message that `name` is no known `kind`, with the nearest one, or all and the form `besides`."""
    names, shown = sorted(known), repr(short(name))
    near = get_close_matches(name[:200], names, n=1, cutoff=0.5)
    if near:
        return f"unknown {kind} {shown}: did you mean {near[0]!r}?"
    return (
        f"unknown {kind} {shown}: must be one of {', '.join(names)}{besides and f', or {besides}'}"
    )


def clipped(message: str) -> str:
    """A message cut in the middle if it is too long: it begins with the rule and ends with the way out."""
    if len(message) <= MOST:
        return message
    return f"{message[: MOST - 103]} … {message[-100:]}"


def short(text: object, most: int = 60) -> str:
    """An input, shortened for a message, on one line."""
    shown = " ".join(str(text).encode("utf-8", "backslashreplace").decode().split())
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"


def given(value: object, most: int = 80) -> str:
    """An input's repr, shortened for a message."""
    try:
        return short(repr(value), most)
    except (ValueError, RecursionError):  # Too many digits or levels to be written at all.
        return "one that is too long to show"


def some(names: Iterable[str], most: int = 5) -> str:
    """The first few of many names, and how many more there are."""
    listed = list(names)
    more = f" and {len(listed) - most:,} more" if len(listed) > most else ""
    return ", ".join(short(name, 30) for name in listed[:most]) + more
