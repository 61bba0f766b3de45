"""A process that has imported isma and runs commands, each in a copy of itself, at a word on stdin.

What importing takes is spent once; JAX starts its threads in the copy, as it must. With `warm` a
command runs in the server itself, which then has its programs compiled.
"""

import io
import json
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import jax
from matplotlib.figure import Figure

import isma.cli
from faults.writes import tell_of
from isma.simulator import timing

_POLL_S = 0.004
_MOST_MAPS = 30_000


def main() -> None:
    """Answer a line of JSON for each line of JSON, to the end of stdin."""
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        job = json.loads(line)
        made = _warm(job) if job["warm"] else _forked(job)
        print(json.dumps(made), file=answers, flush=True)


def _forked(job: dict[str, Any]) -> dict[str, Any]:
    held, began = _resident(), time.monotonic()
    child = os.fork()
    if child == 0:
        _child(job)
    status = None
    while True:
        found, code, usage = os.wait4(child, os.WNOHANG)
        if found:
            status = os.waitstatus_to_exitcode(code)
            break
        if time.monotonic() - began > job["most_s"]:
            os.kill(child, signal.SIGKILL)
            _, _, usage = os.wait4(child, 0)
            break
        time.sleep(_POLL_S)
    grown = max(0, usage.ru_maxrss * 1024 - held)
    return {"status": status, "grown": grown, "took_s": usage.ru_utime + usage.ru_stime}


def _child(job: dict[str, Any]) -> None:
    status = 1
    try:
        _plug(job)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if job["watch"] is not None:
            _watched(job)
        with _limited(job["most_bytes"]):
            status = _run(job)
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
        with suppress(OSError, ValueError):
            sys.stderr.flush()
        os._exit(status)


def _watched(job: dict[str, Any]) -> None:
    """Write every change to a list, and be killed before the one that is asked for."""
    log = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    count = 0

    def tell(change: str) -> None:
        nonlocal count
        count += 1
        os.write(log, f"{change}\n".encode())
        if count == job["kill_at"]:
            os.kill(os.getpid(), signal.SIGKILL)

    tell_of(Path(job["watch"]), tell)


def _plug(job: dict[str, Any]) -> None:
    os.chdir(job["folder"])
    for number, (path, flags) in enumerate(
        (
            ("/dev/null", os.O_RDONLY),
            (job["out"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
            (job["err"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
        )
    ):
        os.dup2(os.open(path, flags), number)
    sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, "r", closefd=False)))
    sys.stdout, sys.stderr = (
        io.TextIOWrapper(
            io.BufferedWriter(io.FileIO(number, "w", closefd=False)), line_buffering=True
        )
        for number in (1, 2)
    )
    if job["plainly"]:
        _plainly()


def _warm(job: dict[str, Any]) -> dict[str, Any]:
    kept, began = [os.dup(number) for number in range(3)], time.process_time()
    streams, path, held = (sys.stdin, sys.stdout, sys.stderr), list(sys.path), _resident()
    Path("/proc/self/clear_refs").write_text("5")  # The peak of memory counts from here.
    _plug(job)
    with _limited(job["most_bytes"]):
        try:
            status = _run(job)
        except BaseException:
            traceback.print_exc()
            status = 1
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    for number, one in enumerate(kept):
        os.dup2(one, number)
        os.close(one)
    (sys.stdin, sys.stdout, sys.stderr), sys.path[:] = streams, path
    took_s, grown = time.process_time() - began, max(0, _status_bytes("VmHWM") - held)
    if Path("/proc/self/maps").read_bytes().count(b"\n") > _MOST_MAPS:
        jax.clear_caches()  # XLA maps every program that it compiles, and keeps it.
    return {"status": status, "grown": grown, "took_s": took_s}


@contextmanager
def _limited(most_bytes: int | None) -> Iterator[None]:
    """Memory that may be had beyond what there is."""
    before = resource.getrlimit(resource.RLIMIT_DATA)
    if most_bytes is not None:
        most = _status_bytes("VmData") + most_bytes
        resource.setrlimit(resource.RLIMIT_DATA, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def _run(job: dict[str, Any]) -> int:
    sys.argv = ["isma", *job["arguments"]]
    try:
        isma.cli.main()
    except SystemExit as left:
        if isinstance(left.code, str):
            print(left.code, file=sys.stderr)
            return 1
        return left.code or 0
    return 0


def _plainly() -> None:
    """Figures are blank and decisions take a millisecond: both are tried elsewhere, and take long."""

    def blank(self: Figure, data: Any, **options: Any) -> None:
        data.write(b'<svg xmlns="http://www.w3.org/2000/svg"/>')

    Figure.draw_without_rendering = lambda self: None  # type: ignore[method-assign]
    Figure.savefig = blank  # type: ignore[method-assign]
    timing.decision_ms = lambda *of: (1.0, 1.0)


def _resident() -> int:
    return _status_bytes("VmRSS")


def _status_bytes(name: str) -> int:
    text = Path("/proc/self/status").read_text()
    return 1024 * int(text.split(f"{name}:")[1].split()[0])


if __name__ == "__main__":
    main()
