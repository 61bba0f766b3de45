"""Worlds in which every server is an agent, as pure functions; a step is a tick."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, UInt

from isma.contract import Action, Memory, Observation, Policy
from isma.environments.coding import Coding, own
from isma.environments.episode import means_s, world_of
from isma.simulator.params import Params
from isma.simulator.state import Deciding, State, draw, reset
from isma.simulator.step import before_decisions, observe, step


class NetworkMoment(eqx.Module):
    """One world at the beginning of a tick."""

    seed: UInt[Array, ""]
    number: Int[Array, ""]
    """Worlds since that seed was given."""
    world: UInt[Array, ""]
    key: PRNGKeyArray
    state: State
    seen: Observation
    """The sight of all servers together; each of them sees its part (`coding.part_of`)."""
    acts: Bool[Array, "servers"]
    """Those that decide in this tick."""


class TickReport(NamedTuple):
    """Result of a tick."""

    mean_s: Float[Array, "servers"]
    """Mean completion time of the tasks of each server's users; of all users' where it has none."""
    own_tasks: Int[Array, "servers"]
    """Tasks that the users of each server emitted."""
    world_mean_s: Float[Array, ""]
    """Mean completion time of all tasks; 0 where there was none."""
    migrations: Int[Array, ""]


class GivenAction(Policy):
    """Returns a given action."""

    action: Action

    def act(
        self, memory: Memory, observation: Observation, key: PRNGKeyArray
    ) -> tuple[Action, Memory]:
        """The action."""
        return self.action, memory


def begin(params: Params, seed: UInt[Array, ""], number: Int[Array, ""]) -> NetworkMoment:
    """The world of that seed, or the one that comes `number` after it."""
    world = world_of(seed, number)
    key, _ = jax.random.split(jax.random.key(world))
    return _observed(params, seed, number, world, key, reset(params, key))


def advance(
    params: Params, coding: Coding, moment: NetworkMoment, actions: Any
) -> tuple[NetworkMoment, TickReport]:
    """Carry out the decisions of the acting servers, and advance a tick."""
    state, key, seen = moment.state, moment.key, moment.seen
    action = coding.decode_all(actions, seen)
    draws = draw(params, key, state.tick)
    state, _, outcome = step(params, GivenAction(action), state, Memory.none(), draws)
    theirs = jax.vmap(own, in_axes=(None, 0))(seen, jnp.arange(params.shape.num_servers))
    mean_s, world_mean_s, tasks = jax.vmap(means_s, in_axes=(None, 0))(
        outcome.completion_time_s, theirs
    )
    after = _observed(params, moment.seed, moment.number, moment.world, key, state)
    return after, TickReport(mean_s, tasks, world_mean_s[0], outcome.migrations)


def _observed(
    params: Params,
    seed: UInt[Array, ""],
    number: Int[Array, ""],
    world: UInt[Array, ""],
    key: PRNGKeyArray,
    state: State,
) -> NetworkMoment:
    """Observation of all servers in the coming tick."""
    begun, deciding, _ = before_decisions(params, state, draw(params, key, state.tick))
    everyone = jnp.ones_like(deciding.acting)
    all_see = Deciding(everyone, deciding.due, deciding.newcomer, deciding.decides)
    seen = observe(params, begun, all_see, params.shape.visibility)
    return NetworkMoment(seed, number, world, key, state, seen, deciding.acting)
