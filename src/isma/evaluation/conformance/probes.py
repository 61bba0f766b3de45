"""Probe moments for a policy: observations of a simulated world, with the policy's memory."""

from dataclasses import replace
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, Key, PRNGKeyArray, PyTree

from isma.contract import Action, Memory, Observation, Policy
from isma.policies.rules.local_random import Random
from isma.simulator.params import Params
from isma.simulator.rollout import run_chunk
from isma.simulator.state import Deciding, State, reset
from isma.simulator.step import everyone, observe
from isma.when import choose
from isma.world.scenario import Visibility

NUMBER = 6
"""Moments of a world."""
_TICKS_APART = 7


class ProbeMoment(NamedTuple):
    """One call of a policy."""

    memory: Memory
    observation: Observation
    key: PRNGKeyArray


class Answer(NamedTuple):
    """Answer of a policy to it."""

    action: Action
    memory: Memory


@eqx.filter_jit
def ask(policy: Policy, moment: ProbeMoment) -> Answer:
    """One decision, compiled once for a policy and a view."""
    return Answer(*policy.act(*moment))


def sights(params: Params, visibility: Visibility, seed: int) -> list[Observation]:
    """Views of a world's servers at moments some ticks apart, while users are served anywhere."""
    world_key, users_key = jax.random.split(jax.random.key(seed))
    state, memory = jax.jit(reset)(params, world_key), Memory.none()
    longest = int(jnp.max(params.period_ticks))
    views = []
    while len(views) < NUMBER:
        state, memory, _ = run_chunk(params, Random(), state, memory, world_key, _TICKS_APART)
        if state.tick >= longest:
            keys = jax.random.split(jax.random.fold_in(users_key, len(views)))
            views.append(_observed(params, state, visibility, jnp.asarray(len(views)), keys))
    return views


@eqx.filter_jit
def _observed(
    params: Params,
    state: State,
    visibility: Visibility,
    number: Int[Array, ""],
    keys: Key[Array, "2"],
) -> Observation:
    """In turn: every server is due, some are, some act for newcomers alone."""
    all_servers, some, new = (number % 3 == kind for kind in range(3))
    everybody = everyone(params, state)
    servers = jnp.arange(params.shape.num_servers)
    chosen = jax.random.bernoulli(keys[0], 0.6, servers.shape)
    acting = all_servers | chosen | (servers == number % servers.size)
    decides = everybody.decides & acting[state.placement.host]
    decides = decides & (~new | jax.random.bernoulli(keys[1], 0.5, decides.shape))
    due = acting & (all_servers | some)
    return observe(params, state, Deciding(acting, due, decides & new, decides), visibility)


def remembered(
    policy: Policy, first: Memory, observations: list[Observation], seed: int
) -> list[ProbeMoment]:
    """Moments with the policy's memory at each, after its decisions at those before it."""
    memory, moments = first, []
    for number, observation in enumerate(observations):
        moment = ProbeMoment(memory, observation, jax.random.fold_in(jax.random.key(seed), number))
        moments.append(moment)
        memory = memory.renewed(ask(policy, moment).memory, observation)
    return moments


def rows_of(observation: Observation) -> PyTree:
    """All that is known of each user, `visible` aside."""
    o = observation
    return (
        *(o.requests, o.gain, o.station, o.host, o.wait_s, o.decides),
        *(o.position_m, o.backlog, o.bandwidth_hz),
    )


def with_rows(observation: Observation, rows: PyTree) -> Observation:
    """Moment with other rows of users."""
    requests, gain, station, host, wait_s, decides, position_m, backlog, bandwidth_hz = rows
    return replace(
        observation,
        requests=requests,
        gain=gain,
        station=station,
        host=host,
        wait_s=wait_s,
        decides=decides,
        position_m=position_m,
        backlog=backlog,
        bandwidth_hz=bandwidth_hz,
    )


@eqx.filter_jit
def hide(observation: Observation, hidden: Bool[Array, "users"]) -> Observation:
    """Users out of sight: zeros, as the simulator gives."""
    rows = rows_of(observation)
    blank = choose(hidden, jax.tree.map(jnp.zeros_like, rows), rows)
    return replace(with_rows(observation, blank), visible=observation.visible & ~hidden)
