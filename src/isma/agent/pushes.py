"""Listeners for decisions: each is woken when its context has a new one."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

MOST_LISTENERS = 4
"""Most listeners of one context."""


class TooManyListenersError(Exception):
    """The context has the greatest number of listeners."""


class Pushes:
    """Wakes listeners. They read the present decision themselves, so that a slow one skips old ones."""

    def __init__(self) -> None:
        self.ended = False
        """Whether the agent ends, and with it all listening."""
        self._listening: dict[str, set[asyncio.Event]] = {}

    @contextmanager
    def listen(self, context: str) -> Iterator[asyncio.Event]:
        """Event that is set when there is something new. Raises TooManyListenersError."""
        listening = self._listening.setdefault(context, set())
        if len(listening) >= MOST_LISTENERS:
            raise TooManyListenersError
        event = asyncio.Event()
        listening.add(event)
        try:
            yield event
        finally:
            listening.discard(event)
            if not listening:
                self._listening.pop(context, None)

    def tell(self, context: str) -> None:
        """Wake the listeners of a context."""
        for event in self._listening.get(context, ()):
            event.set()

    def end(self) -> None:
        """End all listening."""
        self.ended = True
        for context in self._listening:
            self.tell(context)
