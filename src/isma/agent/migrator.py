"""How a service's state leaves a host and comes to another: the interface, and the default."""

from abc import ABC, abstractmethod

import aiohttp
import msgspec

from isma.agent import tracing
from isma.agent.ownership.vocabulary import Begin, Retire, Run, Thaw

_BUFFER_BYTES = 2**20
Call = Begin | Run | Thaw | Retire


class ServiceError(Exception):
    """The service did not answer, or not as it must."""


class Migrator(ABC):
    """Calls of the agent to a service; each may come twice and late (isma.agent.ownership.fence).

    All raise ServiceError where there is no answer; what is answered is on the service's disk.
    """

    @abstractmethod
    async def call(self, context: str, call: Call) -> None:
        """Begin, run, go on or retire, as the fence allows."""

    @abstractmethod
    async def freeze(self, context: str, epoch: int, attempt: int) -> bytes | None:
        """Stop and give the snapshot; None if that attempt is over."""

    @abstractmethod
    async def park(self, context: str, epoch: int, attempt: int, snapshot: bytes) -> bool:
        """Keep a snapshot beside what runs; False if a later one is there."""

    @abstractmethod
    async def task(self, context: str, epoch: int, key: str, body: bytes) -> tuple[int, bytes]:
        """Carry a request out once for its key: HTTP status and body; 409 if the epoch is not its own."""


class SnapshotMigrator(Migrator):
    """The service hands over a snapshot at its own endpoint, on a Unix socket (docs/agent/service.md)."""

    def __init__(self, socket: str, most_bytes: int, timeout_s: float) -> None:
        self._most_bytes = most_bytes
        self._session = aiohttp.ClientSession(
            "http://service",
            connector=aiohttp.UnixConnector(socket, limit=256),
            timeout=aiohttp.ClientTimeout(total=timeout_s),
            read_bufsize=_BUFFER_BYTES,
        )

    async def close(self) -> None:
        """Close its connections."""
        await self._session.close()

    async def _ask(
        self, method: str, path: str, body: bytes, headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        carried = {**tracing.headers(), **(headers or {})}
        try:
            async with self._session.request(method, path, data=body, headers=carried) as answer:
                pieces, size = list[bytes](), 0
                async for piece in answer.content.iter_any():
                    pieces.append(piece)
                    size += len(piece)
                    if size > self._most_bytes:
                        raise ServiceError(
                            f"the service's answer must be at most {self._most_bytes} bytes"
                        )
                return answer.status, b"".join(pieces)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ServiceError(f"the service does not answer: {error}") from error

    async def call(self, context: str, call: Call) -> None:
        """Begin, run, go on or retire."""
        status, _ = await self._ask("POST", f"/contexts/{context}/calls", msgspec.json.encode(call))
        if status != 204:
            raise ServiceError(f"the service must answer a call with 204, got {status}")

    async def freeze(self, context: str, epoch: int, attempt: int) -> bytes | None:
        """Stop and give the snapshot."""
        path = f"/contexts/{context}/snapshots/{epoch}/{attempt}"
        status, content = await self._ask("POST", path, b"")
        if status not in (200, 409):
            raise ServiceError(f"the service must answer a freeze with 200 or 409, got {status}")
        return content if status == 200 else None

    async def park(self, context: str, epoch: int, attempt: int, snapshot: bytes) -> bool:
        """Keep a snapshot beside what runs."""
        path = f"/contexts/{context}/snapshots/{epoch}/{attempt}"
        status, _ = await self._ask("PUT", path, snapshot)
        if status not in (204, 409):
            raise ServiceError(f"the service must answer a snapshot with 204 or 409, got {status}")
        return status == 204

    async def task(self, context: str, epoch: int, key: str, body: bytes) -> tuple[int, bytes]:
        """Carry a request out."""
        headers = {"x-isma-epoch": str(epoch), "idempotency-key": key}
        return await self._ask("POST", f"/contexts/{context}/tasks", body, headers)
