"""Age of F where broadcasts are lost, doubled and late: PYTHONPATH=src:tests python -m agent.ages.

Two agents' broadcasters, one link between them through a proxy of datagrams. The age of the news is looked at
every few milliseconds.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path

from agent.proxy import UdpProxy
from isma.agent.authority import TestAuthority
from isma.agent.broadcast import Broadcaster
from isma.agent.config import BroadcastTable, Config, Listen, Server, Service
from isma.agent.identity import Identity, Kind
from isma.agent.news import Bulletins
from isma.demo.hosts import free_ports
from isma.demo.summary import percentile

PERIOD_S, _LOOK_S, _MOST_WAIT_S = 0.1, 0.01, 120.0


async def ages_ms(folder: Path, loss: float, seconds: float, first: int) -> list[float]:
    """Ages of what b has heard of a, rising; empty if it has never heard anything."""
    authority = TestAuthority(folder)
    proxy = UdpProxy(first, 1, loss, twice=0.05, late_s=0.005)
    ports = {"a": first, "b": first + 1}
    through = {"a": first + 1, "b": await proxy.start()}
    names = {"a": "b", "b": "a"}

    def made(name: str) -> tuple[Broadcaster, Bulletins]:
        # Only b connects, so that all goes over the one link.
        peer = {names[name]: f"127.0.0.1:{through[name]}"}
        told = BroadcastTable(f"127.0.0.1:{ports[name]}", peer, PERIOD_S)
        tls = authority.issue(Identity(Kind.AGENT, name))
        config = Config(name, "f", Listen(1), tls, Service("s"), Server(1e9), {}, told)
        heard = Bulletins(frozenset(peer), 1.0)
        one = Broadcaster(config, told, heard)
        if name == "a":
            one._settings["connect"]["endpoints"] = []
        return one, heard

    (a, _), (b, heard) = made("a"), made("b")
    await asyncio.gather(a.open(), b.open())
    telling = asyncio.create_task(a.broadcast_for_ever(PERIOD_S, lambda: (2e10, 1e10, 0.5)))
    found: list[float] = []
    began_s = time.monotonic()
    while heard.of("a") is None and time.monotonic() - began_s < _MOST_WAIT_S:
        await asyncio.sleep(_LOOK_S)
    began_s = time.monotonic()
    while heard.of("a") is not None and time.monotonic() - began_s < seconds:
        news = heard.of("a")
        assert news is not None
        found.append(1_000 * (time.monotonic() - news.at_s))
        await asyncio.sleep(_LOOK_S)
    telling.cancel()
    await asyncio.gather(a.close(), b.close())
    proxy.end()
    await asyncio.sleep(0.1)
    return sorted(found)


def main() -> int:
    """Print a line for each loss."""
    parser = argparse.ArgumentParser(prog="python -m agent.ages", description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--losses", default="0,0.01,0.05,0.1,0.2")
    asked = parser.parse_args()
    first = free_ports()
    for number, loss in enumerate(map(float, asked.losses.split(","))):
        with tempfile.TemporaryDirectory() as folder:
            found = asyncio.run(ages_ms(Path(folder), loss, asked.seconds, first + 2 * number))
        told = {"loss": loss, "looks": len(found)}
        told |= {f"p{part}_ms": percentile(found, part) for part in (50, 99, 100)}
        print(json.dumps(told), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
