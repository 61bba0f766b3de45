"""A training that is killed outright, as by kill -9 or a power cut, goes on exactly."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
OPTIONS = (
    *("random_worlds=6", "scattered_worlds=6", "planned_worlds=2", "test_worlds=2"),
    *("periods=7", "length=4"),
)
TRAIN = ["train", "slsm", "--steps", "60", "--set", "users.count=7", "--set", "sites.count=3"]


def command(out: Path) -> list[str]:
    options = [part for option in (*OPTIONS, "updates=20") for part in ("--option", option)]
    return [sys.executable, "-m", "isma.cli", *TRAIN, *options, "--out", str(out)]


def test_kill_9(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    subprocess.run(command(whole), check=True, capture_output=True)
    process = subprocess.Popen(command(cut), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not (cut / "metrics.jsonl").exists():
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (cut / "slsm.safetensors").exists()
    subprocess.run(command(cut), check=True, capture_output=True)
    name = "slsm.safetensors"
    assert (cut / name).read_bytes() == (whole / name).read_bytes()
