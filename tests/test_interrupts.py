"""Ctrl-C in every command: one line, status 130, no traceback, from the first import on."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from isma import interrupts

COMMANDS = {
    "compare": ["compare", "paper", "--seeds", "1", "--policies", "price", "--out", "run"],
    "check": ["scenario", "check", "paper"],
    "train": ["train", "dqn", "--out", "training"],
}
STANDARD = 3
"""Files that a process has open from its start; the pipe of the handler makes two more."""


def begun(arguments: list[str], folder: Path) -> subprocess.Popen[str]:
    """A command at its first import: since then it answers."""
    process = subprocess.Popen(
        [sys.executable, "-m", "isma.cli", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    files = Path(f"/proc/{process.pid}/fd")
    while process.poll() is None and sum("pipe:" in _target(one) for one in files.iterdir()) < 4:
        time.sleep(0.01)
    return process


def _target(link: Path) -> str:
    try:
        return os.readlink(link)
    except OSError:
        return ""


def check_left(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == interrupts.STATUS, err
    lines = [line for line in err.splitlines() if line[-2:] != " s"]  # but lines of progress
    assert lines == [interrupts.LINE.strip()]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize(("name", "after_s"), [("compare", 0.0), ("check", 0.3)])
def test_ctrl_c_while_all_is_imported(name: str, after_s: float, tmp_path: Path) -> None:
    process = begun(COMMANDS[name], tmp_path)
    time.sleep(after_s)
    check_left(process)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("name", ["compare", "train"])
@pytest.mark.parametrize("after_s", [1, 2, 4, 6, 8, 12])
def test_ctrl_c_at_any_time(name: str, after_s: float, tmp_path: Path) -> None:
    process = begun(COMMANDS[name], tmp_path)
    time.sleep(after_s)
    check_left(process)
    assert not list(tmp_path.rglob("*.partial"))


STUCK = """
import sys
sys.argv[0] = "isma"
from isma import interrupts
interrupts.installed().raises = True
import ctypes
sleep, ready = ctypes.CDLL(None).sleep, "ready"
while True:
    try:
        print(ready, flush=True)
        sleep(60)  # Outside Python, as the compiler is.
    except KeyboardInterrupt:  # As what the compiler calls back may swallow it.
        pass
"""


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux's /proc")
def test_ctrl_c_while_python_does_not_run(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", STUCK],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=40)  # Well before the sleep ends by itself.
    assert (process.returncode, err) == (interrupts.STATUS, interrupts.LINE)


def test_who_imports_isma_keeps_its_own_ctrl_c() -> None:
    assert interrupts.installed() is None
