"""A stateful example service, for tests of migration: a counter that adds the numbers that it is sent.

    python -m isma.agent.counter --socket counter.sock --folder state/counter

It implements docs/agent/service.md. Every change is on the disk before it is answered. With --state-bytes
each new context has that many random bytes in addition to its count, which travel with it: a state to
measure with. They do not change, and are offered as a baseline, so that a snapshot is the count alone.
"""

import argparse
import asyncio
import os
import sqlite3
from pathlib import Path

import msgspec
from aiohttp import web

from isma.agent.migrator import BASELINE
from isma.agent.ownership import fence
from isma.agent.ownership.vocabulary import Begin, Retire, Run, Thaw
from isma.storage import digest, write_atomically

_KEPT = 1_000
"""Outcomes of a context that are remembered for duplicates."""
_MOST_BYTES = 64 * 2**20
_SIZE_BYTES = 4


class Counter(msgspec.Struct, frozen=True):
    """Context that travels: the sum, and the outcomes of the latest requests by their idempotency keys."""

    count: int = 0
    outcomes: dict[str, int] = {}
    ballast: str = ""
    """Digest of its random bytes, if it has any."""


def added(counter: Counter, key: str, by: int) -> tuple[Counter, int]:
    """Add once for a key; a duplicate has the outcome of the first."""
    if key in counter.outcomes:
        return counter, counter.outcomes[key]
    count = counter.count + by
    kept = list(counter.outcomes.items())[-_KEPT + 1 :]
    return Counter(count, dict([*kept, (key, count)]), counter.ballast), count


Call = Begin | Run | Thaw | Retire
_COPY = fence.Copy[Counter]


class Store:
    """Copies of contexts on the disk, with their random bytes in files of their own."""

    def __init__(self, folder: Path, state_bytes: int = 0) -> None:
        self._ballast, self._state_bytes = folder / "ballast", state_bytes
        self._ballast.mkdir(parents=True, exist_ok=True)
        self._base = sqlite3.connect(folder / "counter.sqlite", isolation_level=None)
        self._base.execute("PRAGMA journal_mode = WAL")
        self._base.execute("PRAGMA synchronous = FULL")
        self._base.execute("CREATE TABLE IF NOT EXISTS copies (name TEXT PRIMARY KEY, copy BLOB)")
        rows = self._base.execute("SELECT name, copy FROM copies")
        self._baselines: dict[str, str] = {}
        """Random bytes that have arrived before each context's snapshot."""
        self._copies = {name: msgspec.json.decode(copy, type=_COPY) for name, copy in rows}

    def get(self, context: str) -> fence.Copy[Counter]:
        """The copy of a context, which may be absent."""
        return self._copies.get(context, fence.Copy())

    def put(self, context: str, copy: fence.Copy[Counter]) -> None:
        """Write a copy, if it differs."""
        old = self._copies.get(context)
        if copy == old:
            return
        row = (context, msgspec.json.encode(copy))
        self._base.execute("INSERT OR REPLACE INTO copies VALUES (?, ?)", row)
        self._copies[context] = copy
        self._forget(_ballasts(old) - _ballasts(copy))

    def _forget(self, names: set[str]) -> None:
        for name in names - set(self._baselines.values()):
            if not any(name in _ballasts(one) for one in self._copies.values()):
                (self._ballast / name).unlink(missing_ok=True)

    def set_baseline(self, context: str, name: str) -> None:
        """Accept random bytes before their snapshot, in place of earlier ones."""
        old = self._baselines.get(context)
        self._baselines[context] = name
        self._forget({old} - {name, None})  # pyright: ignore[reportArgumentType]

    def has(self, name: str) -> bool:
        """Whether random bytes of that digest are on the disk."""
        return not name or (self._ballast / name).exists()

    def new(self) -> Counter:
        """A new context's counter."""
        return Counter(ballast=self.keep(os.urandom(self._state_bytes)))

    def keep(self, content: bytes) -> str:
        """Write random bytes to the disk; their digest."""
        if not content:
            return ""
        name = digest(content)
        if not (self._ballast / name).exists():
            write_atomically(self._ballast / name, content)
        return name

    def ballast(self, name: str) -> bytes:
        """Random bytes by their digest."""
        return (self._ballast / name).read_bytes() if name else b""


def _ballasts(copy: fence.Copy[Counter] | None) -> set[str]:
    if copy is None:
        return set()
    bodies = (copy.body, copy.parked.body if copy.parked else None)
    return {body.ballast for body in bodies if body is not None and body.ballast}


STORE = web.AppKey("store", Store)


def app(folder: Path, state_bytes: int = 0, offers_baselines: bool = True) -> web.Application:
    """The service's endpoints; without baselines a snapshot is always all of the state."""
    made = web.Application(client_max_size=_MOST_BYTES)
    made[STORE] = Store(folder, state_bytes)
    made.router.add_post("/contexts/{context}/calls", _call)
    made.router.add_post("/contexts/{context}/snapshots/{epoch:\\d+}/{attempt:\\d+}", _freeze)
    made.router.add_put("/contexts/{context}/snapshots/{epoch:\\d+}/{attempt:\\d+}", _park)
    made.router.add_post("/contexts/{context}/tasks", _task)
    if offers_baselines:
        made.router.add_get("/contexts/{context}/baselines", _baseline)
        made.router.add_put("/contexts/{context}/baselines/{digest:[0-9a-f]{64}}", _keep)
    return made


