"""A user's side: asks an agent for a server, sends tasks there, and follows the service when it moves.

async with Client("ann", {"a": "https://127.0.0.1:7401"}, tls) as client:
    await client.begin("a", request)
    count = await client.task(b'{"add": 1}')
"""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any, NamedTuple, Self

import aiohttp
import msgspec

from isma.agent import tracing
from isma.agent.config import Tls
from isma.agent.decisions import TaskRequest
from isma.agent.identity import Identity, Kind, context

_CONTEXTS = "/isma/v1/contexts"
_PROBLEM = "urn:isma:problem:"
_FIRST_WAIT_S, _MOST_WAIT_S, _SILENCE_S = 0.02, 1.0, 40.0
_AGAIN = ("moving", "unavailable", "journal-full", "full", "too-many")


class Refused(Exception):  # noqa: N818  # An answer, not a fault.
    """An agent's final answer: asking again would not change it."""


class Assignment(NamedTuple):
    """The paper's action a_i, as an agent answers it."""

    context: str
    agent: str
    offloading_ratio: float
    cpu_share: float
    epoch: int
    reason: str


class Client:
    """One user with one service. `task` and `decisions` may be used by several tasks at once."""

    def __init__(
        self, user: str, agents: Mapping[str, str], tls: Tls, patience_s: float = 60.0
    ) -> None:
        self.user, self._agents, self._patience_s = user, dict(agents), patience_s
        self.context, self.agent, self.epoch = "", "", 0
        """Which service, which agent has it, and in which epoch, as far as is known."""
        self.tries = 0
        """Requests sent over the network, those included that came to nothing."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=context(tls, server=False)),
            timeout=aiohttp.ClientTimeout(total=10),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def begin(self, agent: str, request: TaskRequest, key: str | None = None) -> Assignment:
        """Create the service at an agent. Raises Refused, TimeoutError."""
        self.agent = agent
        body = msgspec.json.encode(request)
        answer = await self._until_answered(_CONTEXTS, body, key or uuid.uuid4().hex)
        self.context = answer["contextId"]
        return self._assigned(answer)

    async def request(self, request: TaskRequest) -> Assignment:
        """Send a task request T_i; returns the present decision. Raises Refused, TimeoutError."""
        place = f"{_CONTEXTS}/{self.context}/task-requests"
        body = msgspec.json.encode(request)
        return self._assigned(await self._until_answered(place, body, uuid.uuid4().hex))

    async def task(self, body: bytes, key: str | None = None) -> Any:
        """Execute a task exactly once, at the service's present host. Raises Refused, TimeoutError.

        After a TimeoutError the same key may be given again.
        """
        place = f"{_CONTEXTS}/{self.context}/tasks"
        return await self._until_answered(place, body, key or uuid.uuid4().hex)

    async def decisions(self) -> AsyncIterator[Assignment]:
        """Decisions as they are taken, across migrations, until the service is ended. Raises Refused.

        `task` and `request` go to the host of the last one.
        """
        wait_s = _FIRST_WAIT_S
        while True:
            try:
                async with aclosing(self._pushed()) as pushed:
                    async for kind, payload in pushed:
                        if kind == "decision":
                            wait_s = _FIRST_WAIT_S
                            yield self._assigned(payload)
                        elif kind == "moved":
                            self._follow(payload)
                        elif kind == "ended":
                            return
                        elif kind not in _AGAIN:
                            raise Refused(f"{payload.get('title')}: {payload.get('detail', '')}")
            except (aiohttp.ClientError, TimeoutError, OSError):
                pass
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, _MOST_WAIT_S)

    async def _pushed(self) -> AsyncGenerator[tuple[str, Any], None]:
        """Events of one stream, or the problem that the server answers instead."""
        agent = self.agent
        async with self._session.get(
            f"{self._agents[agent]}{_CONTEXTS}/{self.context}/decisions",
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=_SILENCE_S),
            headers={tracing.HEADER: tracing.began().header},
            server_hostname=Identity(Kind.AGENT, agent).host,
        ) as answer:
            if answer.status != 200:
                problem = await answer.json(content_type=None)
                yield str(problem.get("type", "")).removeprefix(_PROBLEM), problem
                return
            kind = ""
            async for line in answer.content:
                name, _, value = line.decode().strip().partition(": ")
                if name == "event":
                    kind = value
                elif name == "data":
                    yield kind, json.loads(value)

    def _assigned(self, answer: dict[str, Any]) -> Assignment:
        self.epoch = max(self.epoch, answer["epoch"])
        return Assignment(
            self.context,
            self.agent,
            answer["offloadingRatio"],
            answer["cpuShare"],
            answer["epoch"],
            answer["reason"],
        )

    async def _until_answered(self, place: str, body: bytes, key: str) -> Any:
        ends_s, wait_s = time.monotonic() + self._patience_s, _FIRST_WAIT_S
        trace = tracing.began()  # Of all tries.
        while time.monotonic() < ends_s:
            try:
                status, answer = await self._once(place, body, key, trace.header)
            except (aiohttp.ClientError, TimeoutError, OSError):
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, _MOST_WAIT_S)
                continue
            if status < 300:
                return answer
            kind = str(answer.get("type", "")).removeprefix(_PROBLEM)
            if kind == "moved" and self._follow(answer):
                if place == _CONTEXTS:  # It was created before, and has gone on since.
                    self.context = answer["contextId"]
                    place = f"{_CONTEXTS}/{self.context}/task-requests"
                continue
            if kind != "moved" and kind not in _AGAIN:
                raise Refused(f"{status} {answer.get('title')}: {answer.get('detail', '')}")
            await asyncio.sleep(float(answer.get("retryAfterS", wait_s)))
        raise TimeoutError(f"no answer within {self._patience_s} s")

    def _follow(self, answer: dict[str, Any]) -> bool:
        """Go where a tombstone shows; False if that is nowhere new."""
        owner, epoch, address = answer["owner"], answer["epoch"], answer.get("referenceURI")
        if epoch < self.epoch or owner == self.agent:
            return False
        if address and owner not in self._agents:
            self._agents[owner] = address
        if owner not in self._agents:
            return False
        self.agent, self.epoch = owner, epoch
        return True

    async def _once(self, place: str, body: bytes, key: str, trace: str) -> tuple[int, Any]:
        self.tries += 1
        agent = self.agent
        async with self._session.post(
            self._agents[agent] + place,
            data=body,
            headers={"Idempotency-Key": key, tracing.HEADER: trace},
            server_hostname=Identity(Kind.AGENT, agent).host,
        ) as answer:
            content = await answer.read()
            epoch = answer.headers.get("x-isma-epoch", "")
            if epoch.isdecimal():
                self.epoch = max(self.epoch, int(epoch))
            try:
                return answer.status, json.loads(content or b"{}")
            except ValueError:
                return answer.status, {"title": content[:100].decode(errors="replace")}
