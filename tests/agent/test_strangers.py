"""Nothing happens for somebody without the right certificate, whatever is sent."""

import asyncio
import datetime
import random
import ssl
from contextlib import suppress
from pathlib import Path

import aiohttp
import msgspec
import pytest
from aiohttp import web

from agent.local import Local, local, wanted
from isma.agent import identity
from isma.agent.authority import TestAuthority
from isma.agent.config import Tls
from isma.agent.http_api import app
from isma.agent.identity import Identity, Kind
from isma.client import Client

WANTED = msgspec.json.encode(wanted("a"))
ANN = Identity(Kind.USER, "ann")


def trusted_by(cluster: Local) -> ssl.SSLContext:
    made = ssl.create_default_context(cafile=cluster.tls(*ANN).authority)
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    return made


def foreign(cluster: Local, folder: Path) -> ssl.SSLContext:
    issued = TestAuthority(folder / "foreign").issue(ANN)
    made = trusted_by(cluster)
    made.load_cert_chain(issued.certificate, issued.key)
    return made


def expired(cluster: Local, folder: Path) -> ssl.SSLContext:
    made = trusted_by(cluster)
    issued = cluster.authority.issue(ANN, -datetime.timedelta(hours=1))
    made.load_cert_chain(issued.certificate, issued.key)
    cluster.authority.issue(ANN)  # In place of the files that have been read.
    return made


def no_certificate(cluster: Local, folder: Path) -> ssl.SSLContext:
    return trusted_by(cluster)


def older_tls(cluster: Local, folder: Path) -> ssl.SSLContext:
    made = ssl.create_default_context(cafile=cluster.tls(*ANN).authority)
    made.maximum_version = ssl.TLSVersion.TLSv1_2
    issued = cluster.tls(*ANN)
    made.load_cert_chain(issued.certificate, issued.key)
    return made


async def refused(cluster: Local, tls: ssl.SSLContext, scheme: str = "https") -> None:
    place = f"{scheme}://127.0.0.1:{cluster.ports['a']}/isma/v1/contexts"
    with pytest.raises((aiohttp.ClientError, OSError)):
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls)) as session,
            session.post(
                place, data=WANTED, headers={"Idempotency-Key": "k"}, server_hostname="a.agent.isma"
            ) as answer,
        ):
            await answer.read()


async def still_serves(cluster: Local) -> None:
    assert not cluster.agents["a"].runtime.ledger.contexts
    async with cluster.client("ann") as ann:
        await ann.begin("a", wanted("a"))
        assert (await ann.task(b'{"add": 1}'))["count"] == 1


@pytest.mark.parametrize("who", [no_certificate, foreign, expired, older_tls])
def test_a_stranger_gets_nowhere(tmp_path: Path, who) -> None:
    async def play() -> None:
        async with local(tmp_path) as cluster:
            await refused(cluster, who(cluster, tmp_path))
            counted = 'isma_refused_total{why="no certificate of the authority"} 1.0'
            assert counted in cluster.agents["a"].meters.text().decode()
            await still_serves(cluster)

    asyncio.run(play())


def test_plain_http_gets_nowhere(tmp_path: Path) -> None:
    async def play() -> None:
        async with local(tmp_path) as cluster:
            await refused(cluster, trusted_by(cluster), "http")
            await still_serves(cluster)

    asyncio.run(play())


@pytest.mark.parametrize(
    "hosts", [["example.com"], ["ann.user.isma", "a.agent.isma"], ["*.user.isma"]]
)
def test_a_certificate_with_another_name_may_do_nothing(hosts: list[str]) -> None:
    names = tuple(("DNS", host) for host in hosts)
    assert identity.of_certificate({"subjectAltName": names}) is None
    assert identity.of_certificate(None) is None
    assert identity.of_certificate({"subjectAltName": (("DNS", "ann.user.isma"),)}) == ANN


def test_a_user_speaks_to_no_agent_with_another_ones_name(tmp_path: Path) -> None:
    async def play() -> None:
        async with local(tmp_path) as cluster:
            impostor = web.AppRunner(app(cluster.agents["b"]))
            await impostor.setup()
            tls = identity.context(cluster.tls(Kind.AGENT, "b"), server=True)
            site = web.TCPSite(impostor, "127.0.0.1", 0, ssl_context=tls)
            await site.start()
            port = impostor.addresses[0][1]
            issued = cluster.tls(*ANN)
            addresses = {"a": f"https://127.0.0.1:{port}"}
            async with Client("ann", addresses, issued, patience_s=0.5) as ann:
                with pytest.raises(TimeoutError):
                    await ann.begin("a", wanted("a"))
            assert not cluster.agents["b"].runtime.ledger.contexts
            await impostor.cleanup()

    asyncio.run(play())


