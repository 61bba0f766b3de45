"""Agents and counters in this process, on real sockets with real certificates."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from aiohttp import web

from isma.agent import counter, identity, listening
from isma.agent.agent import Agent
from isma.agent.authority import TestAuthority
from isma.agent.config import Config, Limits, Listen, Server, Service, Tls
from isma.agent.decisions import TaskRequest
from isma.agent.http_api import app
from isma.agent.identity import Identity, Kind
from isma.agent.journal import Journal
from isma.client import Client
from isma.demo.hosts import free_ports

NAMES = ("a", "b", "c")


def wanted(station: str) -> TaskRequest:
    return TaskRequest(station, 4e6, 1e9, 1e9, 1.0)


class Local:
    """Three agents; each can be ended and started again from its journal."""

    def __init__(
        self,
        folder: Path,
        limits: Limits,
        state_bytes: int,
        lease_s: float,
        resend_s: float,
        *,
        whole: bool,
    ) -> None:
        self.folder, self.limits, self.state_bytes = folder, limits, state_bytes
        self.lease_s, self.resend_s, self.whole = lease_s, resend_s, whole
        self.authority = TestAuthority(folder / "certificates")
        first = free_ports()
        self.ports = {name: first + number for number, name in enumerate(NAMES)}
        self.agents: dict[str, Agent] = {}
        self.runners: dict[str, list[web.AppRunner]] = {}
        self._servers: dict[str, asyncio.Server] = {}
        self._journals: dict[str, Journal] = {}
        self._issued: dict[Identity, Tls] = {}

    def address(self, name: str) -> str:
        return f"https://127.0.0.1:{self.ports[name]}"

    @property
    def addresses(self) -> dict[str, str]:
        return {name: self.address(name) for name in NAMES}

    def tls(self, kind: Kind, name: str) -> Tls:
        who = Identity(kind, name)
        if who not in self._issued:
            self._issued[who] = self.authority.issue(who)
        return self._issued[who]

    def client(self, user: str) -> Client:
        return Client(user, self.addresses, self.tls(Kind.USER, user), patience_s=60)

    def config(self, name: str) -> Config:
        return Config(
            name,
            str(self.folder / name),
            Listen(self.ports[name]),
            self.tls(Kind.AGENT, name),
            Service(str(self.folder / f"{name}.sock")),
            Server(2e10, decision_period_s=3600),
            {other: self.address(other) for other in NAMES if other != name},
            limits=self.limits,
            lease_s=self.lease_s,
            resend_s=self.resend_s,
        )

    async def start(self, name: str) -> Agent:
        config = self.config(name)
        beside = web.AppRunner(
            counter.app(self.folder / f"{name}-counter", self.state_bytes, not self.whole)
        )
        await beside.setup()
        await web.UnixSite(beside, config.service.socket).start()
        self._journals[name] = Journal(Path(config.folder))
        agent = Agent(config, self._journals[name])
        door = listening.runner(app(agent), config.limits)
        await door.setup()
        tls = identity.counted(identity.context(config.tls, server=True), agent.refused)
        self._servers[name] = await listening.listen(
            door, config.listen, tls, config.limits, agent.refused_for_many
        )
        agent.start()
        self.agents[name], self.runners[name] = agent, [door, beside]
        return agent

    def link(self, name: str, ports: dict[str, int]) -> None:
        """Have an agent reach the others through other ports."""
        addresses = {to: f"https://127.0.0.1:{port}" for to, port in ports.items()}
        self.agents[name]._peers._addresses = addresses

    async def end(self, name: str) -> None:
        door, beside = self.runners.pop(name)
        self._servers.pop(name).close()
        await door.cleanup()
        await self.agents.pop(name).close()
        await beside.cleanup()
        self._journals.pop(name).close()

    def state(self, name: str, context: str) -> str:
        return type(self.agents[name].runtime.ledger.contexts.get(context)).__name__

    async def until(self, name: str, context: str, state: str) -> None:
        for _ in range(6000):
            if self.state(name, context) == state:
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"{name} must come to {state}, is {self.state(name, context)}")

    async def move(self, client: Client, to: str) -> None:
        """Attach a user to another station, and have its agent decide."""
        source = (await client.request(wanted(to))).agent
        self.agents[source].decide()
        await self.until(to, client.context, "Serving")
        await self.until(source, client.context, "Moved")


@asynccontextmanager
async def local(
    folder: Path,
    state_bytes: int = 0,
    lease_s: float = 2.0,
    whole: bool = False,
    resend_s: float = 0.1,
    **limits: float,
) -> AsyncIterator[Local]:
    made = Local(
        folder, msgspec.convert(limits, Limits), state_bytes, lease_s, resend_s, whole=whole
    )
    try:
        for name in NAMES:
            await made.start(name)
        yield made
    finally:
        for name in list(made.agents):
            await made.end(name)
