"""Ctrl-C at every fifth of a second of each command's first ten: status 130, a line, within two seconds."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from faults.commands import STOPPED_S, environment, said
from faults.flips import COMPARE
from faults.inputs import write_inputs
from faults.kills import OPTIONS
from faults.record import Counts, Record

INTERRUPTED = 130
MOST_AFTER_S = 2.0
_POLL_S = 0.02
_PROGRAM = """
import os
os.write({0}, b".")
os.close({0})
from isma.cli import main
main()
"""
"""The program `isma` as installed, but for a word just before its first line."""
MOMENTS_S = tuple(round(0.2 * number, 1) for number in range(1, 51))
_COMPARED = ("nearest", "price", "full-information")

COMMANDS = (
    ("compare", "paper", "--policies", ",".join(_COMPARED), "--seeds", "8", "--out", "new"),
    ("bound", "paper", "--seeds", "8", "--out", "new"),
    ("train", "dqn", *OPTIONS, "--option", "rounds=500", "--out", "new"),
    ("explain", "run", "--user", "0", "--time", "9"),
    ("check-policy", "nearest"),
    ("reproduce", "fig3", "--out", "new"),
    ("bench", "simulator"),
    ("scenario", "check", "metropolis"),
    (
        "scenario",
        "import",
        "csv",
        "inputs/trace.csv",
        "--sites",
        "inputs/sites.csv",
        "--out",
        "made/o.toml",
        "--duration",
        "20 min",
    ),
)


@dataclass(frozen=True)
class Stopped:
    """What became of a command that was interrupted."""

    status: int
    err: str
    after_s: float
    """How long it took to end, less the time for which it waited for a processor."""


def every_interrupt(
    scratch: Path,
    cache: Path,
    record: Record,
    commands: Sequence[tuple[str, ...]] = COMMANDS,
    moments_s: Sequence[float] = MOMENTS_S,
    workers: int = 2,
) -> Counts:
    """Interrupts of each command while it ran and what went wrong; one that had ended is not counted."""
    good = scratch / "good"
    good.mkdir(parents=True)
    write_inputs(good)
    subprocess.run(
        _line(COMPARE), cwd=good, env=environment(cache), check=True, capture_output=True
    )
    tried = [
        (command, moment_s)
        for command in commands
        for moment_s in moments_s
        if not record.has(name_of(command), moment_s)
    ]

    def one(of: tuple[tuple[str, ...], float]) -> None:
        command, moment_s = of
        folder = scratch / f"{' '.join(command[:3])} {moment_s}".replace("/", "_")
        shutil.copytree(good, folder)
        try:
            stopped = interrupted(command, moment_s, folder, cache)
        finally:
            shutil.rmtree(folder)
        if stopped is not None:
            found = _wrong(stopped)
            wrong = [f"{name_of(command)} after {moment_s} s: {found}"] if found else []
            record.note(name_of(command), moment_s, wrong)

    with ThreadPoolExecutor(workers) as threads:
        list(threads.map(one, tried))
    return record.counts()


def interrupted(
    command: Sequence[str], moment_s: float, folder: Path, cache: Path
) -> Stopped | None:
    """Interrupt a command that long after its first line; None where it had ended by then.

    Until that line it is Python that starts, which takes as long as the machine is busy.
    """
    started, begun = os.pipe()
    program = folder / "isma"
    program.write_text(_PROGRAM.format(begun))
    with (folder / "err").open("wb") as err:
        process = subprocess.Popen(
            [sys.executable, program, *command],
            cwd=folder,
            env=environment(cache),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=err,
            preexec_fn=_default_signals,
            pass_fds=(begun,),
        )
    os.close(begun)
    with os.fdopen(started, "rb") as heard:
        heard.read(1)
    try:
        process.wait(moment_s)
        return None
    except subprocess.TimeoutExpired:
        began, waited_s = time.monotonic(), _waited_s(process.pid)
        process.send_signal(signal.SIGINT)
    late_s = waited_s
    while (status := process.poll()) is None:
        late_s = _waited_s(process.pid, late_s)
        if time.monotonic() - began > STOPPED_S:
            process.kill()
        time.sleep(_POLL_S)
    after_s = time.monotonic() - began - (late_s - waited_s)
    text = (folder / "err").read_text(errors="replace")
    return None if status == 0 else Stopped(status, text, after_s)


def name_of(command: Sequence[str]) -> str:
    """Words of a command that say which it is."""
    return " ".join(command[:2]) if command[0] == "scenario" else command[0]


def _wrong(stopped: Stopped) -> str | None:
    lines = said(stopped.err)
    if stopped.status != INTERRUPTED:
        return f"status {stopped.status}: {' | '.join(lines[-2:])[-300:]}"
    if len(lines) != 1 or "Traceback" in stopped.err:
        return f"{len(lines)} lines: {' | '.join(lines)[-300:]}"
    if stopped.after_s > MOST_AFTER_S:
        return f"ended {stopped.after_s:.1f} s later"
    return None


def _waited_s(process: int, last_s: float = 0.0) -> float:
    """How long a process's first thread has waited for a processor; as last known once it has ended."""
    try:
        return int(Path(f"/proc/{process}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError):
        return last_s


def _default_signals() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _line(command: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "isma.cli", *command]
