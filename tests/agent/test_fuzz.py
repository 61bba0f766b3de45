"""What its OpenAPI document allows and forbids, and raw garbage, on every port of an agent's process.

Needs schemathesis, which is no part of the extras: pip install schemathesis.
"""

import asyncio
import json
import random
import socket
from pathlib import Path
from typing import Any

import aiohttp
import hypothesis
import pytest
import yarl

from isma.agent import identity
from isma.agent.identity import Identity, Kind
from isma.agent.init import write
from isma.agent.openapi import document
from isma.demo.hosts import Hosts

pytestmark = pytest.mark.slow
EXAMPLES = 15
MOST_GROWTH_BYTES = 24 * 2**20
REFUSALS = ("full", "moving", "unavailable")
"""Kinds of 503 that are answers."""


def cases() -> list[Any]:
    """Requests drawn from the document, right ones and wrong ones, as method, URL, headers and body."""
    schemathesis = pytest.importorskip("schemathesis")
    requests = pytest.importorskip("requests")
    schema = schemathesis.openapi.from_dict(json.loads(json.dumps(document())))
    found: list[Any] = []
    for operation in schema.get_all_operations():
        for mode in schemathesis.GenerationMode:
            strategy = operation.ok().as_strategy(generation_mode=mode)

            @hypothesis.settings(
                max_examples=EXAMPLES,
                database=None,
                deadline=None,
                derandomize=True,
                suppress_health_check=list(hypothesis.HealthCheck),
                phases=[hypothesis.Phase.generate],
            )
            @hypothesis.given(strategy)
            def collect(case: Any) -> None:
                told = case.as_transport_kwargs(base_url="https://a")
                parts = ("method", "url", "headers", "params", "json", "data")
                ready = requests.Request(**{k: told[k] for k in parts if k in told}).prepare()
                found.append((ready.method, ready.url, dict(ready.headers), ready.body))

            try:
                collect()
            except hypothesis.errors.Unsatisfiable:
                continue  # Nothing can be wrong with a place that takes nothing.
    return found


def resident_bytes(process: int) -> int:
    text = Path(f"/proc/{process}/status").read_text()
    (line,) = [line for line in text.splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) * 1024


async def send(session: aiohttp.ClientSession, hosts: Hosts, case: Any) -> tuple[int, str]:
    """Status of an answer, and the kind of its problem."""
    method, url, headers, body = case
    place = yarl.URL(hosts.address("a") + url.removeprefix("https://a"), encoded=True)
    skipped = ("content-length", "connection", "accept-encoding", "user-agent", "transfer-encoding")
    kept = {name: value for name, value in headers.items() if name.lower() not in skipped}
    async with session.request(
        method, place, headers=kept, data=body, server_hostname="a.agent.isma"
    ) as answer:
        if answer.content_type == "text/event-stream":
            return answer.status, ""
        content = await answer.read()
        if answer.status < 400:
            return answer.status, ""
        try:
            return answer.status, str(json.loads(content)["type"]).rpartition(":")[2]
        except (ValueError, KeyError):  # Not HTTP enough for the agent to have seen it.
            return answer.status, ""


async def garbage(ports: list[tuple[socket.SocketKind, int]], drawn: random.Random) -> None:
    heads = (b"", b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/1.1\r\n", b"\xc0\x00\x00\x00\x01\x08")
    for kind, port in ports:
        with socket.socket(socket.AF_INET, kind) as sock:
            sock.setblocking(False)
            payload = drawn.choice(heads) + drawn.randbytes(drawn.randrange(1_200))
            loop = asyncio.get_running_loop()
            await loop.sock_connect(sock, ("127.0.0.1", port))
            try:
                await loop.sock_sendall(sock, payload)
            except OSError:
                continue


def test_nothing_that_is_sent_is_an_error_or_stays(tmp_path: Path) -> None:
    sent = cases()
    drawn = random.Random(1)
    drawn.shuffle(sent)
    hosts = Hosts(tmp_path / "edge")
    write(tmp_path / "edge", ["a", "b"], hosts.first_port, ["ann"], authority=True)
    config = tmp_path / "edge/a.toml"
    limits = "\n[limits]\ncontexts = 50\nrequests_per_s = 100000.0\nrequest_s = 2.0\n"
    config.write_text(config.read_text() + limits)
    port = hosts.first_port
    ports = [(socket.SOCK_STREAM, port), (socket.SOCK_DGRAM, port)]
    who = [Identity(Kind.USER, "ann"), Identity(Kind.AGENT, "b")]

    async def play() -> tuple[list[Any], int, int]:
        await hosts.start(["a"])
        process = hosts._processes["a"].pid
        wrong, sizes = list[Any](), list[int]()
        try:
            tls = [identity.context(hosts.tls(one), server=False) for one in who]
            for _ in range(3):
                sessions = [
                    aiohttp.ClientSession(
                        connector=aiohttp.TCPConnector(ssl=one), auto_decompress=False
                    )
                    for one in tls
                ]
                for number, case in enumerate(sent):
                    try:
                        status, kind = await send(sessions[number % 2], hosts, case)
                    except (aiohttp.ClientError, TimeoutError, ValueError):
                        continue  # The connection was ended, or the client would not send it.
                    is_unready = case[1].endswith("/readyz")  # Rightly: b is not there.
                    if status >= 500 and kind not in REFUSALS and not is_unready:
                        wrong.append((status, kind, case))
                    await garbage(ports, drawn)
                for session in sessions:
                    await session.close()
                sizes.append(resident_bytes(process))
            await hosts.answers("a")
            return wrong, sizes[1], sizes[2]
        finally:
            await hosts.end()

    wrong, before, after = asyncio.run(play())
    assert not wrong, wrong[:3]
    log = (tmp_path / "edge/a.log").read_text()
    assert "Traceback" not in log
    print(f"{len(sent)} requests, three times; {(after - before) / 2**20:.1f} MiB in the last time")
    assert after - before < MOST_GROWTH_BYTES
