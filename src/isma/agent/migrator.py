"""Transfer of a service's state from host to host: the interface, and the default."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import aiohttp
import msgspec

from isma.agent import tracing
from isma.agent.ownership.vocabulary import Begin, Retire, Run, Thaw

_BUFFER_BYTES = 2**20
Call = Begin | Run | Thaw | Retire


BASELINE = "x-isma-baseline"
"""Header with the SHA-256 of the baseline to which a snapshot's bytes are a delta."""


class ServiceError(Exception):
    """The service did not answer, or violated its interface."""


class BaselineGoneError(ServiceError):
    """The service does not have the baseline that a delta needs."""


class Capture(NamedTuple):
    """Snapshot of a stopped service: the whole state, or a delta to a baseline."""

    body: bytes
    baseline: str = ""
    """SHA-256 of the baseline; empty for the whole state."""


class Migrator(ABC):
    """Calls of the agent to a service; each may be late or duplicated (isma.agent.ownership.fence).

    All raise ServiceError where there is no answer; an acknowledged change is on the service's disk.
    """

    @abstractmethod
    async def call(self, context: str, call: Call) -> None:
        """Begin, run, thaw or retire, as the fence allows."""

    async def baseline(self, context: str) -> bytes | None:
        """A copy made while the service runs, to which a snapshot may be a delta; None: there is none."""
        return None

    async def keep(self, context: str, name: str, baseline: bytes) -> None:
        """Store another host's baseline on the disk, under its SHA-256."""
        raise ServiceError("baselines are not kept")

    @abstractmethod
    async def freeze(
        self, context: str, epoch: int, attempt: int, baseline: str = ""
    ) -> Capture | None:
        """Stop, and return the snapshot, a delta to the target's `baseline`; None if that attempt is over."""

    @abstractmethod
    async def park(self, context: str, epoch: int, attempt: int, snapshot: Capture) -> bool:
        """Stage a snapshot; False if a later one is staged. Raises BaselineGoneError."""

    @abstractmethod
    async def task(self, context: str, epoch: int, key: str, body: bytes) -> tuple[int, bytes]:
        """Carry a request out once for its idempotency key: HTTP status and body; 409 for another epoch."""


class _Answer(NamedTuple):
    """Answer of a service."""

    status: int
    body: bytes
    baseline: str


class SnapshotMigrator(Migrator):
    """Migrator for a service with snapshot endpoints on a Unix socket (docs/agent/service.md)."""

    def __init__(self, socket: str, most_bytes: int, timeout_s: float) -> None:
        self._most_bytes = most_bytes
        self._offers_baselines = True
        """Whether baselines are used: until the service answers that it has no such endpoint."""
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
    ) -> _Answer:
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
                baseline = answer.headers.get(BASELINE, "")
                return _Answer(answer.status, b"".join(pieces), baseline)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ServiceError(f"the service does not answer: {error}") from error

    async def call(self, context: str, call: Call) -> None:
        """Begin, run, thaw or retire."""
        answer = await self._ask("POST", f"/contexts/{context}/calls", msgspec.json.encode(call))
        if answer.status != 204:
            raise ServiceError(f"the service must answer a call with 204, got {answer.status}")

    async def baseline(self, context: str) -> bytes | None:
        """Copy made while the service runs."""
        if not self._offers_baselines:
            return None
        status, content, _ = await self._ask("GET", f"/contexts/{context}/baselines", b"")
        self._offers_baselines = status in (200, 409)
        return content if status == 200 else None

    async def keep(self, context: str, name: str, baseline: bytes) -> None:
        """Store a baseline on the disk."""
        status, _, _ = await self._ask("PUT", f"/contexts/{context}/baselines/{name}", baseline)
        if status != 204:
            raise ServiceError(f"the service must answer a baseline with 204, got {status}")

    async def freeze(
        self, context: str, epoch: int, attempt: int, baseline: str = ""
    ) -> Capture | None:
        """Stop, and return the snapshot."""
        path = f"/contexts/{context}/snapshots/{epoch}/{attempt}"
        answer = await self._ask("POST", path, b"", {BASELINE: baseline} if baseline else {})
        if answer.status not in (200, 409):
            raise ServiceError(
                f"the service must answer a freeze with 200 or 409, got {answer.status}"
            )
        if answer.baseline not in ("", baseline):
            raise ServiceError("the service must give a delta to the baseline that was named")
        return Capture(answer.body, answer.baseline) if answer.status == 200 else None

    async def park(self, context: str, epoch: int, attempt: int, snapshot: Capture) -> bool:
        """Stage a snapshot."""
        path = f"/contexts/{context}/snapshots/{epoch}/{attempt}"
        headers = {BASELINE: snapshot.baseline} if snapshot.baseline else {}
        status, _, _ = await self._ask("PUT", path, snapshot.body, headers)
        if status == 412:
            raise BaselineGoneError("the service does not have the snapshot's baseline")
        if status not in (204, 409):
            raise ServiceError(f"the service must answer a snapshot with 204 or 409, got {status}")
        return status == 204

    async def task(self, context: str, epoch: int, key: str, body: bytes) -> tuple[int, bytes]:
        """Carry a request out."""
        headers = {"x-isma-epoch": str(epoch), "idempotency-key": key}
        answer = await self._ask("POST", f"/contexts/{context}/tasks", body, headers)
        return answer.status, answer.body
