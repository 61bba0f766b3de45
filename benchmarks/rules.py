"""Time of a rule's decision for all servers at once, by size; `nearest` against a NumPy loop."""

import json
import os
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass

import jax
import numpy as np

from benchmarks import numpy_loop
from isma.errors import IsmaError
from isma.policies import registry
from isma.simulator.params import Params, build
from isma.simulator.rollout import run_chunk
from isma.simulator.state import State, reset
from isma.simulator.step import everyone, observe
from isma.simulator.timing import act_ms, percentiles_ms
from isma.world import files
from isma.world.scenario import Scenario

SIZES = ((40, 6), (500, 30))
"""Users and servers."""
LARGE = (5_000, 300)
"""A city: the table of `cell-mdp` alone takes minutes there."""
_WEIGHS = ("break-even", "mdp", "cell-mdp")
"""Rules that are `nearest` by another name where a migration is free; asked where it costs."""
_MOST_USERS = {"full-information": 500}
"""The reference weighs all pairs of users, many times over: it is not asked of thousands."""
_PRESETS = {False: "paper", True: "paper-migration"}


@dataclass(frozen=True)
class DecisionTime:
    """One rule at one size."""

    rule: str
    scenario: str
    users: int
    servers: int
    median_ms: float | None
    """Wall time of one decision for all servers; None where the rule cannot decide at this size."""
    p99_ms: float | None
    why_not: str = ""


@dataclass(frozen=True)
class Decisions:
    """All rules of one run, and the machine they are from."""

    cores: int
    load: float
    """Processes that wanted a core in the minute before."""
    processor: str
    jax: str
    numpy: str
    decisions: tuple[DecisionTime, ...]


def measure(
    on_step: Callable[[str], None] = lambda label: None,
    sizes: tuple[tuple[int, int], ...] = SIZES,
    rules: tuple[str, ...] = tuple(registry.RULES),
) -> Decisions:
    """Measure in worlds after a decision period, with every server due."""
    load, times = os.getloadavg()[0], []
    for users, servers in sizes:
        size = f"{users:,} users, {servers} servers"
        on_step(f"NumPy loop, {size}")
        times.append(_numpy(users, servers))
        on_step(f"worlds, {size}")
        worlds = {
            weighs: _warm_world(preset, users, servers) for weighs, preset in _PRESETS.items()
        }
        for rule in rules:
            on_step(f"{rule}, {size}")
            times.append(_decision(rule, worlds[rule in _WEIGHS]))
    return Decisions(
        os.cpu_count() or 1,
        load,
        platform.processor() or platform.machine(),
        jax.__version__,
        np.__version__,
        tuple(times),
    )


@dataclass(frozen=True)
class _WarmWorld:
    """A world after its longest decision period, by `nearest`."""

    preset: str
    scenario: Scenario
    params: Params
    state: State


def _warm_world(preset: str, users: int, servers: int) -> _WarmWorld:
    scenario = files.load(preset, {"users.count": users, "sites.count": servers})
    params, key, nearest = build(scenario), jax.random.key(0), registry.get("nearest")
    state, memory = jax.jit(reset)(params, key), nearest.init(scenario, users, servers, key)
    state, _, _ = run_chunk(params, nearest, state, memory, key, _period_ticks(params))
    return _WarmWorld(preset, scenario, params, state)


def _decision(rule: str, world: _WarmWorld) -> DecisionTime:
    policy, params, key = registry.get(rule), world.params, jax.random.key(0)
    users, servers = params.shape.num_users, params.shape.num_servers
    most = _MOST_USERS.get(rule, users)
    if users > most:
        why = f"weighs pairs of users: asked of at most {most}"
        return DecisionTime(rule, world.preset, users, servers, None, None, why)
    visibility = policy.visibility or params.shape.visibility
    observation = observe(params, world.state, everyone(params, world.state), visibility)
    try:
        memory = policy.init(world.scenario, users, servers, key)
    except IsmaError as error:
        return DecisionTime(rule, world.preset, users, servers, None, None, str(error))
    median, p99 = act_ms(policy, memory, observation, key)
    return DecisionTime(rule, world.preset, users, servers, median, p99)


def _numpy(users: int, servers: int) -> DecisionTime:
    params = build(files.load("paper", {"users.count": users, "sites.count": servers}))
    world = numpy_loop.NumpyWorld.of(params, jax.jit(reset)(params, jax.random.key(0)))
    numpy_loop.run(world, _period_ticks(params), seed=0)
    world.period = np.ones_like(world.period)
    slots = int(params.slots_per_tick)
    median, p99 = percentiles_ms(lambda: numpy_loop.decide(world, world.ticks, slots))
    return DecisionTime("nearest, NumPy loop", "paper", users, servers, median, p99)


def _period_ticks(params: Params) -> int:
    return int(np.max(np.asarray(params.period_ticks)))


def as_json(decisions: Decisions) -> str:
    """The decisions as JSON."""
    return json.dumps(asdict(decisions), indent=2)


def as_text(decisions: Decisions) -> str:
    """The decisions as a table."""
    lines = [
        f"one decision for all servers at once; {decisions.cores} cores, load {decisions.load:.1f} "
        f"before, {decisions.processor}, jax {decisions.jax}, numpy {decisions.numpy}",
        f"{'rule':21}{'scenario':17}{'users':>6}{'servers':>8}{'median, ms':>12}{'p99, ms':>10}",
    ]
    for row in decisions.decisions:
        times = f"{_ms(row.median_ms):>12}{_ms(row.p99_ms):>10}"
        note = f"  {row.why_not}" if row.why_not else ""
        lines.append(f"{row.rule:21}{row.scenario:17}{row.users:>6}{row.servers:>8}{times}{note}")
    return "\n".join(lines)


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
