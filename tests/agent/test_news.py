"""Broadcasts: the newest wins, nothing absurd is taken, and nobody speaks for another."""

import asyncio
import json
import math
import time
from pathlib import Path

import hypothesis.strategies as st
import pytest
import zenoh
from hypothesis import given

from isma.agent import broadcast
from isma.agent.authority import TestAuthority
from isma.agent.config import BroadcastTable, Config, Listen, Server, Service
from isma.agent.identity import Identity, Kind
from isma.agent.news import Bulletins
from isma.demo.hosts import free_ports


def bulletin(**changed: float) -> bytes:
    told = {"boot": 5, "number": 7, "server_hz": 2e10, "remaining_hz": 1e10, "price_s": 0.5}
    return json.dumps({**told, **changed}).encode()


def news() -> Bulletins:
    return Bulletins(frozenset({"b", "c"}), stale_s=2.0)


def test_the_newest_wins_and_nothing_comes_twice() -> None:
    heard = news()
    assert heard.take("b", bulletin(number=7), 10.0)
    for old in (bulletin(number=7), bulletin(number=6), bulletin(boot=4, number=99)):
        assert not heard.take("b", old, 11.0)
    assert heard.take("b", bulletin(number=8, price_s=0.7), 12.0)
    assert heard.take("b", bulletin(boot=6, number=1, price_s=0.9), 13.0)
    found = heard.of("b")
    assert found is not None
    assert (found.bulletin.price_s, found.at_s) == (0.9, 13.0)
    assert heard.refused == 3


@pytest.mark.parametrize(
    "payload",
    [
        *(bulletin(remaining_hz=value) for value in (math.nan, math.inf, -1.0, 3e10)),
        *(bulletin(price_s=value) for value in (math.nan, -1.0, 1e12)),
        *(bulletin(server_hz=value) for value in (-1.0, 1e20)),
        *(b"", b"\xff", b"[]", b'{"boot": 1}', bulletin(more=1)),
    ],
)
def test_what_is_absurd_is_refused(payload: bytes) -> None:
    heard = news()
    assert not heard.take("b", payload, 1.0)
    assert heard.of("b") is None
    assert heard.refused == 1


def test_a_stranger_is_not_heard() -> None:
    heard = news()
    assert not heard.take("z", bulletin(), 1.0)
    assert heard.of("z") is None


def test_silence_grows_stale() -> None:
    heard = news()
    assert heard.stale(0.0) == ["b", "c"]
    heard.take("b", bulletin(), 1.0)
    assert heard.stale(2.0) == ["c"]
    assert heard.stale(3.5) == ["b", "c"]


@given(st.binary(max_size=200))
def test_no_bytes_break_it(payload: bytes) -> None:
    heard = news()
    before = heard.stale(1.0)
    heard.take("b", payload, 1.0)
    assert heard.stale(1.0) == before, "bytes that are no bulletin make nobody heard"


@pytest.mark.slow
def test_nobody_speaks_for_another(tmp_path: Path) -> None:
    authority, first = TestAuthority(tmp_path), free_ports()
    ports = {name: first + number for number, name in enumerate("abc")}

    def config(name: str, kind: Kind = Kind.AGENT) -> tuple[Config, BroadcastTable]:
        peers = {other: f"127.0.0.1:{port}" for other, port in ports.items() if other != name}
        told = BroadcastTable(f"127.0.0.1:{ports[name]}", peers, 0.1)
        tls = authority.issue(Identity(kind, name))
        listen, service = Listen(1), Service("s")
        return Config(name, "f", listen, tls, service, Server(1e9), {}, told), told

    async def play() -> None:
        heard = Bulletins(frozenset({"b", "c"}), 1.0)
        ours = broadcast.Broadcaster(*config("a"), heard)
        theirs = broadcast.Broadcaster(*config("b"), news())
        await asyncio.gather(ours.open(), theirs.open())
        telling = asyncio.create_task(theirs.broadcast_for_ever(0.1, lambda: (2e10, 1e10, 0.5)))
        forged = broadcast.settings(*config("c", Kind.USER))
        intruder = await asyncio.to_thread(zenoh.open, zenoh.Config.from_json5(json.dumps(forged)))
        session = theirs._session
        assert session is not None
        until_s = time.monotonic() + 20
        while heard.of("b") is None and time.monotonic() < until_s:
            await asyncio.sleep(0.1)
        for number in range(30):
            session.put("isma/v1/news/c", bulletin(number=number))
            intruder.put("isma/v1/news/c", bulletin(number=number))
            await asyncio.sleep(0.1)
        assert heard.of("b") is not None
        assert heard.of("c") is None
        telling.cancel()
        await asyncio.gather(ours.close(), theirs.close(), asyncio.to_thread(intruder.close))

    asyncio.run(play())
