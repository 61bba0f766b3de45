"""Many ticks as one program: a chunk of a world's run, for one world or a batch of them."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Key, PRNGKeyArray

from isma.contract import Memory, Policy
from isma.simulator.params import Params
from isma.simulator.state import State, draw
from isma.simulator.step import TickOutcome, step


def rollout(
    params: Params, policy: Policy, state: State, memory: Memory, key: PRNGKeyArray, num_ticks: int
) -> tuple[State, Memory, TickOutcome]:
    """Run `num_ticks` from `state`; outcomes get a leading axis of ticks.

    What happens depends on the key and the tick alone, not on where a run is cut into chunks.
    """
    ticks = state.tick + jnp.arange(num_ticks)
    draws = jax.vmap(draw, in_axes=(None, None, 0))(params, key, ticks)

    def one(carry: tuple[State, Memory], draws):
        state, memory, outcome = step(params, policy, *carry, draws)
        return (state, memory), outcome

    (state, memory), outcome = jax.lax.scan(one, (state, memory), draws)
    return state, memory, outcome


run_chunk = eqx.filter_jit(rollout)
"""`rollout`, compiled: once for a policy, a shape and a number of ticks."""


@eqx.filter_jit
def run_chunk_of_worlds(
    params: Params,
    policy: Policy,
    state: State,
    memory: Memory,
    keys: Key[Array, "worlds"],
    num_ticks: int,
) -> tuple[State, Memory, TickOutcome]:
    """`rollout` of a batch of worlds that share params and policy; everything else has a leading axis."""
    one_world = lambda state, memory, key: rollout(params, policy, state, memory, key, num_ticks)  # noqa: E731
    return jax.vmap(one_world)(state, memory, keys)
