"""How long a decision takes: one compiled call that decides for all servers at once."""

import itertools
import time
from collections.abc import Callable

import equinox as eqx
import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from isma.contract import Action, Memory, Observation, Policy
from isma.simulator.params import Params
from isma.simulator.rollout import run_chunk
from isma.simulator.state import State, reset
from isma.simulator.step import everyone, observe
from isma.world.scenario import Scenario, Visibility

_LONGEST_S = 1.0
_MOST_CALLS, _FEWEST_CALLS = 200, 5


def decision_ms(
    scenario: Scenario, params: Params, policy: Policy, ticks: int
) -> tuple[float, float]:
    """Median and 99th percentile of the wall time of `act` with every server due, in ms.

    Asked in a world that has run so many ticks.
    """
    key = jax.random.key(0)
    shape = params.shape
    memory = policy.init(scenario, shape.num_users, shape.num_servers, key)
    state = jax.jit(reset)(params, key)
    state, memory, _ = run_chunk(params, policy, state, memory, key, ticks)
    observation = _observed(params, state, policy.visibility or params.shape.visibility)
    return act_ms(policy, memory, observation, key)


def act_ms(
    policy: Policy,
    memory: Memory,
    observation: Observation,
    key: PRNGKeyArray,
    fewest: int = _FEWEST_CALLS,
) -> tuple[float, float]:
    """Milliseconds of a decision on that memory and observation; compiling left out."""
    calls = itertools.count()

    def ask() -> None:
        call_key = jax.random.fold_in(key, next(calls))
        jax.block_until_ready(_act(policy, memory, observation, call_key))

    ask()
    return percentiles_ms(ask, fewest)


def percentiles_ms(call: Callable[[], object], fewest: int = _FEWEST_CALLS) -> tuple[float, float]:
    """Median and 99th percentile of a call's wall time, over a second or as many calls as are enough."""
    spent: list[float] = []
    while len(spent) < fewest or (sum(spent) < _LONGEST_S and len(spent) < _MOST_CALLS):
        began = time.perf_counter()
        call()
        spent.append(time.perf_counter() - began)
    return float(np.percentile(spent, 50) * 1e3), float(np.percentile(spent, 99) * 1e3)


@eqx.filter_jit
def _observed(params: Params, state: State, visibility: Visibility) -> Observation:
    return observe(params, state, everyone(params, state), visibility)


@eqx.filter_jit
def _act(
    policy: Policy, memory: Memory, observation: Observation, key: PRNGKeyArray
) -> tuple[Action, Memory]:
    return policy.act(memory, observation, key)
