"""Real agents on real sockets: services move, counts go on, and what goes wrong is answered."""

import asyncio
import sqlite3
from pathlib import Path
from unittest import mock

import aiohttp
import msgspec
import pytest

from agent.local import Local, local, wanted
from isma.agent.identity import Identity, Kind
from isma.agent.identity import context as tls_context
from isma.agent.journal import JournalFullError
from isma.agent.openapi import document
from isma.client import Client, Refused

ADD = b'{"add": 1}'


async def count(client: Client, key: str | None = None) -> int:
    return (await client.task(ADD, key))["count"]


async def post(
    cluster: Local, who: Identity, path: str, body: bytes, key: str | None = "k", to: str = "a"
) -> tuple[int, dict]:
    tls = tls_context(cluster.tls(*who), server=False)
    headers = {} if key is None else {"Idempotency-Key": key}
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls)) as session,
        session.post(
            cluster.address(to) + path,
            data=body,
            headers=headers,
            server_hostname=Identity(Kind.AGENT, to).host,
        ) as answer,
    ):
        told = await answer.json(content_type=None)
        if answer.status >= 400:
            assert answer.content_type == "application/problem+json"
            assert told["status"] == answer.status
        return answer.status, told


ANN, BOB = Identity(Kind.USER, "ann"), Identity(Kind.USER, "bob")
WANTED = msgspec.json.encode(wanted("a"))
RESERVE = (
    b'{"context": "%s", "message": {"type": "Reserve", "epoch": 1, "attempt": 1, "sharePpm": %d}}'
)


def test_a_service_follows_its_user_and_forgets_nothing(tmp_path: Path) -> None:
    async def play() -> None:
        async with local(tmp_path) as cluster, cluster.client("ann") as ann:
            first = await ann.begin("a", wanted("a"))
            assert (first.agent, first.epoch, first.cpu_share) == ("a", 1, 1.0)
            assert [await count(ann) for _ in range(3)] == [1, 2, 3]
            told = await count(ann, "same")
            for epoch, to in enumerate(["b", "c", "a", "b"], 2):
                await cluster.move(ann, to)
                assert await count(ann, "same") == told
                assert (ann.agent, ann.epoch) == (to, epoch)
                assert await count(ann) == 3 + epoch

    asyncio.run(play())


def test_tasks_during_a_move_are_done_once_each(tmp_path: Path) -> None:
    async def play() -> None:
        async with local(tmp_path) as cluster, cluster.client("ann") as ann:
            await ann.begin("a", wanted("a"))

            async def many() -> list[int]:
                return [await count(ann) for _ in range(60)]

            busy = asyncio.create_task(many())
            for to in ("b", "c", "b", "a"):
                await cluster.move(ann, to)
            assert await busy == list(range(1, 61))
            assert await count(ann) == 61

    asyncio.run(play())


def test_an_agent_goes_on_from_its_journal(tmp_path: Path) -> None:
    async def play() -> None:
        async with local(tmp_path) as cluster, cluster.client("ann") as ann:
            await ann.begin("a", wanted("a"), "first")
            await count(ann)
            await cluster.move(ann, "b")
            for name in ("a", "b"):
                await cluster.end(name)
                await cluster.start(name)
            assert await count(ann) == 2
            async with cluster.client("ann") as late:
                await late.begin("a", wanted("a"), "first")
                assert (late.context, late.agent) == (ann.context, "b")

    asyncio.run(play())


def test_a_target_that_is_away_leaves_the_service_where_it_is(tmp_path: Path) -> None:
    async def play() -> None:
        async with local(tmp_path) as cluster, cluster.client("ann") as ann:
            await ann.begin("a", wanted("a"))
            await cluster.end("b")
            await ann.request(wanted("b"))
            cluster.agents["a"].decide()
            assert cluster.state("a", ann.context) == "Asking"
            assert await count(ann) == 1
            await cluster.until("a", ann.context, "Serving")
            assert await count(ann) == 2

    asyncio.run(play())


def test_shares_fit_the_server_and_follow_who_is_there(tmp_path: Path) -> None:
    async def play() -> None:
        async with (
            local(tmp_path) as cluster,
            cluster.client("ann") as ann,
            cluster.client("bob") as bob,
        ):
            await ann.begin("a", wanted("a"))
            await bob.begin("a", wanted("a"))
            cluster.agents["a"].decide()
            shares = [(await one.request(wanted("a"))).cpu_share for one in (ann, bob)]
            assert shares == [0.5, 0.5]
            await cluster.move(ann, "b")
            cluster.agents["a"].decide()
            assert (await bob.request(wanted("a"))).cpu_share == 1.0

    asyncio.run(play())


def test_a_full_disk_is_said_and_nothing_happens(tmp_path: Path) -> None:
    async def play() -> None:
        async with local(tmp_path) as cluster, cluster.client("ann") as ann:
            await ann.begin("a", wanted("a"))
            journal = cluster.agents["a"].runtime._journal
            full = JournalFullError("database or disk is full")
            with mock.patch.object(journal, "write", side_effect=full):
                status, told = await post(cluster, BOB, "/isma/v1/contexts", WANTED)
                assert (status, told["type"]) == (507, "urn:isma:problem:journal-full")
                assert await count(ann) == 1
            status, _ = await post(cluster, BOB, "/isma/v1/contexts", WANTED)
            assert status == 201

    asyncio.run(play())


