"""What a person sees of long work: a bar on a terminal, lines in a log."""

import io
import time

import pytest
from rich.console import Console

from isma.cli import terminal
from isma.errors import ScenarioError


def worked(console: Console, until: str) -> str:
    """What is on the console once `until` is, with a quarter of the work done."""
    stream = console.file
    assert isinstance(stream, io.StringIO)
    with terminal.bar(console) as shown:
        task = shown.add_task("laying out", total=None)
        shown.update(task, completed=1, total=4, description="nearest, seed 3")
        while until not in stream.getvalue():
            time.sleep(0.001)
    return stream.getvalue()


def test_a_log_hears_how_far_the_work_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "LINE_EVERY_S", 0.01)
    log = worked(Console(file=io.StringIO()), until="25 %")
    assert "nearest, seed 3: 25 %, 0 s\n" in log


def test_short_work_leaves_nothing_in_a_log() -> None:
    stream = io.StringIO()
    with terminal.bar(Console(file=stream)) as shown:
        shown.add_task("laying out", total=None)
    assert stream.getvalue() == ""


def test_a_terminal_has_a_bar() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    assert "━" in worked(console, until="25 %")


@pytest.mark.parametrize("second", ["users=6", "users.count=6"])
def test_a_field_is_set_once(second: str) -> None:
    with pytest.raises(ScenarioError, match=r"--set names users.count twice: keep one of the two"):
        terminal.overrides_of(["users=5", second])
    with pytest.raises(ScenarioError, match="--option names batch twice"):
        terminal.options_of(["batch=5", "batch=6"])
