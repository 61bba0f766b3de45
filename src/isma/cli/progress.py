"""Progress of long work: on a terminal a bar with stage and time left, in a log a line now and then."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

LINE_EVERY_S = 10.0
"""Interval between lines of progress in a log."""
_SOON_S = 0.5
_NARROW = 70
"""Width below which a terminal gets no bar, only words."""


class TimeLeft(ProgressColumn):
    """Time left, from the time that the part has taken which is done; it runs down meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[int, tuple[float, float]] = {}

    def seconds(self, task: Task) -> float | None:
        """The estimate; None before anything is done."""
        elapsed_s, done = task.elapsed or 0.0, task.completed
        if not task.total or not done:
            return None
        estimate = self._known.get(task.id)
        if estimate is None or estimate[0] != done:
            estimate = self._known[task.id] = (done, elapsed_s)
        return max(0.0, estimate[1] * task.total / done - elapsed_s)

    def render(self, task: Task) -> Text:
        """The time as a column."""
        return Text(self.words(task), style="progress.remaining")

    def words(self, task: Task) -> str:
        """The time in words; empty before anything is done, and where it takes longer than estimated."""
        left_s = self.seconds(task)
        return f"{clock(left_s)} left" if left_s and left_s >= _SOON_S else ""


def clock(seconds: float) -> str:
    """Seconds as a clock shows them: 0:07, 12:30, 1:02:05."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


@contextmanager
def bar(console: Console) -> Iterator[Progress]:
    """A bar with the present work, the part that is done and the time left; lines in a log."""
    watched, left = console.is_terminal, TimeLeft()
    wide = console.width >= _NARROW
    columns = (
        TextColumn("{task.description:32.32}" if wide else "{task.description:22.22}"),
        *((BarColumn(bar_width=None),) if wide else ()),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        left,
    )
    shown = Progress(*columns, console=console, transient=True, disable=not watched, expand=wide)
    with shown, nullcontext() if watched else _lines(shown, console, left):
        yield shown


@contextmanager
def _lines(shown: Progress, console: Console, left: TimeLeft) -> Iterator[None]:
    """Print lines from a thread of their own, also while the work reports nothing for minutes."""
    ended = threading.Event()

    def tell() -> None:
        while not ended.wait(LINE_EVERY_S):
            for task in shown.tasks:
                done = "" if task.total is None else f"{task.percentage:.0f} %, "
                rest = left.words(task)
                line = f"{task.description}: {done}{task.elapsed or 0:.0f} s{rest and f', {rest}'}"
                console.print(line, markup=False, highlight=False, soft_wrap=True)

    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
