"""Snapshots on their way: in pieces, resumed, bounded, and whole or nothing."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from unittest import mock

from agent.local import local, wanted
from isma.agent.peers import Peers
from isma.agent.spool import Spool
from isma.storage import digest


def test_pieces_come_in_order_or_not_at_all(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 10)
    assert spool.add("a-1", 1, 1, 0, b"abc")
    assert not spool.add("a-1", 1, 1, 2, b"xyz")
    assert not spool.add("a-1", 1, 1, 4, b"xyz")
    assert not spool.add("a-1", 1, 1, 3, b"12345678")
    assert spool.add("a-1", 1, 1, 3, b"def")
    assert spool.size("a-1", 1, 1) == 6
    assert spool.size("a-1", 1, 2) == 0
    assert spool.whole("a-1", 1, 1, digest(b"abcdef")) == b"abcdef"


def test_damaged_bytes_are_dropped_to_come_again(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 10)
    spool.add("a-1", 1, 1, 0, b"abX")
    assert spool.whole("a-1", 1, 1, digest(b"abc")) is None
    assert spool.size("a-1", 1, 1) == 0
    assert spool.whole("a-1", 1, 1, digest(b"abc")) is None


def test_what_is_forgotten_is_one_contexts(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 10)
    spool.add("a-1", 1, 1, 0, b"abc")
    spool.add("a-12", 1, 1, 0, b"abc")
    spool.forget("a-1")
    assert (spool.size("a-1", 1, 1), spool.size("a-12", 1, 1)) == (0, 3)


def test_a_transfer_goes_on_where_it_broke_off(tmp_path: Path) -> None:
    usual, offsets = Peers._ask, list[int]()

    async def cut(pieces: AsyncIterator[memoryview]) -> AsyncIterator[memoryview]:
        async for piece in pieces:
            yield piece[:60]
            await asyncio.sleep(0.1)  # Until they have arrived.
            raise OSError("cut off")

    async def broken(
        self: Peers, to: str, method: str, path: str, body: Any, *rest: Any
    ) -> tuple[int, bytes]:
        if method == "PUT" and "offset=" in path:
            offsets.append(int(path.partition("offset=")[2]))
            body = cut(body) if len(offsets) == 1 else body
        return await usual(self, to, method, path, body, *rest)

    async def play() -> None:
        async with local(tmp_path, whole=True) as cluster, cluster.client("ann") as ann:
            await ann.begin("a", wanted("a"))
            for _ in range(5):
                await ann.task(b'{"add": 1}')
            with mock.patch.object(Peers, "_ask", broken):
                await cluster.move(ann, "b")
            assert (await ann.task(b'{"add": 1}'))["count"] == 6

    asyncio.run(play())
    assert offsets == [0, 60]
