"""The peers' table: users followed by their services, in our simulator and in those of others, in one run.

Everything is measured in turn, several rounds over, so that a machine that slows down slows all of
it. A row is the median of its rounds; slow ones are measured once.
"""

import json
import os
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version

import jax
import numpy as np

from benchmarks import own
from benchmarks.peers import simulators
from benchmarks.peers.simulators import Missing
from benchmarks.peers.walk import Counts, PeerReady, Walk, record

STEPS = (200, 2_000)
WORLDS = 256
ROUNDS = 5
_LONG_S = 10.0
"""A run that takes longer is not repeated."""
_OURS = "isma"


@dataclass(frozen=True)
class PeerRow:
    """One simulator at one length of run."""

    simulator: str
    version: str
    policy: str
    worlds: int
    steps: int
    user_steps: int
    """Steps in which a user was served, counted in the simulator's own state after a run."""
    moves: int | None
    """Services that followed their users, counted likewise."""
    spent_s: float
    """Wall time of a run, set-up and compiling left out."""
    rounds: int
    user_steps_per_s: float
    ours_is: float
    """How many times as fast `isma` is, one world by `nearest`, in as many steps."""
    does_not_model: str


@dataclass(frozen=True)
class Table:
    """All rows of one run, and the machine they are from."""

    users: int
    servers: int
    cores: int
    load: float
    """Processes that wanted a core in the minute before."""
    processor: str
    jax: str
    rows: tuple[PeerRow, ...]
    missing: tuple[Missing, ...]


@dataclass(frozen=True)
class _Contender:
    name: str
    version: str
    policy: str
    worlds: int
    make: Callable[[Walk], PeerReady]
    lacks: str


def measure(
    on_step: Callable[[str], None] = lambda label: None,
    lengths: tuple[int, ...] = STEPS,
    num_worlds: int = WORLDS,
) -> Table:
    """Measure on the users of the preset `paper`, whose services may follow in every step."""
    load = os.getloadavg()[0]
    found, missing = simulators.find()
    contenders = [*_ours(num_worlds), *_theirs(found)]
    on_step("users on their ways")
    walks = [record(steps) for steps in lengths]
    for one in contenders:
        if one.name == _OURS:
            on_step(f"compiling {one.policy}, {one.worlds} worlds")
            one.make(walks[0]).go()
    rows = [row for walk in walks for row in _rows(contenders, walk, on_step)]
    return Table(
        walks[0].users,
        len(walks[0].site_m),
        os.cpu_count() or 1,
        load,
        platform.processor() or platform.machine(),
        jax.__version__,
        tuple(rows),
        tuple(missing),
    )


def _ours(num_worlds: int) -> list[_Contender]:
    release = version(_OURS)
    found = []
    for policy in ("nearest", "price"):
        for worlds in (1, num_worlds):
            make = lambda walk, policy=policy, worlds=worlds: own.worlds(policy, worlds, walk.steps)  # noqa: E731
            found.append(_Contender(_OURS, release, policy, worlds, make, ""))
    lacks = "every switch beyond the paper; other rules; a batch of worlds"
    loop = lambda walk: own.numpy(walk.steps)  # noqa: E731
    return [*found, _Contender("plain NumPy loop", np.__version__, "nearest", 1, loop, lacks)]


def _theirs(found: list[simulators.Simulator]) -> list[_Contender]:
    return [
        _Contender(one.known.name, one.version, "nearest", 1, one.ready, one.known.lacks)
        for one in found
    ]


def _rows(
    contenders: list[_Contender], walk: Walk, on_step: Callable[[str], None]
) -> list[PeerRow]:
    spent: list[list[float]] = [[] for _ in contenders]
    counts: list[Counts] = [Counts(0, None) for _ in contenders]
    for turn in range(ROUNDS):
        for number, one in enumerate(contenders):
            if turn and spent[number][0] > _LONG_S:
                continue
            on_step(f"{walk.steps:,} steps, {turn + 1}/{ROUNDS}: {one.name}")
            ready = one.make(walk)
            spent[number].append(_seconds(ready.go))
            counts[number] = ready.count()
    rates = [
        count.user_steps / float(np.median(times))
        for count, times in zip(counts, spent, strict=True)
    ]
    return [
        PeerRow(
            one.name,
            one.version,
            one.policy,
            one.worlds,
            walk.steps,
            count.user_steps,
            count.moves,
            float(np.median(times)),
            len(times),
            rate,
            rates[0] / rate,
            one.lacks,
        )
        for one, count, times, rate in zip(contenders, counts, spent, rates, strict=True)
    ]


def _seconds(run: Callable[[], None]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def as_json(table: Table) -> str:
    """The table as JSON."""
    return json.dumps(asdict(table), indent=2)


def as_text(table: Table) -> str:
    """The table as text: rates first, then features that each lacks, then missing simulators."""
    lines = [
        f"{table.users} users, {table.servers} servers, services follow in every step; "
        f"{table.cores} cores, load {table.load:.1f} before, {table.processor}, jax {table.jax}",
        f"{'simulator':20}{'version':>9}  {'policy':9}{'worlds':>6}{'steps':>7}"
        f"{'user-steps/s':>14}{'isma is':>12}",
    ]
    for row in table.rows:
        lines.append(
            f"{row.simulator:20}{row.version:>9}  {row.policy:9}{row.worlds:>6}{row.steps:>7}"
            f"{row.user_steps_per_s:>14,.0f}{_times(row.ours_is):>12}"
        )
    lines += [f"{one.name:20}{one.why}: {one.install}" for one in table.missing]
    lines.append("does not model:")
    lacks = {row.simulator: row.does_not_model for row in table.rows if row.does_not_model}
    return "\n".join([*lines, *(f"  {name}: {what}" for name, what in lacks.items())])


def _times(ratio: float) -> str:
    """To two digits below ten, else whole."""
    return f"{ratio:.2g} ×" if ratio < 10 else f"{ratio:,.0f} ×"