@pytest.mark.parametrize(
    ("who", "path", "body", "key", "wanted_status"),
    [
        (ANN, "/isma/v1/contexts", WANTED, None, 400),
        (ANN, "/isma/v1/contexts", b"{", "k", 400),
        (ANN, "/isma/v1/contexts", b"\xff\xfe", "k", 400),
        (ANN, "/isma/v1/contexts", b'{"station": 3}', "k", 400),
        (ANN, "/isma/v1/contexts", bytes(100_000), "k", 413),
        (ANN, "/isma/v1/contexts/a-0/tasks", ADD, "k", 404),
        (ANN, "/isma/v1/nothing", ADD, "k", 404),
        (ANN, "/healthz", ADD, "k", 405),
        (ANN, "/isma/v1/handover", b"{}", "k", 403),
        (Identity(Kind.AGENT, "b"), "/isma/v1/contexts", WANTED, "k", 403),
        (Identity(Kind.AGENT, "b"), "/isma/v1/handover", b'{"context": 1}', "k", 400),
        (Identity(Kind.AGENT, "b"), "/isma/v1/handover", RESERVE % (b"../../x", 1), "k", 400),
        (Identity(Kind.AGENT, "b"), "/isma/v1/handover", RESERVE % (b"a-1\\n", 1), "k", 400),
        (Identity(Kind.AGENT, "b"), "/isma/v1/handover", RESERVE % (b"a-1", -1), "k", 400),
        (Identity(Kind.AGENT, "z"), "/isma/v1/handover", b"{}", "k", 403),
    ],
)
def test_what_may_not_be_is_a_problem_document(
    tmp_path: Path, who: Identity, path: str, body: bytes, key: str | None, wanted_status: int
) -> None:
    async def play() -> None:
        async with local(tmp_path) as cluster:
            status, _ = await post(cluster, who, path, body, key)
            assert status == wanted_status
            assert not cluster.agents["a"].runtime.ledger.contexts

    asyncio.run(play())


def test_a_context_is_its_users_alone(tmp_path: Path) -> None:
    async def play() -> None:
        async with local(tmp_path) as cluster, cluster.client("ann") as ann:
            await ann.begin("a", wanted("a"))
            place = f"/isma/v1/contexts/{ann.context}"
            for part in ("tasks", "task-requests"):
                status, _ = await post(cluster, BOB, f"{place}/{part}", WANTED)
                assert status == 403
            assert await count(ann) == 1

    asyncio.run(play())


def test_users_may_not_come_too_often_and_not_too_many(tmp_path: Path) -> None:
    async def play() -> None:
        async with local(tmp_path, requests_per_s=1e-4, contexts=2) as cluster:
            found = [await post(cluster, ANN, "/isma/v1/nothing", b"") for _ in range(3)]
            assert [status for status, _ in found] == [404, 429, 429]
            carl = Identity(Kind.USER, "carl")
            for who, status in ((BOB, 201), (carl, 201), (Identity(Kind.USER, "dora"), 503)):
                assert (await post(cluster, who, "/isma/v1/contexts", WANTED))[0] == status

    asyncio.run(play())


def test_an_ended_service_is_gone(tmp_path: Path) -> None:
    async def play() -> None:
        async with local(tmp_path) as cluster, cluster.client("ann") as ann:
            await ann.begin("a", wanted("a"))
            host = Identity(Kind.AGENT, "a").host
            place = f"{cluster.address('a')}/isma/v1/contexts/{ann.context}"
            async with ann._session.delete(place, server_hostname=host) as answer:
                assert answer.status == 204
            with pytest.raises(Refused, match="410"):
                await count(ann)

    asyncio.run(play())


def test_the_document_names_every_place(tmp_path: Path) -> None:
    async def play() -> None:
        async with local(tmp_path) as cluster:
            door = cluster.runners["a"][0].app
            assert door is not None
            places = {
                route.resource.canonical
                for route in door.router.routes()
                if route.resource is not None
            }
            assert places == set(document()["paths"])

    asyncio.run(play())


def test_what_the_agent_counts_names_no_user(tmp_path: Path) -> None:
    async def play() -> None:
        async with local(tmp_path) as cluster, cluster.client("ann") as ann:
            await ann.begin("a", wanted("a"))
            await cluster.move(ann, "b")
            text = cluster.agents["a"].meters.text().decode()
            assert 'isma_migrations_total{outcome="moved"} 1.0' in text
            assert "ann" not in text
            assert ann.context not in text

    asyncio.run(play())


def test_the_journal_is_the_state(tmp_path: Path) -> None:
    async def play() -> None:
        async with local(tmp_path) as cluster, cluster.client("ann") as ann:
            await ann.begin("a", wanted("a"))
            await cluster.move(ann, "b")
            base = sqlite3.connect(tmp_path / "a/journal.sqlite")
            rows = base.execute("SELECT state FROM contexts").fetchall()
            base.close()
            assert [msgspec.json.decode(state) for (state,) in rows] == [
                {"type": "Moved", "epoch": 2, "owner": "b"}
            ]

    asyncio.run(play())
