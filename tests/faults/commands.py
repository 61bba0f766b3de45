"""Commands of the program, run by a server that is warm; what became of each, and what it left."""

import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

GIB = 2**30
MOST_BYTES, MOST_S, MOST_LETTERS = GIB, 10.0, 500
"""What a command may take for a bad input: memory beyond importing, time of a processor, and words."""
STOPPED_S = 60.0
"""When it is stopped whatever it does: other work on the machine may take its share."""
UNFORESEEN = 70
"""Status of a fault of isma's own, told in a line all the same: here it counts as one."""
_START_S = 60.0
"""How long a server may take to start."""
_TESTS = Path(__file__).parents[1]

T, R = TypeVar("T"), TypeVar("R")


@dataclass(frozen=True)
class Ended:
    """What became of a command."""

    arguments: tuple[str, ...]
    status: int | None
    """Below 0 the signal that ended it; None where it had to be stopped."""
    out: str
    err: str
    grown_bytes: int
    took_s: float
    """Time of the processor."""

    @property
    def told(self) -> str:
        """The command and its end in a line, for a list of what went wrong."""
        said = " | ".join(self.err.strip().splitlines()[-2:])
        return f"isma {' '.join(self.arguments)[:300]}: status {self.status}: {said[-300:]}"

    def wrong(self, most_s: float = float("inf")) -> str | None:
        """What is not as promised of any command: an end with success, or one line that says why."""
        lines = said(self.err)
        if self.status is None:
            return "had to be stopped"
        if self.status < 0:
            return f"ended by signal {-self.status}"
        if "Traceback" in self.err:
            return "traceback"
        if self.status == UNFORESEEN:
            return "an error that nobody foresaw"
        if self.grown_bytes > MOST_BYTES:
            return f"took {self.grown_bytes / GIB:.1f} GB"
        if self.took_s > most_s:
            return f"took {self.took_s:.0f} s"
        if self.status == 0:
            return None
        if len(lines) != 1:
            return f"{len(lines)} lines"
        if len(lines[0]) > MOST_LETTERS:
            return f"a line of {len(lines[0])} letters"
        return None


def said(err: str) -> list[str]:
    """Lines on stderr, without what a log hears of the work every ten seconds."""
    return [line for line in err.strip().splitlines() if not line.endswith(" s")]


class Server:
    """Runs one command at a time, in a copy of a process or in one that is warm.

    They are two processes: where JAX has its threads, a process can no longer be copied.
    """

    def __init__(self, scratch: Path, cache: Path) -> None:
        scratch.mkdir(parents=True, exist_ok=True)
        self._scratch, self._cache = scratch, cache
        self._processes: dict[bool, subprocess.Popen[str]] = {}

    def _started(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "faults.server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(self._cache),
            cwd=self._scratch,
        )

    def run(
        self,
        arguments: Sequence[str],
        folder: Path,
        *,
        kill_at: int | None = None,
        watch: bool = False,
        most_bytes: int | None = None,
        most_s: float = 1800.0,
        warm: bool = False,
        plainly: bool = True,
    ) -> Ended:
        """Run a command in a folder; with `kill_at` it is killed before that change of the folder."""
        out, err = self._scratch / "out", self._scratch / "err"
        self.log.unlink(missing_ok=True)
        job = {
            "arguments": [str(one) for one in arguments],
            "folder": str(folder),
            "out": str(out),
            "err": str(err),
            "log": str(self.log),
            "watch": str(folder) if watch or kill_at is not None else None,
            "kill_at": kill_at,
            "most_bytes": most_bytes,
            "most_s": most_s,
            "warm": warm,
            "plainly": plainly,
        }
        answer = self._answer(json.dumps(job), warm, most_s)
        texts = [path.read_bytes().decode("utf-8", "replace") for path in (out, err)]
        return Ended(
            tuple(job["arguments"]), answer["status"], *texts, answer["grown"], answer["took_s"]
        )

    def _answer(self, job: str, warm: bool, most_s: float) -> dict[str, Any]:
        """What the process says; one that is silent for too long, or no more, is given up."""
        if warm not in self._processes:
            self._processes[warm] = self._started()
        process = self._processes[warm]
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{job}\n")
        process.stdin.flush()
        heard, _, _ = select.select([process.stdout], [], [], most_s + _START_S)
        line = process.stdout.readline() if heard else ""
        if line:
            return json.loads(line)
        if not heard:
            process.kill()
        ended = self._processes.pop(warm).wait()
        return {"status": ended if heard else None, "grown": 0, "took_s": most_s}

    @property
    def log(self) -> Path:
        """Changes that the last command made, a line for each, where they were watched."""
        return self._scratch / "changes"

    def close(self) -> None:
        """End the processes."""
        for process in self._processes.values():
            process.kill()
            process.wait()


class Pool:
    """Several servers, and work spread over them."""

    def __init__(self, scratch: Path, cache: Path, count: int) -> None:
        self._servers = [Server(scratch / f"server{number}", cache) for number in range(count)]
        self._free: SimpleQueue[Server] = SimpleQueue()
        for server in self._servers:
            self._free.put(server)

    @contextmanager
    def server(self) -> Iterator[Server]:
        """A server that is free, for as long as it is needed."""
        server = self._free.get()
        try:
            yield server
        finally:
            self._free.put(server)

    def each(self, do: Any, of: Sequence[T]) -> list[Any]:
        """What `do(server, item)` gives for every item, in their order."""

        def one(item: T) -> Any:
            with self.server() as server:
                return do(server, item)

        with ThreadPoolExecutor(len(self._servers)) as threads:
            return list(threads.map(one, of))

    def close(self) -> None:
        """End all servers."""
        for server in self._servers:
            server.close()


def environment(cache: Path) -> dict[str, str]:
    """What a command is run with: cheap compiling, kept from one to the next."""
    path = os.pathsep.join([str(_TESTS), *(one for one in sys.path if one)])
    return os.environ | {
        "PYTHONPATH": path,
        "XLA_FLAGS": "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false",
        "ISMA_CACHE": str(cache / "isma"),
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        "COLUMNS": "100",
    }
