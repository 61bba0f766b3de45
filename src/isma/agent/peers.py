"""Messages of an agent to the others, and before a snapshot's message its bytes."""

from collections.abc import AsyncIterator, Mapping
from typing import Annotated

import aiohttp
import msgspec

from isma.agent import tracing
from isma.agent.config import Config
from isma.agent.identity import Identity, Kind, context
from isma.agent.ownership.vocabulary import Message, Snapshot

_PIECE_BYTES = 2**18


ContextName = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]{1,80}(?!\n)$")]
"""Names of contexts become names of files and of control groups."""


class Envelope(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A message on the wire; its sender is the identity of the certificate."""

    context: ContextName
    message: Message


class PeerError(Exception):
    """Another agent did not take something: it is as good as lost."""


class Peers:
    """Connections to the other agents; a name is proved before anything is said."""

    def __init__(self, config: Config) -> None:
        self._addresses: Mapping[str, str] = config.peers
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                ssl=context(config.tls, server=False), limit_per_host=32
            ),
            timeout=aiohttp.ClientTimeout(total=config.limits.request_s),
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    def address(self, name: str) -> str | None:
        """Where an agent is, if it is one of the config's."""
        return self._addresses.get(name)

    async def send(self, to: str, about: str, message: Message, payload: bytes | None) -> None:
        """Send a message once; a snapshot's bytes are sent before it. Raises PeerError."""
        if isinstance(message, Snapshot):
            if payload is None:
                raise PeerError("the snapshot is no longer there")
            place = f"/isma/v1/handover/{about}/{message.epoch}/{message.attempt}"
            await self._upload(to, place, memoryview(payload))
        body = msgspec.json.encode(Envelope(about, message))
        await self._ask(to, "POST", "/isma/v1/handover", body)

    async def send_baseline(
        self, to: str, about: str, attempt: tuple[int, int], name: str, baseline: bytes
    ) -> None:
        """Have a baseline at the target's service before the one here stops. Raises PeerError."""
        place = f"/isma/v1/handover/{about}/{attempt[0]}/{attempt[1]}/baselines/{name}"
        size = {"Content-Length": str(len(baseline))}
        await self._ask(to, "PUT", place, _pieces(memoryview(baseline)), size)

    async def _upload(self, to: str, place: str, payload: memoryview) -> None:
        """Resume an upload.

        A target that takes no bytes is sent the message nevertheless: it answers why.
        """
        _, received = await self._ask(to, "GET", place, b"")
        offset = int(received or 0)
        if offset < len(payload):
            rest = payload[offset:]
            size = {"Content-Length": str(len(rest))}
            await self._ask(to, "PUT", f"{place}?offset={offset}", _pieces(rest), size, (409,))

    async def _ask(
        self,
        to: str,
        method: str,
        path: str,
        body: bytes | AsyncIterator[memoryview],
        headers: Mapping[str, str] | None = None,
        taken: tuple[int, ...] = (),
    ) -> tuple[int, bytes]:
        address = self._addresses.get(to)
        if address is None:
            raise PeerError(f"{to} is not one of the peers")
        host = Identity(Kind.AGENT, to).host
        try:
            async with self._session.request(
                method,
                address + path,
                data=body,
                headers={**tracing.headers(), **(headers or {})},
                server_hostname=host,
            ) as answer:
                content = await answer.content.read(64)
                if answer.status >= 300 and answer.status not in taken:
                    raise PeerError(f"{to} answers {answer.status}")
                return answer.status, content
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise PeerError(f"{to} does not answer: {error}") from error


async def _pieces(rest: memoryview) -> AsyncIterator[memoryview]:
    for start in range(0, len(rest), _PIECE_BYTES):
        yield rest[start : start + _PIECE_BYTES]
