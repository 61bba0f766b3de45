"""What a person sees of long work: a bar on a terminal, lines in a log."""

import io
import time

import pytest
from rich.console import Console
from rich.progress import Progress

from isma.cli import progress, terminal
from isma.errors import ScenarioError


def worked(console: Console, until: str) -> str:
    """What is on the console once `until` is, with a quarter of the work done."""
    stream = console.file
    assert isinstance(stream, io.StringIO)
    with progress.bar(console) as shown:
        task = shown.add_task("laying out", total=None)
        shown.update(task, completed=1, total=4, description="nearest, seed 3")
        while until not in stream.getvalue():
            time.sleep(0.001)
    return stream.getvalue()


def test_a_log_hears_how_far_the_work_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY_S", 0.01)
    log = worked(Console(file=io.StringIO()), until="25 %")
    assert "nearest, seed 3: 25 %, 0 s" in log


def test_short_work_leaves_nothing_in_a_log() -> None:
    stream = io.StringIO()
    with progress.bar(Console(file=stream)) as shown:
        shown.add_task("laying out", total=None)
    assert stream.getvalue() == ""


def test_a_terminal_has_a_bar() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    assert "━" in worked(console, until="25 %")


def test_time_left_is_what_the_rest_takes_at_the_pace_so_far() -> None:
    """A quarter in 10 s leaves 30 s, of which 4 have gone when 14 s have; a half in 20 s leaves 20."""
    clock, left = iter([0.0, 10.0, 14.0, 20.0]), progress.TimeLeft()
    now = [next(clock)]
    shown = Progress(left, console=Console(file=io.StringIO()), get_time=lambda: now[0])
    shown.add_task("", total=4)
    (task,) = shown.tasks
    assert left.seconds(task) is None
    task.completed, now[0] = 1, next(clock)
    assert left.seconds(task) == 30
    now[0] = next(clock)
    assert left.seconds(task) == 26
    task.completed, now[0] = 2, next(clock)
    assert left.seconds(task) == 20
    assert left.words(task) == "0:20 left"
    now[0] = 41.0  # It takes longer than it has taken so far: nobody knows how much.
    assert left.words(task) == ""


@pytest.mark.parametrize(
    ("seconds", "told"), [(7.4, "0:07"), (750, "12:30"), (3725, "1:02:05"), (59.6, "1:00")]
)
def test_seconds_are_told_as_a_clock_shows_them(seconds: float, told: str) -> None:
    assert progress.clock(seconds) == told


@pytest.mark.parametrize("second", ["users=6", "users.count=6"])
def test_a_field_is_set_once(second: str) -> None:
    with pytest.raises(ScenarioError, match=r"--set names users.count twice: keep one of the two"):
        terminal.overrides_of(["users=5", second])
    with pytest.raises(ScenarioError, match="--option names batch twice"):
        terminal.options_of(["batch=5", "batch=6"])
