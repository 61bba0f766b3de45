"""Whatever a command raises is one line of at most 500 characters and a status that is not 0."""

import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from jax.errors import JaxRuntimeError

from isma import cli
from isma.cli.last_resort import MISTAKE, UNFORESEEN, guarded
from isma.errors import RunError, ScenarioWarning


def raising(error: BaseException) -> Callable[[], int]:
    def command() -> int:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (RunError("a b\nc"), MISTAKE, "isma: a b c"),
        (RunError("x" * 5000), MISTAKE, " … "),
        (
            ValueError("odd\nand more"),
            UNFORESEEN,
            "ValueError: odd: this should not happen (isma 0",
        ),
        (AssertionError(), UNFORESEEN, "AssertionError: : this should not happen"),
        (
            MemoryError(),
            MISTAKE,
            "enough memory for this world, and there is not: lower users.count",
        ),
        (JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory"), MISTAKE, "enough memory"),
        (JaxRuntimeError("INTERNAL: odd"), UNFORESEEN, "INTERNAL: odd"),
        (RecursionError("deep"), MISTAKE, "nested too deeply"),
        (
            PermissionError(13, "Permission denied", "f.toml"),
            MISTAKE,
            "f.toml: cannot be written or",
        ),
        (OSError(28, "No space left on device"), MISTAKE, "No space left on device"),
        (RunError("\udcff"), MISTAKE, "\\udcff"),
    ],
)
def test_an_error_is_a_line(
    error: BaseException, status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert guarded(raising(error), with_traceback=False) == status
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert said in err
    assert len(err) <= 501


def test_the_traceback_is_there_for_who_wants_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(raising(ValueError("odd")), with_traceback=True) == UNFORESEEN
    err = capsys.readouterr().err
    assert "Traceback (most recent call last)" in err
    assert err.splitlines()[-1].startswith("isma: ValueError: odd")


@pytest.mark.parametrize(("before", "after"), [(["--traceback"], []), ([], ["--traceback"])])
def test_the_flag_may_stand_anywhere(
    before: list[str],
    after: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["isma", *before, "scenario", "show", "papr", *after])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == MISTAKE
    assert "Traceback" in capsys.readouterr().err


def test_a_warning_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    def command() -> int:
        warnings.warn("mine.toml: a changes nothing", ScenarioWarning, stacklevel=1)
        return 0

    assert guarded(command, with_traceback=False) == 0
    assert capsys.readouterr().err == "isma: warning: mine.toml: a changes nothing\n"


def test_what_is_typed_is_text(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (["scenario", "show", "\udcff"], ["compare", "paper", "--set", "name=\udc80"]):
        monkeypatch.setattr(sys, "argv", ["isma", *words])
        with pytest.raises(SystemExit) as left:
            cli.main()
        assert left.value.code == MISTAKE
        assert "must be UTF-8 text" in capsys.readouterr().err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_behind_stdout_is_a_line() -> None:
    with open("/dev/full", "w") as full:
        told = subprocess.run(
            [sys.executable, "-m", "isma.cli", "scenario", "list"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert told.returncode == MISTAKE
    assert told.stderr.count("\n") == 1
    assert "No space left on device" in told.stderr
