"""Simulated user-steps a second: one world, a batch, long runs, and a NumPy loop in the same run."""

import json
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import numpy_loop
from isma.contract import Memory, Policy
from isma.policies import registry
from isma.simulator.params import Params, build
from isma.simulator.rollout import run_chunk, run_chunk_of_worlds
from isma.simulator.state import State, reset
from isma.world import files

CHUNK_TICKS = 200
LONG_TICKS = 20_000
WORLDS = 256
REPEATS = 5
_NUMPY_TICKS = 600


@dataclass(frozen=True)
class SpeedFigure:
    """One measured rate; the median of several repeats."""

    what: str
    policy: str
    worlds: int
    ticks: int
    user_steps_per_s: float
    us_per_tick: float
    """Wall time of a tick of all worlds, in microseconds."""
    against_numpy: float
    """How many times the NumPy loop's rate on one world."""


@dataclass(frozen=True)
class Figures:
    """All rates of one run, and the machine they are from."""

    users: int
    servers: int
    cores: int
    processor: str
    device: str
    """Device, by JAX's name of it."""
    jax: str
    figures: tuple[SpeedFigure, ...]


def measure(
    on_step: Callable[[str], None] = lambda label: None, batches: Sequence[int] = (WORLDS,)
) -> Figures:
    """Measure on the preset `paper`, decisions, broadcasts and observations in the loop."""
    params = build(files.load("paper"))
    users = params.shape.num_users
    on_step("NumPy loop, nearest")
    numpy_s = _numpy_s_per_tick(params)
    rows = [_figure("plain NumPy loop", "nearest", 1, _NUMPY_TICKS, users, numpy_s, numpy_s)]
    for name in ("local", "nearest", "price"):
        policy = registry.get(name)
        on_step(f"one world, {name}")
        for ticks in (CHUNK_TICKS, LONG_TICKS):
            spent = _one_world_s_per_tick(params, policy, ticks)
            rows.append(_figure("one world", name, 1, ticks, users, spent, numpy_s))
        for worlds in batches:
            on_step(f"{worlds:,} worlds, {name}")
            spent = _batch_s_per_tick(params, policy, worlds)
            rows.append(_figure("batch", name, worlds, CHUNK_TICKS, users, spent, numpy_s))
    return Figures(
        users,
        params.shape.num_servers,
        os.cpu_count() or 1,
        platform.processor() or platform.machine(),
        jax.devices()[0].device_kind,
        jax.__version__,
        tuple(rows),
    )


def _figure(
    what: str, policy: str, worlds: int, ticks: int, users: int, s_per_tick: float, numpy_s: float
) -> SpeedFigure:
    rate = worlds * users / s_per_tick
    return SpeedFigure(what, policy, worlds, ticks, rate, s_per_tick * 1e6, rate * numpy_s / users)


def _one_world_s_per_tick(params: Params, policy: Policy, ticks: int) -> float:
    """Median over repeats of a run from its beginning, chunk by chunk as `compare` runs it."""
    key = jax.random.key(0)
    start = jax.jit(reset)(params, key)
    memory = policy.init(files.load("paper"), params.shape.num_users, params.shape.num_servers, key)

    def run() -> None:
        state, kept = start, memory
        for _ in range(ticks // CHUNK_TICKS):
            state, kept, outcome = run_chunk(params, policy, state, kept, key, CHUNK_TICKS)
            jax.block_until_ready(outcome)

    run()
    return _median_s(run, 50 if ticks == CHUNK_TICKS else REPEATS) / ticks


def _batch_s_per_tick(params: Params, policy: Policy, worlds: int) -> float:
    keys = jax.random.split(jax.random.key(0), worlds)
    start: State = jax.jit(jax.vmap(reset, in_axes=(None, 0)))(params, keys)
    sizes = (params.shape.num_users, params.shape.num_servers)
    one: Memory = policy.init(files.load("paper"), *sizes, keys[0])
    memory = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (worlds, *leaf.shape)), one)
    # A second chunk: by then all users are born and every server decides at its own phase.
    state, memory, _ = run_chunk_of_worlds(params, policy, start, memory, keys, CHUNK_TICKS)

    def run() -> None:
        jax.block_until_ready(run_chunk_of_worlds(params, policy, state, memory, keys, CHUNK_TICKS))

    run()
    return _median_s(run, REPEATS) / CHUNK_TICKS


def _numpy_s_per_tick(params: Params) -> float:
    state = jax.jit(reset)(params, jax.random.key(0))
    numpy_loop.run(numpy_loop.NumpyWorld.of(params, state), 20, seed=0)
    world = numpy_loop.NumpyWorld.of(params, state)
    began = time.perf_counter()
    numpy_loop.run(world, _NUMPY_TICKS, seed=0)
    return (time.perf_counter() - began) / _NUMPY_TICKS


def _median_s(run: Callable[[], None], repeats: int) -> float:
    spent = []
    for _ in range(repeats):
        began = time.perf_counter()
        run()
        spent.append(time.perf_counter() - began)
    return float(np.median(spent))


def as_json(figures: Figures) -> str:
    """The figures as JSON."""
    return json.dumps(asdict(figures), indent=2)


def as_text(figures: Figures) -> str:
    """The figures as a table."""
    lines = [
        f"preset paper: {figures.users} users, {figures.servers} servers; {figures.cores} cores, "
        f"{figures.processor}, on {figures.device}, jax {figures.jax}",
        f"{'what':18}{'policy':10}{'worlds':>7}{'ticks':>8}{'user-steps/s':>15}{'µs/tick':>10}{'× NumPy':>9}",
    ]
    for row in figures.figures:
        lines.append(
            f"{row.what:18}{row.policy:10}{row.worlds:>7}{row.ticks:>8}"
            f"{row.user_steps_per_s:>15,.0f}{row.us_per_tick:>10.1f}{row.against_numpy:>9.1f}"
        )
    return "\n".join(lines)
