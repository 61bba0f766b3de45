"""The planner of an agent, outside its event loop: a process of its own, and a deadline for proposals.

Late proposals are dropped. A process that ends is restarted, after a longer delay each time.
"""

import asyncio
import math
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from isma.agent.runtime import note
from isma.agent.situation import AgentView, Proposal, Recorded

_MOST_LINE_BYTES = 2**24
_FIRST_WAIT_S, _MOST_WAIT_S = 1.0, 60.0


class PlannerProcess:
    """Policies, the best last, in one process."""

    def __init__(
        self, policies: Sequence[str], scenario: str, record: Path | None, signer: str = ""
    ) -> None:
        self._signer = ("--signer", signer) if signer else ()
        self._policies, self._scenario, self._record = tuple(policies), scenario, record
        self._process: asyncio.subprocess.Process | None = None
        self._waiting: dict[int, list[Proposal]] = {}
        self._came = asyncio.Event()
        self._number = 0

    def next_number(self) -> int:
        """The number of the next view; each is used once."""
        self._number += 1
        return self._number

    async def run_for_ever(self) -> None:
        """Keep a process running."""
        wait_s = _FIRST_WAIT_S
        while True:
            began_s = time.monotonic()
            self._begin_record()
            self._process = process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "isma.agent.worker",
                "--scenario",
                self._scenario,
                *self._signer,
                *self._policies,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=_MOST_LINE_BYTES,
            )
            try:
                await self._read(process)
            finally:
                self._process = None
                if process.returncode is None:
                    process.kill()
                with suppress(ProcessLookupError):
                    await process.wait()
            note("planner ended", status=process.returncode)
            is_well = time.monotonic() - began_s > _MOST_WAIT_S
            wait_s = _FIRST_WAIT_S if is_well else min(2 * wait_s, _MOST_WAIT_S)
            await asyncio.sleep(wait_s)

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            proposal = msgspec.json.decode(line, type=Proposal)
            if proposal.error:
                note("planner", policy=proposal.policy, reason=proposal.error)
            if proposal.number in self._waiting:
                self._waiting[proposal.number].append(proposal)
                self._came.set()

    async def ask(self, situation: AgentView, deadline_s: float) -> list[Proposal]:
        """Proposals of the policies by the deadline, the best last; nothing if none has.

        A process that is still busy with an earlier situation is not asked.
        """
        process = self._process
        if process is None or process.stdin is None or self._waiting:
            return []
        self._waiting[situation.number] = came = []
        ends_s = time.monotonic() + deadline_s
        try:
            process.stdin.write(msgspec.json.encode(situation) + b"\n")
            while len(came) < len(self._policies) and (left_s := ends_s - time.monotonic()) > 0:
                self._came.clear()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._came.wait(), left_s)
        except ConnectionError:
            return []
        finally:
            if len(came) == len(self._policies):
                self._keep(Recorded(situation, tuple(came)))
                del self._waiting[situation.number]
            else:
                asyncio.get_running_loop().create_task(self._finish(situation, came, process))
        return [one for one in came if not one.error and is_sound(one, situation)]

    async def _finish(
        self, situation: AgentView, came: list[Proposal], process: asyncio.subprocess.Process
    ) -> None:
        """Wait for a late answer before the next question; it is recorded, and not used."""
        while len(came) < len(self._policies) and process.returncode is None:
            await asyncio.sleep(0.05)
        self._waiting.pop(situation.number, None)
        self._keep(Recorded(situation, tuple(came)))

    def _begin_record(self) -> None:
        """Start a new record with a process, since its policies' memories start empty."""
        if self._record is not None and self._record.exists():
            self._record.replace(self._record.with_name(f"{self._record.name}.before"))

    def _keep(self, recorded: Recorded) -> None:
        if self._record is not None and recorded.proposals:
            with suppress(OSError), self._record.open("ab") as file:
                file.write(msgspec.json.encode(recorded) + b"\n")


def is_sound(proposal: Proposal, situation: AgentView) -> bool:
    """Whether every number of a proposal is one that can be carried out."""
    servers = len(situation.servers)
    numbers = [
        (choice.server, choice.offload_ratio, choice.cpu_share) for choice in proposal.choices
    ]
    return (
        [choice.context for choice in proposal.choices] == [row.context for row in situation.users]
        and math.isfinite(proposal.price_s)
        and proposal.price_s >= 0
        and all(
            0 <= server < servers and 0 <= ratio <= 1 and 0 <= share <= 1
            for server, ratio, share in numbers
        )
    )
