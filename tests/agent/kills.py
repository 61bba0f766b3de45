"""Agents as real processes, killed (-9) before and after every write and every send of a hand-over.

PYTHONPATH=src:tests python -m agent.kills --out runs/kills
"""

import argparse
import asyncio
import multiprocessing
import shutil
import sys
import time
from contextlib import suppress
from pathlib import Path

from agent import failpoints
from isma.agent.decisions import TaskRequest
from isma.agent.identity import Identity, Kind
from isma.agent.init import write
from isma.client import Client
from isma.demo.hosts import Hosts

SOURCE = ("Asking", "Frozen", "Released", "Moved", "Freeze", "Retire")
SOURCE_SENDS = ("Send-Reserve", "Send-Snapshot", "Send-Activate")
TARGET = ("Reserved", "Ready", "Serving", "Stage", "Run")
TARGET_SENDS = ("Send-Kept", "Send-Stored", "Send-Active")
POINTS = [
    (role, what, when)
    for role, steps in (("source", SOURCE + SOURCE_SENDS), ("target", TARGET + TARGET_SENDS))
    for what in steps
    for when in ("before", "after")
]
_MOST_WAIT_S = 60.0


_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["agent.failpoints"])
"""An agent's process begins as a copy of one that has imported everything: that is most of a start."""


class Forked:
    """A process, as asyncio has them."""

    def __init__(self, folder: Path, name: str, failpoint: str) -> None:
        self._process = _FORKS.Process(target=failpoints.agent, args=(folder, name, failpoint))
        self._process.start()
        self.kill, self.terminate = self._process.kill, self._process.terminate

    @property
    def returncode(self) -> int | None:
        """Its exit status, negative for a signal; None while it runs."""
        return self._process.exitcode

    async def wait(self) -> None:
        """Wait for its end."""
        while self.returncode is None:
            await asyncio.sleep(0.01)


class Killed(Hosts):
    """Two agents that may kill themselves."""

    async def start_agent(self, name: str) -> None:
        """Start an agent that does not."""
        self._begin(name, "")

    async def again(self, name: str, failpoint: str = "") -> None:
        """Start an agent again, with a point at which it dies."""
        process = self._processes[name]
        if process.returncode is None:
            process.kill()
        await process.wait()
        self._begin(name, failpoint)
        await self.answers(name)

    def _begin(self, name: str, failpoint: str) -> None:
        self._processes[name] = Forked(self._folder, name, failpoint)  # pyright: ignore

    async def died(self, name: str) -> bool:
        """Whether an agent dies in time."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._processes[name].wait(), _MOST_WAIT_S)
            return True
        return False


def prepared(folder: Path, hosts: Hosts) -> None:
    """Configs of two agents that decide often and do not broadcast."""
    write(folder, ["a", "b"], hosts.first_port, ["ann"], authority=True)
    for name in ("a", "b"):
        path = folder / f"{name}.toml"
        text = path.read_text()
        text = text[: text.index("[broadcast]")]
        path.write_text(text.replace("# decision_period_s = 1.0", "decision_period_s = 0.2"))


async def trial(
    hosts: Killed, ann: Client, point: tuple[str, str, str], count: int
) -> tuple[int, list[str]]:
    """Move a service from where it is, with a kill on the way: the new count, and all that went wrong."""
    role, what, when = point
    source = ann.agent
    target = "b" if source == "a" else "a"
    victim, wrong = source if role == "source" else target, list[str]()
    await hosts.again(victim, f"{victim}:{what}:{when}")
    request = TaskRequest(target, 4e6, 1e9, 1e9, 1.0)
    asking = asyncio.create_task(_move(ann, request, target))
    if not await hosts.died(victim):
        wrong.append(f"{victim} was not killed")
    await hosts.again(victim)
    began_s = time.monotonic()
    outcomes = await asking
    if outcomes != list(range(count + 1, count + 1 + len(outcomes))):
        wrong.append(f"counts {outcomes} after {count}")
    if ann.agent != target:
        wrong.append(f"the service is at {ann.agent} after {time.monotonic() - began_s:.0f} s")
    return count + len(outcomes), [f"{role} {what} {when}: {one}" for one in wrong]


async def _move(ann: Client, request: TaskRequest, target: str) -> list[int]:
    """Say where the user is, and count, until the service is there."""
    outcomes: list[int] = []
    ends_s = time.monotonic() + _MOST_WAIT_S
    while ann.agent != target and time.monotonic() < ends_s:
        await ann.request(request)
        outcomes.append((await ann.task(b'{"add": 1}'))["count"])
        await asyncio.sleep(0.05)
    return [*outcomes, (await ann.task(b'{"add": 1}'))["count"]]


async def every(folder: Path, points: list[tuple[str, str, str]]) -> list[str]:
    """All that went wrong at these points."""
    hosts, wrong, count = Killed(folder), list[str](), 0
    prepared(folder, hosts)
    try:
        await hosts.start(["a", "b"])
        addresses = {name: hosts.address(name) for name in ("a", "b")}
        tls = hosts.tls(Identity(Kind.USER, "ann"))
        async with Client("ann", addresses, tls, patience_s=120) as ann:
            await ann.begin("a", TaskRequest("a", 4e6, 1e9, 1e9, 1.0))
            for point in points:
                count, said = await trial(hosts, ann, point, count)
                wrong += said
                print(*point, "wrong" if said else "well", flush=True)
    finally:
        await hosts.end()
    return wrong


def main() -> int:
    """Try every point; the status is 1 if anything went wrong."""
    parser = argparse.ArgumentParser(prog="python -m agent.kills", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/kills"))
    parser.add_argument("--rounds", type=int, default=1)
    asked = parser.parse_args()
    shutil.rmtree(asked.out, ignore_errors=True)
    wrong = asyncio.run(every(asked.out.resolve(), POINTS * asked.rounds))
    print("".join(f"{one}\n" for one in wrong), end="")
    print(f"{len(POINTS) * asked.rounds} kills, {len(wrong)} violations")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
