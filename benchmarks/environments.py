"""Environment steps a second: one world, many, all servers as agents, against mobile-env."""

import json
import os
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import gymnasium
import jax
import numpy as np

from benchmarks.peers import simulators
from benchmarks.peers.walk import record
from isma.environments import NetworkEnv, NetworkWorlds, ServerEnv, VectorServerEnv

WORLDS = 256
USERS = 40
STEPS = 200
BATCH_STEPS = 10
NETWORK_STEPS = 40
MOBILE_STEPS = 100
MOBILE_ENVS = ("mobile-small-central-v0", "mobile-large-central-v0")
"""Scenarios that mobile-env brings: 5 users and 3 stations, 30 users and 13 stations."""
REPEATS = 5
_SEED = 1000


@dataclass(frozen=True)
class StepRate:
    """One measured rate; the median of several repeats."""

    what: str
    others: str
    """Policy of the servers that do not learn."""
    worlds: int
    steps_per_s: float
    """Steps of all worlds together, with observations as NumPy arrays."""
    ticks_per_s: float
    """Ticks simulated for them."""
    ticks_per_cpu_s: float
    """Per second of CPU time of this process: says less of cores, and more of a busy machine."""
    first_s: float
    """Until the first step has been taken, compiling included."""
    users: int
    """Of each world."""


@dataclass(frozen=True)
class StepRates:
    """All rates of one run, and the machine they are from."""

    cores: int
    processor: str
    jax: str
    gymnasium: str
    rates: tuple[StepRate, ...]
    missing: tuple[str, ...]
    """Others that could not be measured, and why."""


def measure(
    on_step: Callable[[str], None] = lambda label: None, only_agents: bool = False
) -> StepRates:
    """Measure on the preset `paper`, flat observations, actions drawn beforehand.

    With `only_agents` all servers as agents, and mobile-env.
    """
    rates = []
    for others in () if only_agents else ("nearest", "price"):
        on_step(f"one world, others {others}")
        rates.append(_one_world(others))
        on_step(f"{WORLDS} worlds, others {others}")
        rates.append(_many_worlds(others))
    on_step("all servers as agents")
    rates.append(_all_servers())
    on_step(f"all servers as agents, {WORLDS} worlds")
    rates.append(_all_servers_of_worlds())
    others, missing = _mobile_env(on_step)
    return StepRates(
        os.cpu_count() or 1,
        platform.processor() or platform.machine(),
        jax.__version__,
        gymnasium.__version__,
        (*rates, *others),
        missing,
    )


def _one_world(others: str) -> StepRate:
    env = ServerEnv("paper", others=others, flat=True)
    env.action_space.seed(_SEED)
    spent = _timed(env, lambda: env.action_space.sample(), STEPS)
    return _rate("one world", others, 1, _ticks_in_a_step(env), spent)


def _many_worlds(others: str) -> StepRate:
    env = VectorServerEnv(WORLDS, "paper", others=others, flat=True)
    env.action_space.seed(_SEED)
    spent = _timed(env, lambda: env.action_space.sample(), BATCH_STEPS)
    return _rate("batch", others, WORLDS, _ticks_in_a_step(env), spent)


def _all_servers() -> StepRate:
    env = NetworkEnv("paper", flat=True)
    each = env.possible_agents
    for agent in each:
        env.action_space(agent).seed(_SEED)
    drawn = lambda: {agent: env.action_space(agent).sample() for agent in each}  # noqa: E731
    return _rate("all servers", "-", 1, 1, _timed(env, drawn, STEPS))


def _all_servers_of_worlds() -> StepRate:
    """Actions and observations go from and to NumPy, as a learner of another library has them."""
    env = NetworkWorlds("paper")
    random, shape = np.random.default_rng(_SEED), (WORLDS, env.num_agents, *env.action_space.shape)
    actions = [random.integers(0, env.num_agents, shape) for _ in range(NETWORK_STEPS)]
    began = time.perf_counter()
    start = env.reset(env.seeds(_SEED, WORLDS))[0]
    np.asarray(env.step(start, actions[0])[1].observation)
    first_s = time.perf_counter() - began

    def go() -> None:
        state = start
        for action in actions:
            state, moment = env.step(state, action)
            np.asarray(moment.observation)

    return _rate("all servers", "-", WORLDS, 1, _repeated(go, len(actions), first_s))


