"""Decisions that are pushed, decisions that are only logged, and the trace of a migration."""

import asyncio
import json
import logging
import re
from pathlib import Path
from unittest import mock

import aiohttp
import msgspec
import pytest
from aiohttp import web

from agent.local import local, wanted
from isma.agent import counter, tracing
from isma.agent.config import Policies
from isma.agent.identity import Identity, Kind
from isma.agent.identity import context as tls_context
from isma.agent.pushes import MOST_LISTENERS
from isma.agent.situation import AgentView, Proposal, ProposedAction
from isma.client import Refused


async def closed(client) -> None:
    place = f"{client._agents[client.agent]}/isma/v1/contexts/{client.context}"
    host = Identity(Kind.AGENT, client.agent).host
    async with client._session.delete(place, server_hostname=host) as answer:
        assert answer.status == 204


def test_decisions_are_pushed_wherever_the_service_goes(tmp_path: Path) -> None:
    async def play() -> None:
        async with local(tmp_path) as cluster, cluster.client("ann") as ann:
            await ann.begin("a", wanted("a"))
            pushed = ann.decisions()
            first = await anext(pushed)
            assert (first.agent, first.epoch, first.cpu_share) == ("a", 1, 1.0)
            cluster.agents["a"].decide()
            assert (await anext(pushed)).epoch == 1
            await cluster.move(ann, "b")
            ann.agent = "a"  # The stream alone shows where it is.
            arrived = await anext(pushed)
            while arrived.epoch == 1:
                arrived = await anext(pushed)
            assert (arrived.agent, arrived.epoch, ann.agent) == ("b", 2, "b")
            assert (await ann.task(b'{"add": 1}'))["count"] == 1
            await closed(ann)
            assert [one.epoch async for one in pushed] in ([], [2])

    asyncio.run(play())


def test_only_its_user_listens_and_not_too_often(tmp_path: Path) -> None:
    async def play() -> None:
        async with (
            local(tmp_path) as cluster,
            cluster.client("ann") as ann,
            cluster.client("bob") as bob,
        ):
            await ann.begin("a", wanted("a"))
            bob.context, bob.agent = ann.context, "a"
            with pytest.raises(Refused, match="does not allow"):
                await anext(bob.decisions())
            streams = [ann.decisions() for _ in range(MOST_LISTENERS)]
            for one in streams:
                await anext(one)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(ann.decisions()), 0.3)
            await streams.pop().aclose()
            assert (await asyncio.wait_for(anext(ann.decisions()), 30)).agent == "a"

    asyncio.run(play())


class PlannerToB:
    """Proposes that all go to b."""

    def next_number(self) -> int:
        return 1

    async def ask(self, asked: AgentView, deadline_s: float) -> list[Proposal]:
        to = asked.servers.index("b")
        choices = tuple(ProposedAction(row.context, to, 0.5, 0.25) for row in asked.users)
        return [Proposal(1, "price", "d", choices, 0.125)]


@pytest.mark.parametrize("shadow", [True, False])
def test_a_policy_in_shadow_is_told_and_moves_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, shadow: bool
) -> None:
    caplog.set_level(logging.INFO, "isma.agent")

    async def play() -> None:
        async with local(tmp_path) as cluster, cluster.client("ann") as ann:
            await ann.begin("a", wanted("a"))
            agent = cluster.agents["a"]
            agent.config = msgspec.structs.replace(agent.config, policy=Policies(shadow=shadow))
            agent.planner = PlannerToB()  # pyright: ignore[reportAttributeAccessIssue]
            assert await agent._decide_by_policy() is not shadow
            lines = [json.loads(line) for line in caplog.messages]
            told = [line["moves"] for line in lines if line["event"] == "shadow"]
            if shadow:
                assert cluster.state("a", ann.context) == "Serving"
                assert (told, agent.price_s) == ([{ann.context: "b"}], 0)
                assert "isma_shadow_moves_total 1.0" in agent.meters.text().decode()
                assert (await ann.request(wanted("a"))).reason.startswith("nearest")
            else:
                assert cluster.state("a", ann.context) == "Asking"
                assert (told, agent.price_s) == ([], 0.125)

    asyncio.run(play())


def test_a_migration_is_one_trace_on_every_hop(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "isma.agent")
    heard: list[tuple[str, str]] = []

    @web.middleware
    async def hears(request: web.Request, handler) -> web.StreamResponse:
        heard.append((request.method + request.path, request.headers.get("traceparent", "")))
        return await handler(request)

    usual = counter.app

    def heard_app(folder: Path, state_bytes: int, deltas: bool) -> web.Application:
        made = usual(folder, state_bytes, deltas)
        made.middlewares.append(hears)
        return made

    async def play() -> None:
        with mock.patch.object(counter, "app", heard_app):
            async with local(tmp_path) as cluster, cluster.client("ann") as ann:
                await ann.begin("a", wanted("a"))
                caplog.clear()
                await cluster.move(ann, "b")
                lines = [json.loads(line) for line in caplog.messages]
        lines = [line for line in lines if line.get("call") != "Begin"]  # Of before.
        hops = {line.get("trace") for line in lines}
        states = {line["state"] for line in lines if line["event"] == "state"}
        assert states >= {"Asking", "Reserved", "Frozen", "Ready", "Released", "Serving", "Moved"}
        (trace,) = hops
        moved = [header for path, header in heard if "/snapshots/" in path]
        assert [header.split("-")[1] for header in moved] == [trace, trace]
        assert len({line["span"] for line in lines}) > 4

    asyncio.run(play())


KNOWN = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    ("header", "is_taken"),
    [
        (KNOWN, True),
        (KNOWN.replace("00-4", "cc-4") + "-what-will-be", True),
        (KNOWN + "-more", False),
        (KNOWN.upper(), False),
        (KNOWN.replace("00-4", "ff-4"), False),
        (f"00-{'0' * 32}-00f067aa0ba902b7-01", False),
        (KNOWN.replace("00f067aa0ba902b7", "0" * 16), False),
        ("", False),
        (None, False),
    ],
)
def test_a_traceparent_is_taken_as_w3c_says(header: str | None, is_taken: bool) -> None:
    found = tracing.received(header)
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", found.header)
    assert (found.trace == KNOWN.split("-")[1]) is is_taken
    assert found.parent == ("00f067aa0ba902b7" if is_taken else "")
    assert found.span != found.parent


def test_a_task_carries_its_users_trace_to_the_service(tmp_path: Path) -> None:
    heard: list[str] = []

    async def play() -> None:
        async with local(tmp_path) as cluster, cluster.client("ann") as ann:
            await ann.begin("a", wanted("a"))
            migrator = cluster.agents["a"].migrator
            usual = migrator.task

            async def hears(*told):
                found = tracing.current()
                heard.append("" if found is None else found.trace)
                return await usual(*told)

            with mock.patch.object(migrator, "task", hears):
                tls = tls_context(cluster.tls(Kind.USER, "ann"), server=False)
                place = f"{cluster.address('a')}/isma/v1/contexts/{ann.context}/tasks"
                headers = {"Idempotency-Key": "k", "traceparent": KNOWN}
                async with (
                    aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls)) as session,
                    session.post(
                        place, data=b"{}", headers=headers, server_hostname="a.agent.isma"
                    ) as answer,
                ):
                    assert answer.status == 200
        assert heard == [KNOWN.split("-")[1]]

    asyncio.run(play())