async def _thrown(
    port: int, payload: bytes, tls: ssl.SSLContext | None, wait_s: float = 0.1
) -> bytes:
    host = None if tls is None else "a.agent.isma"
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls, server_hostname=host)
    try:
        writer.write(payload)
        writer.write_eof() if tls is None else await writer.drain()
        return await asyncio.wait_for(reader.read(4_096), wait_s)
    except (OSError, TimeoutError):
        return b""
    finally:
        writer.close()


def test_garbage_on_the_port_breaks_nothing(tmp_path: Path) -> None:
    drawn = random.Random(3)
    heads = (
        b"",
        b"POST /isma/v1/contexts HTTP/1.1\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n",
        b"\x16\x03\x01",
    )

    async def play() -> None:
        async with local(tmp_path) as cluster:
            issued: Tls = cluster.tls(*ANN)
            tls = identity.context(issued, server=False)
            for trial in range(40):
                payload = drawn.choice(heads) + drawn.randbytes(drawn.randrange(3_000))
                told = await _thrown(cluster.ports["a"], payload, tls if trial % 2 else None)
                assert not told or told.split()[1][:1] == b"4"
            long = b"GET /healthz HTTP/1.1\r\nX: " + b"a" * 100_000 + b"\r\n\r\n"
            many = b"GET /healthz HTTP/1.1\r\nHost: a\r\n" + b"X: a\r\n" * 100 + b"\r\n"
            for payload in (long, many):
                assert (await _thrown(cluster.ports["a"], payload, tls, 30)).split()[1] == b"400"
            await still_serves(cluster)

    asyncio.run(play())


def test_a_slow_sender_is_cut_off(tmp_path: Path) -> None:
    head = (
        b"POST /isma/v1/contexts HTTP/1.1\r\nHost: a\r\nIdempotency-Key: k\r\n"
        b"Content-Length: 100\r\n\r\n{"
    )

    async def play() -> None:
        async with local(tmp_path, request_s=0.2) as cluster:
            tls = identity.context(cluster.tls(*ANN), server=False)
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", cluster.ports["a"], ssl=tls, server_hostname="a.agent.isma"
            )
            writer.write(head)
            assert (await reader.read(200)).startswith(b"HTTP/1.1 408")
            writer.close()
            assert not cluster.agents["a"].runtime.ledger.contexts

    asyncio.run(play())


@pytest.mark.parametrize(
    ("sent", "with_certificate"),
    [
        (b"", False),
        (b"\x16\x03\x01", False),
        (b"", True),
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\nX", True),
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\nGET /healthz", True),
    ],
)
def test_who_trickles_headers_is_cut_off(
    tmp_path: Path, sent: bytes, with_certificate: bool
) -> None:
    async def trickle(writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"a" if with_certificate else b"")
            await asyncio.sleep(0.05)

    async def play() -> None:
        async with local(tmp_path, request_s=0.4) as cluster:
            tls = identity.context(cluster.tls(*ANN), server=False) if with_certificate else None
            host = "a.agent.isma" if tls else None
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", cluster.ports["a"], ssl=tls, server_hostname=host
            )
            writer.write(sent)
            more = asyncio.create_task(trickle(writer)) if sent else None
            with suppress(ConnectionError):
                await asyncio.wait_for(reader.read(), 60)
            if more is not None:
                more.cancel()
            writer.close()
            await still_serves(cluster)

    asyncio.run(play())


def test_connections_are_limited(tmp_path: Path) -> None:
    async def play() -> None:
        async with local(tmp_path, connections=2) as cluster:
            tls = identity.context(cluster.tls(*ANN), server=False)
            held = [
                await asyncio.open_connection(
                    "127.0.0.1", cluster.ports["a"], ssl=tls, server_hostname="a.agent.isma"
                )
                for _ in range(3)
            ]
            assert await asyncio.wait_for(held[2][0].read(), 30) == b""
            told = cluster.agents["a"].meters.text().decode()
            assert 'isma_refused_total{why="too many connections"} 1.0' in told
            for _, writer in held:
                writer.close()
            await still_serves(cluster)

    asyncio.run(play())
