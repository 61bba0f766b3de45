"""Environment steps a second: one world, a batch of worlds, and all servers as agents."""

import json
import os
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import gymnasium
import jax
import numpy as np

from isma.environments import NetworkEnv, ServerEnv, VectorServerEnv

WORLDS = 256
STEPS = 200
BATCH_STEPS = 10
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
    """Steps of all worlds together; observations are NumPy arrays by then."""
    ticks_per_s: float
    """Ticks simulated for them."""
    first_s: float
    """Until the first step has been taken, compiling included."""


@dataclass(frozen=True)
class StepRates:
    """All rates of one run, and the machine they are from."""

    cores: int
    processor: str
    jax: str
    gymnasium: str
    rates: tuple[StepRate, ...]


def measure(on_step: Callable[[str], None] = lambda label: None) -> StepRates:
    """Measure on the preset `paper`, flat observations, actions drawn beforehand."""
    found = []
    for others in ("nearest", "price"):
        on_step(f"one world, others {others}")
        found.append(_one_world(others))
        on_step(f"{WORLDS} worlds, others {others}")
        found.append(_many_worlds(others))
    on_step("all servers as agents")
    found.append(_all_servers())
    return StepRates(
        os.cpu_count() or 1,
        platform.processor() or platform.machine(),
        jax.__version__,
        gymnasium.__version__,
        tuple(found),
    )


def _one_world(others: str) -> StepRate:
    env = ServerEnv("paper", others=others, flat=True)
    env.action_space.seed(_SEED)
    first_s, spent_s = _timed(env, lambda: env.action_space.sample(), STEPS)
    period = _ticks_in_a_step(env)
    return StepRate("one world", others, 1, 1 / spent_s, period / spent_s, first_s)


def _many_worlds(others: str) -> StepRate:
    env = VectorServerEnv(WORLDS, "paper", others=others, flat=True)
    env.action_space.seed(_SEED)
    first_s, spent_s = _timed(env, lambda: env.action_space.sample(), BATCH_STEPS)
    rate = WORLDS / spent_s
    return StepRate("batch", others, WORLDS, rate, rate * _ticks_in_a_step(env), first_s)


def _all_servers() -> StepRate:
    env = NetworkEnv("paper", flat=True)
    each = env.possible_agents
    for agent in each:
        env.action_space(agent).seed(_SEED)
    drawn = lambda: {agent: env.action_space(agent).sample() for agent in each}  # noqa: E731
    first_s, spent_s = _timed(env, drawn, STEPS)
    return StepRate("all servers", "-", 1, 1 / spent_s, 1 / spent_s, first_s)


def _ticks_in_a_step(env: ServerEnv | VectorServerEnv) -> int:
    period_s = np.asarray(env.infrastructure.decision_period_s)[0]
    return round(float(period_s) / env.scenario.time.tick_s)


def _timed(env: Any, draw: Callable[[], Any], steps: int) -> tuple[float, float]:
    """Seconds until the first step is done, and of a step after that."""
    actions = [draw() for _ in range(steps)]
    began = time.perf_counter()
    env.reset(seed=_SEED)
    env.step(actions[0])
    first_s, spent = time.perf_counter() - began, []
    for repeat in range(REPEATS):
        env.reset(seed=_SEED + repeat)
        began = time.perf_counter()
        for action in actions:
            env.step(action)
        spent.append((time.perf_counter() - began) / steps)
    return first_s, float(np.median(spent))


def as_json(rates: StepRates) -> str:
    """The rates as JSON."""
    return json.dumps(asdict(rates), indent=2)


def as_text(rates: StepRates) -> str:
    """The rates as a table."""
    lines = [
        f"preset paper, flat; {rates.cores} cores, {rates.processor}, jax {rates.jax}, "
        f"gymnasium {rates.gymnasium}",
        f"{'what':14}{'others':10}{'worlds':>7}{'steps/s':>10}{'ticks/s':>11}{'first step, s':>15}",
    ]
    for row in rates.rates:
        lines.append(
            f"{row.what:14}{row.others:10}{row.worlds:>7}{row.steps_per_s:>10,.0f}"
            f"{row.ticks_per_s:>11,.0f}{row.first_s:>15.1f}"
        )
    return "\n".join(lines)
