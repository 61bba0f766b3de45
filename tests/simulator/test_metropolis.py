"""The large city: that it runs, and that nothing in it grows with users times servers."""

import math
from collections.abc import Iterator

import jax
import numpy as np
import pytest
from helpers.fast_cases import TYPICAL, slow_but_for
from jax.extend.core import ClosedJaxpr, Jaxpr

from isma.policies import registry
from isma.simulator.params import Params, build
from isma.simulator.rollout import run_chunk
from isma.simulator.state import draw, reset
from isma.simulator.step import step
from isma.world import files
from isma.world.nearby import NEAR
from isma.world.scenario import Scenario

RULES = ["stay", "nearest", "threshold", "greedy", "price", "break-even", "local", "random"]


def city(users: int, servers: int) -> tuple[Scenario, Params]:
    scenario = files.load("metropolis", {"users.count": users, "sites.count": servers})
    return scenario, build(scenario)


def arrays(jaxpr: Jaxpr) -> Iterator[int]:
    """Entries of every array that a program makes, those inside loops and branches included."""
    for equation in jaxpr.eqns:
        for out in equation.outvars:
            yield math.prod(getattr(out.aval, "shape", ()))
        for value in equation.params.values():
            for inner in value if isinstance(value, tuple | list) else (value,):
                if isinstance(inner, ClosedJaxpr):
                    yield from arrays(inner.jaxpr)
                elif isinstance(inner, Jaxpr):
                    yield from arrays(inner)


def largest(rule: str, users: int, servers: int) -> int:
    """Entries of the largest array of a tick, decisions included; nothing is run."""
    scenario, params = city(users, servers)
    policy, key = registry.get(rule), jax.random.key(0)
    memory = policy.init(scenario, users, servers, key)

    def tick(params: Params, key: jax.Array):
        state = reset(params, key)
        return step(params, policy, state, memory, draw(params, key, state.tick))

    return max(arrays(jax.make_jaxpr(tick)(params, key).jaxpr))


@pytest.mark.parametrize("rule", slow_but_for(TYPICAL, RULES))
def test_memory_is_linear_in_users(rule: str) -> None:
    """Twice the users, at most twice the largest array: some rows for each user, and no more columns
    than are near, twice over (an index has two parts)."""
    servers = 200
    one, two = (largest(rule, users, servers) for users in (20_000, 40_000))
    assert two <= 2 * one
    assert two <= 40_000 * 2 * (NEAR + 1) < 40_000 * servers


def test_it_is_there_for_its_size() -> None:
    scenario = files.load("metropolis")
    assert (scenario.sites.count, scenario.users.count) == (1_000, 100_000)


def test_a_small_one_runs() -> None:
    """2,700 users and 200 servers, which is just a large city: services move, nobody waits for ever."""
    scenario, params = city(2_700, 200)
    assert params.infrastructure.near is not None
    policy, key = registry.get("price"), jax.random.key(0)
    state, memory = jax.jit(reset)(params, key), policy.init(scenario, 2_700, 200, key)
    state, memory, outcome = run_chunk(params, policy, state, memory, key, 30)
    time_s = np.asarray(outcome.completion_time_s)
    assert np.all(np.isfinite(time_s[~np.isnan(time_s)]))
    assert int(outcome.handovers.sum()) > 0
    assert int(outcome.migrations.sum()) > 0
    assert float(state.placement.load.max()) < 2
