"""Progress in a notebook: a line and a bar under the cell that works; nothing anywhere else."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from typing import Any, TypeVar

_Standing = TypeVar("_Standing")
Words = tuple[str, float, float]
"""Label of the work, how much of it is done, and how much there is."""
_EVERY_S = 0.25
"""Least time between two updates, each of which the notebook keeps for a moment."""


@contextmanager
def reported(
    on_progress: Callable[[_Standing], None] | None, words: Callable[[_Standing], Words]
) -> Iterator[Callable[[_Standing], None]]:
    """Yield the progress callback of long work: the one given, or in a notebook a bar, or none."""
    display = _display()
    if on_progress is not None or display is None:
        yield on_progress or (lambda standing: None)
        return
    shown = _Bar(display)
    try:
        yield lambda standing: shown.show(*words(standing))
    finally:
        shown.close()


def _display() -> Any:
    """IPython's module of displays, where a notebook's kernel runs this process."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    if shell is None or not hasattr(shell, "kernel"):
        return None
    from IPython import display  # pyright: ignore[reportMissingImports]  # Only in a notebook.

    return display


class _Bar:
    """A bar that is updated during the work, and removed when it is done."""

    def __init__(self, display: Any) -> None:
        self._display, self._lock = display, threading.Lock()
        self._began = self._last = time.monotonic()
        self._handle = display.display(display.HTML("starting"), display_id=True)

    def show(self, label: str, done: float, total: float) -> None:
        now = time.monotonic()
        with self._lock:
            if now - self._last < _EVERY_S:
                return
            self._last = now
        part, elapsed_s = (done / total if total else 0.0), now - self._began
        left = f", about {elapsed_s / part - elapsed_s:.0f} s left" if part > 0 else ""
        self._handle.update(
            self._display.HTML(
                f'<progress value="{part:.4f}" max="1" style="vertical-align:middle"></progress> '
                f"{escape(label)}: {part:.0%}, {elapsed_s:.0f} s{left}"
            )
        )

    def close(self) -> None:
        self._handle.update(self._display.HTML(""))
