"""A snapshot's bytes: sent once, kept while they come, and answered when they are not wanted."""

import asyncio
from pathlib import Path
from unittest import mock

import pytest

from agent.local import Local, local, wanted
from isma.agent.migrator import Capture
from isma.agent.ownership.vocabulary import Received, Reserve, Woken
from isma.client import Client
from isma.storage import digest

STATE_BYTES = 3_000_000


async def begun(cluster: Local, ann: Client) -> None:
    await ann.begin("a", wanted("a"))
    assert (await ann.task(b'{"add": 1}'))["count"] == 1


def endings(cluster: Local, name: str) -> set[str]:
    text = cluster.agents[name].meters.text().decode()
    lines = [line for line in text.splitlines() if line.startswith("isma_migrations_total{")]
    return {line.split('"')[1] for line in lines}


async def move_with(cluster: Local, ann: Client, to: str, freeze_s: float) -> list[int]:
    """Decide to move a service that takes its time to stop; the epochs that it was asked to stop in."""
    migrator, asked = cluster.agents["a"].migrator, list[int]()
    usual = migrator.freeze

    async def slow(context: str, epoch: int, attempt: int, baseline: str) -> object:
        asked.append(attempt)
        await asyncio.sleep(freeze_s)
        return await usual(context, epoch, attempt, baseline)

    with mock.patch.object(migrator, "freeze", slow):
        await ann.request(wanted(to))
        cluster.agents["a"].decide()
        for _ in range(1000):
            if endings(cluster, "a"):
                break
            await asyncio.sleep(0.01)
    return asked


@pytest.mark.parametrize("whole", [True, False])
def test_a_large_state_arrives_whole(tmp_path: Path, whole: bool) -> None:
    async def play() -> None:
        async with (
            local(tmp_path, STATE_BYTES, whole=whole) as cluster,
            cluster.client("ann") as ann,
        ):
            await begun(cluster, ann)
            parked = list[Capture]()
            park = cluster.agents["b"].migrator.park

            async def parks(context: str, epoch: int, attempt: int, snapshot: Capture) -> bool:
                parked.append(snapshot)
                return await park(context, epoch, attempt, snapshot)

            cluster.agents["b"].migrator.park = parks
            (before,) = (tmp_path / "a-counter/ballast").iterdir()
            content = before.read_bytes()
            assert len(content) == STATE_BYTES
            await cluster.move(ann, "b")
            assert (await ann.task(b'{"add": 1}'))["count"] == 2
            (after,) = (tmp_path / "b-counter/ballast").iterdir()
            assert after.read_bytes() == content
            assert not list((tmp_path / "b/spool").iterdir())
            assert not list((tmp_path / "a-counter/ballast").iterdir())
            (snapshot,) = parked
            assert snapshot.baseline == ("" if whole else after.name)
            assert (len(snapshot.body) > STATE_BYTES) is whole

    asyncio.run(play())


def test_a_service_that_is_slow_to_stop_is_asked_once(tmp_path: Path) -> None:
    async def play() -> None:
        async with local(tmp_path) as cluster, cluster.client("ann") as ann:
            await begun(cluster, ann)
            assert await move_with(cluster, ann, "b", freeze_s=0.5) == [1]
            assert endings(cluster, "a") == {"moved"}

    asyncio.run(play())


def test_bytes_that_come_too_late_are_answered_and_the_service_goes_on(tmp_path: Path) -> None:
    async def play() -> None:
        async with local(tmp_path, lease_s=0.05) as cluster, cluster.client("ann") as ann:
            await begun(cluster, ann)
            await move_with(cluster, ann, "b", freeze_s=0.2)
            assert endings(cluster, "a") == {"refused"}
            assert (await ann.task(b'{"add": 1}'))["count"] == 2

    asyncio.run(play())


def test_a_baseline_that_is_gone_leaves_the_service_where_it_is(tmp_path: Path) -> None:
    async def play() -> None:
        async with local(tmp_path, 1_000) as cluster, cluster.client("ann") as ann:
            await begun(cluster, ann)
            keep = cluster.agents["b"].migrator.keep

            async def loses(context: str, name: str, baseline: bytes) -> None:
                await keep(context, name, baseline)
                (tmp_path / "b-counter/ballast" / name).unlink()

            with mock.patch.object(cluster.agents["b"].migrator, "keep", loses):
                await move_with(cluster, ann, "b", freeze_s=0)
                assert endings(cluster, "a") == {"refused"}
            await cluster.move(ann, "b")
            assert (await ann.task(b'{"add": 1}'))["count"] == 2

    asyncio.run(play())


def test_a_baseline_with_other_bytes_is_not_taken(tmp_path: Path) -> None:
    async def play() -> None:
        async with local(tmp_path) as cluster:
            runtime = cluster.agents["b"].runtime
            assert not await runtime.keep_baseline("a-1", digest(b"some"), b"other")
            assert await runtime.keep_baseline("a-1", digest(b"some"), b"some")
            assert await runtime.keep_baseline("a-1", digest(b"later"), b"later")
            (kept,) = (tmp_path / "b-counter/ballast").iterdir()
            assert kept.read_bytes() == b"later"

    asyncio.run(play())


@pytest.mark.parametrize("silent_s", [0.0, 10.0])
def test_a_lease_runs_from_the_last_bytes(tmp_path: Path, silent_s: float) -> None:
    async def play() -> None:
        async with local(tmp_path) as cluster:
            runtime = cluster.agents["b"].runtime
            runtime.handle("a-1", Received("a", Reserve(1, 1, 0)))
            assert runtime.take("a-1", 1, 1, 0, b"some")
            assert not runtime.take("a-1", 1, 1, 0, b"again")
            runtime._last_bytes_s["a-1"] -= silent_s
            runtime._wake("a-1", Woken(runtime.ledger.contexts["a-1"], 0))
            assert cluster.state("b", "a-1") == ("Moved" if silent_s else "Reserved")

    asyncio.run(play())
