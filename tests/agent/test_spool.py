"""Snapshots on their way: in pieces, resumed, bounded, and whole or nothing."""

import asyncio
from pathlib import Path
from unittest import mock

from agent.local import local, wanted
from isma.agent.peers import PeerError, Peers
from isma.agent.spool import Spool
from isma.sources import digest


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
    usual, pieces = Peers._ask, list[int]()

    async def broken(self: Peers, to: str, method: str, path: str, body: bytes) -> bytes:
        if method == "PUT":
            pieces.append(int(path.partition("offset=")[2].partition("&")[0]))
            if len(pieces) == 3:
                raise PeerError("cut off")
        return await usual(self, to, method, path, body)

    async def play() -> None:
        async with local(tmp_path) as cluster, cluster.client("ann") as ann:
            await ann.begin("a", wanted("a"))
            for _ in range(5):
                await ann.task(b'{"add": 1}')
            with (
                mock.patch("isma.agent.peers.CHUNK_BYTES", 60),
                mock.patch.object(Peers, "_ask", broken),
            ):
                await cluster.move(ann, "b")
            assert (await ann.task(b'{"add": 1}'))["count"] == 6

    asyncio.run(play())
    assert pieces[:4] == [0, 60, 120, 120]
    assert len(pieces) > 5
