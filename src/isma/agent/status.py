"""Status of a running agent, asked with its own certificate."""

from typing import Any

import aiohttp

from isma.agent.config import Config
from isma.agent.identity import Identity, Kind, context
from isma.errors import RunError


async def ask(config: Config) -> dict[str, Any]:
    """The agent's contexts and shares. Raises RunError."""
    listen = config.listen
    place = f"https://{listen.address}:{listen.port}/isma/v1/status"
    connector = aiohttp.TCPConnector(ssl=context(config.tls, server=False))
    host = Identity(Kind.AGENT, config.name).host
    try:
        async with (
            aiohttp.ClientSession(
                connector=connector, timeout=aiohttp.ClientTimeout(total=5)
            ) as session,
            session.get(place, server_hostname=host) as answer,
        ):
            if answer.status != 200:
                raise RunError(f"agent {config.name} must answer with 200, got {answer.status}")
            return await answer.json()
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise RunError(f"agent {config.name} must be running at {place}: {error}") from None
