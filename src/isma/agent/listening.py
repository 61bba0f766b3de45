"""Listening socket of an agent: TLS, timeouts, and a limit on connections.

A connection must show its certificate, and then send each request's headers, within the time of a request.
aiohttp counts that from the connection's begin or the last request's end, however slowly bytes arrive.
"""

import asyncio
import ssl
from collections.abc import Callable

from aiohttp import web

from isma.agent.config import Limits, Listen

_MOST_HEADER_BYTES, _MOST_HEADERS = 8_192, 64
_LINGER_S, _TLS_END_S = 1.0, 1.0


class _Refused(asyncio.Protocol):
    """A connection above the limit."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Close it."""
        assert isinstance(transport, asyncio.Transport)
        transport.abort()


def runner(application: web.Application, limits: Limits) -> web.AppRunner:
    """Server of an application, with limits on a connection's requests."""
    return web.AppRunner(
        application,
        max_line_size=_MOST_HEADER_BYTES,
        max_field_size=_MOST_HEADER_BYTES,
        max_headers=_MOST_HEADERS,
        keepalive_timeout=limits.request_s,
        lingering_time=_LINGER_S,
    )


async def listen(
    running: web.AppRunner,
    place: Listen,
    tls: ssl.SSLContext,
    limits: Limits,
    refused: Callable[[], None],
) -> asyncio.Server:
    """Accept connections up to the limit. Raises OSError."""
    server = running.server
    assert server is not None

    def connected() -> asyncio.Protocol:
        if len(server.connections) < limits.connections:
            return server()
        refused()
        return _Refused()

    return await asyncio.get_running_loop().create_server(
        connected,
        place.address,
        place.port,
        ssl=tls,
        ssl_handshake_timeout=limits.request_s,
        ssl_shutdown_timeout=_TLS_END_S,
    )
