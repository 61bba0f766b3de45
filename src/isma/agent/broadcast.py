"""Broadcasts from agent to agent over zenoh: peers on QUIC with mutual TLS, no broker, the newest wins.

An agent's bulletins are taken only under its own key and only over a connection whose certificate bears
its name: zenoh's access list, with all that is not allowed denied.
"""

import asyncio
import json
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
import zenoh

from isma.agent.config import BroadcastTable, Config
from isma.agent.identity import Identity, Kind
from isma.agent.news import Bulletin, Bulletins

_KEYS = "isma/v1/news"


class Broadcaster:
    """One agent's session; `open` waits in a thread of its own, for zenoh takes its time."""

    def __init__(self, config: Config, broadcast: BroadcastTable, news: Bulletins) -> None:
        self._name, self._news = config.name, news
        self._settings = settings(config, broadcast)
        self._boot, self._number = time.time_ns(), 0
        self._session: zenoh.Session | None = None
        self._publisher: zenoh.Publisher | None = None

    async def open(self) -> None:
        """Connect to the other agents, and retry those that are not up yet."""
        loop = asyncio.get_running_loop()

        def receive(sample: zenoh.Sample) -> None:  # In one of zenoh's threads.
            name = str(sample.key_expr).rpartition("/")[2]
            payload = bytes(sample.payload)
            loop.call_soon_threadsafe(self._news.take, name, payload, time.monotonic())

        self._session = await asyncio.to_thread(
            zenoh.open, zenoh.Config.from_json5(json.dumps(self._settings))
        )
        self._session.declare_subscriber(f"{_KEYS}/*", receive)
        self._publisher = self._session.declare_publisher(
            f"{_KEYS}/{self._name}",
            congestion_control=zenoh.CongestionControl.DROP,
            reliability=zenoh.Reliability.BEST_EFFORT,
        )

    async def broadcast_for_ever(
        self, period_s: float, values: Callable[[], tuple[float, ...]]
    ) -> None:
        """Publish (server_hz, remaining_hz, price_s) in every period."""
        while self._publisher is None:
            await asyncio.sleep(0.05)
        while True:
            self._number += 1
            bulletin = Bulletin(self._boot, self._number, *values())
            self._publisher.put(msgspec.json.encode(bulletin))
            await asyncio.sleep(period_s)

    async def close(self) -> None:
        """Close the session."""
        if self._session is None:
            return
        with suppress(zenoh.ZError):  # It waits for peers that are gone, and gives up.
            await asyncio.to_thread(self._session.close)  # pyright: ignore[reportArgumentType]


def settings(config: Config, broadcast: BroadcastTable) -> dict[str, Any]:
    """The settings of a zenoh session."""
    peers = sorted(broadcast.peers)
    tls = config.tls
    own = {"id": "own", "flows": ["egress"], "messages": ["put"]}
    news = [
        {
            "id": f"news-{name}",
            "flows": ["ingress"],
            "messages": ["put"],
            "key_exprs": [f"{_KEYS}/{name}"],
        }
        for name in peers
    ]
    listen = {
        "id": "listen",
        "flows": ["ingress", "egress"],
        "messages": ["declare_subscriber"],
        "key_exprs": [f"{_KEYS}/**"],
    }
    rules = [*news, {**own, "key_exprs": [f"{_KEYS}/{config.name}"]}, listen]
    return {
        "mode": "peer",
        "listen": {"endpoints": [_endpoint(broadcast.listen)]},
        "connect": {
            "endpoints": [_endpoint(place) for place in broadcast.peers.values()],
            "timeout_ms": 0,
            "exit_on_failure": False,
        },
        "scouting": {"multicast": {"enabled": False}, "gossip": {"enabled": False}},
        "transport": {
            "link": {
                "tls": {
                    "root_ca_certificate": tls.authority,
                    "enable_mtls": True,
                    "verify_name_on_connect": False,  # The access list looks at the name.
                    "listen_certificate": tls.certificate,
                    "listen_private_key": tls.key,
                    "connect_certificate": tls.certificate,
                    "connect_private_key": tls.key,
                }
            }
        },
        "access_control": {
            "enabled": True,
            "default_permission": "deny",
            "rules": [{"permission": "allow", **rule} for rule in rules],
            "subjects": [
                {"id": name, "cert_common_names": [Identity(Kind.AGENT, name).host]}
                for name in peers
            ],
            "policies": [
                *({"rules": [f"news-{name}"], "subjects": [name]} for name in peers),
                {"rules": ["own", "listen"], "subjects": peers},
            ],
        },
    }


def _endpoint(place: str) -> str:
    """Best effort and reliable on one link: where the newest replaces the rest, late is worse than lost."""
    return f"quic/{place}?mixed_rel=1"
