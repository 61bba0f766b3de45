"""How long a decision takes: in a tick of the program that runs, or in a call that is compiled for itself."""

import itertools
import time
from collections.abc import Callable
from dataclasses import replace

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from isma.contract import Action, Memory, Observation, Policy
from isma.simulator.params import Params
from isma.simulator.runner import Runner, most_ticks
from isma.simulator.state import State
from isma.world.scenario import Scenario

_LONGEST_S = 1.0
_NEVER = 2**30
"""Ticks of a period that does not come round."""
_MOST_CALLS, _FEWEST_CALLS = 200, 5
LONGEST_PAIRS_S, _MOST_PAIRS = 0.3, 100
"""Bounds of what a comparison spends on a policy's times."""


def decision_ms(
    scenario: Scenario, params: Params, policy: Policy, ticks: int, runner: Runner
) -> tuple[float, float]:
    """Median and 99th percentile of the wall time of a decision for all servers, in ms.

    The time of a tick in which every server is due, less the median of one in which none is, in a world
    after `ticks` ticks: no other program than the one that runs worlds has to be compiled for it.
    """
    moment = runner.start(scenario, params, policy, 0)
    state, memory, _ = runner.advance(params, policy, moment)(moment, ticks)
    key, state = moment[2], _without_newcomers(params, state)
    advance, most = runner.program(params, policy, moment), most_ticks(params)
    idle_state = replace(state, phase_ticks=_filled(state.phase_ticks, int(state.tick) + 1))
    idle = replace(params, period_ticks=_filled(params.period_ticks, _NEVER)), idle_state
    busy = replace(params, period_ticks=_filled(params.period_ticks, 1)), state

    def spent_ms(of: tuple[Params, State], call_key: PRNGKeyArray) -> float:
        began = time.perf_counter()
        made = advance(of[0], policy, of[1], memory, call_key, np.int32(1), most)
        jax.block_until_ready(made)
        return (time.perf_counter() - began) * 1e3

    pairs: list[tuple[float, float]] = []
    # Alternating, so that both meet the same conditions; the first call is not counted.
    while len(pairs) <= _FEWEST_CALLS or (
        np.sum(pairs) < 1e3 * LONGEST_PAIRS_S and len(pairs) <= _MOST_PAIRS
    ):
        call_key = jax.random.fold_in(key, len(pairs))
        pairs.append((spent_ms(idle, call_key), spent_ms(busy, call_key)))
    idle_ms, busy_ms = np.transpose(pairs[1:])
    median_ms, slow_ms = np.percentile(busy_ms, (50, 99)) - np.median(idle_ms)
    return max(0.0, float(median_ms)), max(0.0, float(slow_ms))


def _without_newcomers(params: Params, state: State) -> State:
    """State before a tick in which no user emits its first task, for which a server would decide."""
    start, slots = int(state.tick) * int(params.slots_per_tick), int(params.slots_per_tick)
    first = np.array(state.emission.first_slot)
    first[(first >= start) & (first < start + slots)] = start - 1
    return replace(state, emission=replace(state.emission, first_slot=jax.device_put(first)))


def _filled(like: Array, value: int) -> Array:
    """Array of one value; made in NumPy, for which nothing is compiled."""
    return jax.device_put(np.full(like.shape, value, like.dtype))


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
def _act(
    policy: Policy, memory: Memory, observation: Observation, key: PRNGKeyArray
) -> tuple[Action, Memory]:
    return policy.act(memory, observation, key)
