"""Incoming snapshots: bytes that arrive in pieces, and count only once they are whole."""

from pathlib import Path

import msgspec

from isma.agent.migrator import Capture
from isma.storage import digest

_SIZE_BYTES = 4


class _Head(msgspec.Struct, frozen=True):
    about: msgspec.Raw
    baseline: str = ""


def packed(about: bytes, snapshot: Capture) -> bytes:
    """A snapshot on the wire, with the agents' data of its context."""
    head = msgspec.json.encode(_Head(msgspec.Raw(about or b"null"), snapshot.baseline))
    return b"".join((len(head).to_bytes(_SIZE_BYTES), head, snapshot.body))


def unpacked(payload: bytes) -> tuple[bytes, Capture]:
    """Parts of a received snapshot. Raises msgspec.DecodeError."""
    ends = _SIZE_BYTES + int.from_bytes(payload[:_SIZE_BYTES])
    head = msgspec.json.decode(payload[_SIZE_BYTES:ends], type=_Head)
    about = bytes(head.about)
    return b"" if about == b"null" else about, Capture(payload[ends:], head.baseline)


class Spool:
    """Files of one folder, by context, epoch and attempt."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._folder, self._most_bytes = folder, most_bytes
        folder.mkdir(parents=True, exist_ok=True)

    def _path(self, context: str, epoch: int, attempt: int) -> Path:
        return self._folder / f"{context}.{epoch}.{attempt}"

    def size(self, context: str, epoch: int, attempt: int) -> int:
        """Number of bytes that have arrived."""
        path = self._path(context, epoch, attempt)
        return path.stat().st_size if path.exists() else 0

    def add(self, context: str, epoch: int, attempt: int, offset: int, chunk: bytes) -> bool:
        """Take the piece that comes next; False for any other, or too many bytes. Raises OSError."""
        size = self.size(context, epoch, attempt)
        if offset != size or size + len(chunk) > self._most_bytes:
            return False
        with self._path(context, epoch, attempt).open("ab") as file:
            file.write(chunk)
        return True

    def whole(self, context: str, epoch: int, attempt: int, wanted: str) -> bytes | None:
        """The whole snapshot, if it has the digest; else it is removed, to be sent again."""
        path = self._path(context, epoch, attempt)
        if not path.exists():
            return None
        content = path.read_bytes()
        if digest(content) == wanted:
            return content
        path.unlink()
        return None

    def forget(self, context: str) -> None:
        """Remove a context's bytes."""
        for path in self._folder.glob(f"{context}.*"):
            path.unlink(missing_ok=True)
