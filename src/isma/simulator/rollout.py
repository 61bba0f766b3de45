"""Many ticks as one program: a chunk of a world's run, for one world or a batch of them."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, Key, PRNGKeyArray, PyTree

from isma.contract import Memory, Policy
from isma.simulator.params import Params
from isma.simulator.state import Draws, State, draw
from isma.simulator.step import TickOutcome, step


def rollout(
    params: Params, policy: Policy, state: State, memory: Memory, key: PRNGKeyArray, num_ticks: int
) -> tuple[State, Memory, TickOutcome]:
    """Run `num_ticks` from `state`; outcomes get a leading axis of ticks.

    Outcomes depend on the key and the tick alone, not on where a run is cut into chunks.
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


def rollout_up_to(
    params: Params,
    policy: Policy,
    state: State,
    memory: Memory,
    key: PRNGKeyArray,
    num_ticks: Int[Array, ""],
    most: int,
) -> tuple[State, Memory, TickOutcome]:
    """`rollout` of `num_ticks`, at most `most`: one program for any number of ticks.

    Rows of the outcomes after the last tick have no meaning.
    """
    ticks = state.tick + jnp.arange(most)
    draws = jax.vmap(draw, in_axes=(None, None, 0))(params, key, ticks)
    arrays, others = eqx.partition((params, policy), eqx.is_array)

    @jax.jit  # Traced once, for the outcomes' types and in the loop.
    def one(arrays: PyTree, state: State, memory: Memory, draws: Draws):
        params, policy = eqx.combine(arrays, others)
        return step(params, policy, state, memory, draws)

    at = lambda tree, tick: jax.tree.map(lambda part: part[tick], tree)  # noqa: E731
    _, _, first = jax.eval_shape(one, arrays, state, memory, at(draws, 0))
    nothing = jax.tree.map(lambda part: jnp.zeros((most, *part.shape), part.dtype), first)

    def advance(tick: Array, carry: tuple[State, Memory, TickOutcome]):
        state, memory, outcome = carry
        state, memory, new = one(arrays, state, memory, at(draws, tick))
        put = lambda whole, part: whole.at[tick].set(part)  # noqa: E731
        return state, memory, jax.tree.map(put, outcome, new)

    return jax.lax.fori_loop(0, num_ticks, advance, (state, memory, nothing))


run_ticks = eqx.filter_jit(rollout_up_to)
"""`rollout_up_to`, compiled: once for a policy and a shape."""