def _mobile_env(on_step: Callable[[str], None]) -> tuple[list[StepRate], tuple[str, ...]]:
    """mobile-env with the users of `paper`, and as it comes; or why not."""
    known = tuple(one for one in simulators.KNOWN if one.name == "mobile-env")
    there, missing = simulators.find(known)
    if not there:
        return [], tuple(f"{one.name}: {one.why}: {one.install}" for one in missing)
    on_step("mobile-env, the users of paper")
    walk = record(MOBILE_STEPS)
    began = time.perf_counter()
    world = there[0].ready(walk)
    spent = _repeated(world.go, walk.steps, time.perf_counter() - began, 1)
    rates = [_rate("mobile-env", "-", 1, 1, spent, walk.users)]
    for name in MOBILE_ENVS:
        on_step(name)
        rates.append(_as_it_comes(name))
    return rates, ()


def _as_it_comes(name: str) -> StepRate:
    """One of mobile-env's own environments, with random actions."""
    env = gymnasium.make(name)
    env.action_space.seed(_SEED)
    users = len(np.atleast_1d(env.action_space.sample()))
    spent = _timed(env, env.action_space.sample, 50)
    return _rate(name.removesuffix("-v0"), "-", 1, 1, spent, users)


def _ticks_in_a_step(env: ServerEnv | VectorServerEnv) -> int:
    period_s = np.asarray(env.infrastructure.decision_period_s)[0]
    return round(float(period_s) / env.scenario.time.tick_s)


class _Spent(NamedTuple):
    """Seconds until the first step is done, and of a step after that: of the clock, and of the CPU."""

    first_s: float
    wall_s: float
    cpu_s: float


def _timed(env: Any, draw: Callable[[], Any], steps: int) -> _Spent:
    actions = [draw() for _ in range(steps)]
    began = time.perf_counter()
    env.reset(seed=_SEED)
    env.step(actions[0])
    first_s = time.perf_counter() - began

    def go() -> None:
        for action in actions:
            env.step(action)

    return _repeated(go, steps, first_s, before=lambda repeat: env.reset(seed=_SEED + repeat))


def _repeated(
    go: Callable[[], None],
    steps: int,
    first_s: float,
    repeats: int = REPEATS,
    before: Callable[[int], Any] = lambda repeat: None,
) -> _Spent:
    """Medians over repeats of a number of steps each."""
    spent = []
    for repeat in range(repeats):
        before(repeat)
        began = time.perf_counter(), time.process_time()
        go()
        spent.append((time.perf_counter() - began[0], time.process_time() - began[1]))
    wall_s, cpu_s = np.median(spent, axis=0) / steps
    return _Spent(first_s, float(wall_s), float(cpu_s))


def _rate(
    what: str, others: str, worlds: int, ticks: int, spent: _Spent, users: int = USERS
) -> StepRate:
    rate = worlds / spent.wall_s
    per_cpu_s = worlds * ticks / max(spent.cpu_s, 1e-9)
    return StepRate(what, others, worlds, rate, rate * ticks, per_cpu_s, spent.first_s, users)


def as_json(rates: StepRates) -> str:
    """The rates as JSON."""
    return json.dumps(asdict(rates), indent=2)


def as_text(rates: StepRates) -> str:
    """The rates as a table."""
    lines = [
        f"preset paper, flat; {rates.cores} cores, {rates.processor}, jax {rates.jax}, "
        f"gymnasium {rates.gymnasium}",
        f"{'what':21}{'others':8}{'worlds':>7}{'users':>6}{'steps/s':>9}{'ticks/s':>9}"
        f"{'ticks/CPU s':>12}{'first step, s':>14}{'beside':>9}",
    ]
    base = next((row.ticks_per_cpu_s for row in rates.rates if row.what == "mobile-env"), None)
    for row in rates.rates:
        relative = "" if base is None else f"{row.ticks_per_cpu_s / base:,.1f} ×"
        lines.append(
            f"{row.what:21}{row.others:8}{row.worlds:>7}{row.users:>6}{row.steps_per_s:>9,.0f}"
            f"{row.ticks_per_s:>9,.0f}{row.ticks_per_cpu_s:>12,.0f}{row.first_s:>14.1f}{relative:>9}"
        )
    if base is not None:
        lines.append(
            "beside: ticks a second, over those of mobile-env with the same users and stations"
        )
    return "\n".join([*lines, *rates.missing])
