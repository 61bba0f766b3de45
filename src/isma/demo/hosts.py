"""Processes of a demonstration: an agent and a counter for each name, with their logs."""

import asyncio
import os
import random
import socket
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from isma.agent.config import Tls, read
from isma.agent.identity import Identity
from isma.agent.status import ask
from isma.errors import RunError

_MOST_WAIT_S = 120.0
PORTS = 16


class Hosts:
    """All of them; `end` leaves none behind."""

    def __init__(self, folder: Path, state_bytes: int = 0, whole: bool = False) -> None:
        self._folder = folder
        self._options = ("--state-bytes", str(state_bytes), *(["--whole"] if whole else []))
        self.first_port = free_ports()
        self.kills = 0
        self._processes: dict[str, asyncio.subprocess.Process] = {}

    def address(self, name: str) -> str:
        """Where an agent takes requests."""
        listen = read(self._folder / f"{name}.toml").listen
        return f"https://{listen.address}:{listen.port}"

    def tls(self, identity: Identity) -> Tls:
        """Certificate files of the test authority for an identity."""
        stem = str(self._folder / "certificates" / identity.host)
        return Tls(f"{stem}.pem", f"{stem}.key", str(self._folder / "certificates/authority.pem"))

    def log(self, name: str) -> Path:
        """Log of an agent."""
        return self._folder / f"{name}.log"

    async def start(self, names: Iterable[str]) -> None:
        """Start all, and wait until they answer. Raises RunError."""
        for name in names:
            counter = ("--socket", f"{name}.sock", "--folder", f"state/{name}-counter")
            words = ("-m", "isma.agent.counter", *counter, *self._options)
            await self._start(f"{name}-counter", *words)
            await self.start_agent(name)
        await asyncio.gather(*(self.answers(name) for name in names))

    async def start_agent(self, name: str) -> None:
        """Start one agent."""
        await self._start(name, "-m", "isma.cli", "agent", "--config", f"{name}.toml")

    async def _start(self, name: str, *words: str) -> None:
        with (self._folder / f"{name}.log").open("ab") as log:
            self._processes[name] = await asyncio.create_subprocess_exec(
                sys.executable, *words, cwd=self._folder, stdout=log, stderr=log, env={**os.environ}
            )

    async def answers(self, name: str) -> None:
        """Wait until an agent answers. Raises RunError."""
        config = read(self._folder / f"{name}.toml")
        for _ in range(int(_MOST_WAIT_S / 0.2)):
            if self._processes[name].returncode is not None:
                raise RunError(
                    f"agent {name} must keep running, and has ended: see {self.log(name)}"
                )
            with suppress(RunError):
                await ask(config)
                return
            await asyncio.sleep(0.2)
        raise RunError(
            f"agent {name} must answer within {_MOST_WAIT_S:.0f} s: see {self.log(name)}"
        )

    async def kill_now_and_then(self, kills: int, seconds: float) -> None:
        """Kill an agent (-9) and restart it, a number of times."""
        drawn = random.Random(1)
        agents = sorted(name for name in self._processes if not name.endswith("-counter"))
        for _ in range(kills):
            await asyncio.sleep(seconds / (kills + 1))
            name = drawn.choice(agents)
            self._processes[name].kill()
            await self._processes[name].wait()
            self.kills += 1
            await self.start_agent(name)

    async def end(self) -> None:
        """End all that were started."""
        running = [one for one in self._processes.values() if one.returncode is None]
        for process in running:
            process.terminate()
        for process in running:
            try:
                await asyncio.wait_for(process.wait(), 10)
            except TimeoutError:
                process.kill()
                await process.wait()


def free_ports() -> int:
    """The first of some consecutive free ports."""
    for first in range(20_000 + os.getpid() % 10_000, 60_000, PORTS):
        with suppress(OSError):
            for port in range(first, first + PORTS):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
            return first
    raise RunError("there must be some free ports above 20000, and there are none")
