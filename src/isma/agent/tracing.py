"""W3C trace context: requests, messages and lines of the log that belong to one thing that was begun.

The trace in hand is a context variable: tasks and timers take it over from where they were started, so
that all that follows from a request or a decision to move carries its identifier, on every agent.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

HEADER = "traceparent"
_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


class Hop(NamedTuple):
    """One hop of a trace."""

    trace: str
    """Identifier of the whole."""
    span: str
    """Identifier of this hop."""
    parent: str = ""
    flags: str = "01"

    @property
    def header(self) -> str:
        """The `traceparent` that the next hop is sent."""
        return f"00-{self.trace}-{self.span}-{self.flags}"


_CURRENT: ContextVar[Hop | None] = ContextVar("trace", default=None)


def current() -> Hop | None:
    """The trace in hand, if there is one."""
    return _CURRENT.get()


def headers() -> dict[str, str]:
    """Headers for a request to the next hop."""
    found = _CURRENT.get()
    return {} if found is None else {HEADER: found.header}


def began() -> Hop:
    """A new trace."""
    return Hop(os.urandom(16).hex(), os.urandom(8).hex())


def received(header: str | None) -> Hop:
    """The next hop of a header's trace; a new trace where the header is missing or not valid."""
    found = _FORM.fullmatch(header or "")
    if found is None or not _is_valid(*found.groups()):
        return began()
    _, trace, parent, flags, _ = found.groups()
    return Hop(trace, os.urandom(8).hex(), parent, flags)


def _is_valid(version: str, trace: str, parent: str, flags: str, rest: str | None) -> bool:
    is_known = version != "ff" and (version != "00" or rest is None)
    return is_known and trace.strip("0") != "" and parent.strip("0") != ""


def enter(trace: Hop) -> None:
    """Take a trace in hand, for the rest of this task."""
    _CURRENT.set(trace)


@contextmanager
def within(trace: Hop) -> Iterator[None]:
    """Have a trace in hand for a while."""
    token = _CURRENT.set(trace)
    try:
        yield
    finally:
        _CURRENT.reset(token)
