"""Journal: the agent's state on its disk, one record a context, written before any effect of a change.

A record carries its digest, the table the sum of all digests and the number of its last change. That
number is also in a second file, written after the table: a table that is behind that file has lost
changes that others may know of, and is refused. That file is not synced: it only detects a loss, and
recovery reads the table alone.
"""

import os
import sqlite3
import struct
from concurrent.futures import Future, ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import msgspec
from filelock import FileLock, Timeout

from isma.agent.ownership.vocabulary import State
from isma.errors import RunError

_TABLES = """
CREATE TABLE IF NOT EXISTS contexts (name TEXT PRIMARY KEY, state BLOB, about BLOB, digest BLOB) STRICT;
CREATE TABLE IF NOT EXISTS changes (one INTEGER PRIMARY KEY CHECK (one = 1), number INTEGER, sum BLOB) STRICT;
"""
_SIZE, _HEAD = 16, struct.Struct(">8sQ16s")
_MARK = b"isma-jnl"
_WAY_OUT = (
    "put the folder back from where it was whole, or give the agent a new name and an empty folder"
)


class Record(NamedTuple):
    """A context as it was last written."""

    state: State
    about: bytes
    """Data that travels with the context, apart from its ownership."""


class JournalFullError(Exception):
    """Nothing was written, since the disk is full or fails; the request had no effect."""


class Journal:
    """A folder's journal, for this process alone. Raises RunError where it is damaged or in use."""

    def __init__(self, folder: Path) -> None:
        self._syncer = ThreadPoolExecutor(1, "journal")
        self._sync: Future[None] | None = None
        self._path, self._head_path = folder / "journal.sqlite", folder / "journal.head"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(folder / ".lock", blocking=False)
            self._lock.acquire()
        except Timeout:
            raise RunError(f"{folder} is in use by another agent: end that one first") from None
        except OSError as error:
            raise RunError(f"{folder}: cannot be used: {error.strerror or error}") from None
        try:
            self._open()
        except BaseException:
            self._lock.release()
            raise

    def _open(self) -> None:
        is_new = not self._path.exists()
        if is_new and self._head_path.exists():
            raise RunError(f"{self._path} must be beside its journal.head, and is gone: {_WAY_OUT}")
        try:
            self._base = sqlite3.connect(self._path, isolation_level=None)
            self._base.execute("PRAGMA journal_mode = WAL")
            self._base.execute("PRAGMA synchronous = FULL")
            self._base.executescript(_TABLES)
            self._digests, self._number, self._sum = self._checked()
        except sqlite3.DatabaseError as error:
            raise RunError(f"{self._path} is damaged ({error}): {_WAY_OUT}") from None
        head = self._head()
        if head is not None and head > self._number:
            raise RunError(
                f"{self._path} must hold change {head}, and ends with {self._number}: it has lost what "
                f"others may know of; {_WAY_OUT}"
            )
        if head is None and self._number:
            raise RunError(f"{self._head_path} must be beside its journal, and is gone: {_WAY_OUT}")
        self._head_file = os.open(self._head_path, os.O_RDWR | os.O_CREAT, 0o644)
        self._write_head()
        _sync_folder(self._path.parent)

    def _checked(self) -> tuple[dict[str, bytes], int, int]:
        row = self._base.execute("SELECT number, sum FROM changes").fetchone()
        number, seal = (0, bytes(_SIZE)) if row is None else row
        digests, total = {}, 0
        for name, state, about, digest in self._base.execute("SELECT * FROM contexts"):
            if _digest(name, state, about) != digest:
                raise RunError(f"{self._path}: the record of {name!r} is damaged: {_WAY_OUT}")
            digests[name] = digest
            total ^= int.from_bytes(digest)
        if seal != _sealed(number, total):
            raise RunError(f"{self._path}: records are missing or not its own: {_WAY_OUT}")
        return digests, number, total

    def _head(self) -> int | None:
        try:
            content = self._head_path.read_bytes()
        except FileNotFoundError:
            return None
        mark, number, digest = (
            _HEAD.unpack(content) if len(content) == _HEAD.size else (b"", 0, b"")
        )
        if mark != _MARK or digest != _digest("head", str(number).encode(), b""):
            raise RunError(f"{self._head_path} is damaged: {_WAY_OUT}")
        return number

    def _write_head(self) -> None:
        digest = _digest("head", str(self._number).encode(), b"")
        os.pwrite(self._head_file, _HEAD.pack(_MARK, self._number, digest), 0)
        if self._sync is None or self._sync.done():
            self._sync = self._syncer.submit(os.fdatasync, self._head_file)

    def records(self) -> dict[str, Record]:
        """All contexts, as they were last written."""
        rows = self._base.execute("SELECT name, state, about FROM contexts")
        return {
            name: Record(msgspec.json.decode(state, type=State), about)
            for name, state, about in rows
        }

    def write(self, context: str, state: State, about: bytes) -> None:
        """Put a context's record on the disk.

        Raises JournalFullError, and then nothing has changed. An error after the record is on the disk
        is raised unchanged: the process has to be restarted.
        """
        encoded = msgspec.json.encode(state)
        digest = _digest(context, encoded, about)
        before = int.from_bytes(self._digests.get(context, b""))
        total, number = self._sum ^ before ^ int.from_bytes(digest), self._number + 1
        try:
            self._base.execute("BEGIN IMMEDIATE")
            row = (context, encoded, about, digest)
            self._base.execute("INSERT OR REPLACE INTO contexts VALUES (?, ?, ?, ?)", row)
            change = (number, _sealed(number, total))
            self._base.execute("INSERT OR REPLACE INTO changes VALUES (1, ?, ?)", change)
            self._base.execute("COMMIT")
        except sqlite3.Error as error:
            if self._base.in_transaction:
                self._base.execute("ROLLBACK")
            raise JournalFullError(str(error)) from error
        self._digests[context], self._sum, self._number = digest, total, number
        self._write_head()

    def close(self) -> None:
        """Release the folder for another process."""
        self._base.close()
        self._syncer.shutdown()
        os.close(self._head_file)
        self._lock.release()


def _digest(name: str, state: bytes, about: bytes) -> bytes:
    parts = (name.encode(), state, about)
    return blake2b(
        b"".join(len(part).to_bytes(8) + part for part in parts), digest_size=_SIZE
    ).digest()


def _sealed(number: int, total: int) -> bytes:
    if not number:
        return bytes(_SIZE)
    return _digest("changes", number.to_bytes(8), total.to_bytes(_SIZE))


def _sync_folder(folder: Path) -> None:
    """Sync a folder, so that new names in it are durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