async def _call(request: web.Request) -> web.Response:
    context, store = request.match_info["context"], request.app[STORE]
    try:
        call = msgspec.json.decode(await request.read(), type=Call)
    except msgspec.DecodeError as error:
        return web.Response(status=400, text=str(error))
    new = Counter()
    if isinstance(call, Begin) and not store.get(context).epoch:
        new = await asyncio.to_thread(store.new)
    copy = store.get(context)
    match call:
        case Begin(epoch):
            copy = fence.begin(copy, epoch, new)
        case Run(epoch):
            copy = fence.run(copy, epoch)
        case Thaw(epoch, attempt):
            copy = fence.thaw(copy, epoch, attempt)
        case Retire(epoch):
            copy = fence.retire(copy, epoch)
    store.put(context, copy)
    return web.Response(status=204)


def _attempt(request: web.Request) -> tuple[str, int, int]:
    place = request.match_info
    return place["context"], int(place["epoch"]), int(place["attempt"])


async def _freeze(request: web.Request) -> web.Response:
    (context, epoch, attempt), store = _attempt(request), request.app[STORE]
    copy = fence.freeze(store.get(context), epoch, attempt)
    store.put(context, copy)
    if not fence.is_frozen(copy, epoch, attempt):
        return web.Response(status=409, text="that attempt is over")
    assert copy.body is not None
    head = msgspec.json.encode(copy.body)
    sized = len(head).to_bytes(_SIZE_BYTES) + head
    known = request.headers.get(BASELINE)
    if known and known == copy.body.ballast:
        return web.Response(body=sized, headers={BASELINE: known})
    return web.Response(body=sized + store.ballast(copy.body.ballast))


async def _baseline(request: web.Request) -> web.Response:
    copy, store = request.app[STORE].get(request.match_info["context"]), request.app[STORE]
    if copy.body is None or not copy.body.ballast:
        return web.Response(status=409, text="there is nothing to send ahead")
    return web.Response(body=store.ballast(copy.body.ballast))


async def _keep(request: web.Request) -> web.Response:
    name, content = request.match_info["digest"], await request.read()
    store = request.app[STORE]
    if await asyncio.to_thread(store.keep, content) != name:
        return web.Response(status=400, text="the bytes must have the digest")
    store.set_baseline(request.match_info["context"], name)
    return web.Response(status=204)


async def _park(request: web.Request) -> web.Response:
    (context, epoch, attempt), store = _attempt(request), request.app[STORE]
    content = await request.read()
    ends = _SIZE_BYTES + int.from_bytes(content[:_SIZE_BYTES])
    try:
        body = msgspec.json.decode(content[_SIZE_BYTES:ends], type=Counter)
    except msgspec.DecodeError as error:
        return web.Response(status=400, text=str(error))
    baseline = request.headers.get(BASELINE)
    if baseline and not store.has(baseline):
        return web.Response(status=412, text="the baseline is not here")
    if (baseline or await asyncio.to_thread(store.keep, content[ends:])) != body.ballast:
        return web.Response(status=400, text="the snapshot's parts must belong together")
    copy = fence.park(store.get(context), epoch, attempt, body)
    store.put(context, copy)
    return web.Response(status=204 if fence.is_parked(copy, epoch, attempt) else 409)


async def _task(request: web.Request) -> web.Response:
    context, store = request.match_info["context"], request.app[STORE]
    key, epoch = request.headers.get("idempotency-key"), request.headers.get("x-isma-epoch", "")
    try:
        by = msgspec.json.decode(await request.read(), type=dict[str, int]).get("add", 1)
    except msgspec.DecodeError as error:
        return web.Response(status=400, text=str(error))
    if not key or not epoch.isdecimal():
        return web.Response(status=400, text="idempotency-key and x-isma-epoch must be given")
    copy = store.get(context)
    if not fence.heeds(copy, int(epoch)):
        return web.Response(status=409, text=f"epoch {copy.epoch} is {copy.phase.value} here")
    counter, count = added(copy.body or Counter(), key, by)
    store.put(context, msgspec.structs.replace(copy, body=counter))
    return web.json_response({"count": count})


def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(description="A counter that moves between edge servers.")
    parser.add_argument("--socket", required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--state-bytes", type=int, default=0)
    parser.add_argument("--whole", action="store_true", help="offer no baselines")
    asked = parser.parse_args()
    Path(asked.socket).unlink(missing_ok=True)
    made = app(asked.folder, asked.state_bytes, not asked.whole)
    web.run_app(made, path=asked.socket, print=None, loop=asyncio.new_event_loop())


if __name__ == "__main__":
    main()
