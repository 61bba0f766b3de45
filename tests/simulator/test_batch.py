"""A batch of worlds is its worlds one by one, and `when` runs its branch only where it is due."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.small_worlds import SERVERS, USERS, tiny
from jaxtyping import Array, Bool, PRNGKeyArray

from isma.contract import Action, Memory, Observation, Policy
from isma.simulator.params import build
from isma.simulator.rollout import run_chunk, run_chunk_of_worlds
from isma.simulator.state import reset
from isma.when import when
from isma.world.scenario import Scenario

NUM_TICKS = 30


class Forced(Policy):
    """Decides by lot alone, and remembers how often: rounding can never tip a decision."""

    def init(
        self, scenario: Scenario, num_users: int, num_servers: int, key: PRNGKeyArray
    ) -> Memory:
        return Memory(jnp.zeros(num_servers, jnp.int32), jnp.zeros(num_users, jnp.int32))

    def act(
        self, memory: Memory, observation: Observation, key: PRNGKeyArray
    ) -> tuple[Action, Memory]:
        where, what, share, price = jax.random.split(key, 4)
        users, servers = observation.host.shape[0], observation.acting.shape[0]
        action = Action(
            jax.random.randint(where, (users,), 0, servers),
            jax.random.randint(what, (users,), 0, 11) / 10,
            jax.random.uniform(share, (users,), minval=0.05, maxval=0.6),
            jax.random.uniform(price, (servers,)),
        )
        return action, Memory(memory.per_server + 1, memory.per_user + observation.decides)


@pytest.mark.parametrize("size", [1, 7])
def test_a_batch_is_its_worlds(size: int) -> None:
    params, policy = build(tiny({"broadcast.delay_s": 0.2, "loss_ratio": 0.3})), Forced()
    worlds, keys = (jax.random.split(jax.random.key(seed), size) for seed in (0, 1))
    states = eqx.filter_jit(jax.vmap(reset, in_axes=(None, 0)))(params, worlds)
    memory = policy.init(tiny(), USERS, SERVERS, keys[0])
    memories = jax.tree.map(lambda leaf: jnp.stack([leaf] * size), memory)
    batch = run_chunk_of_worlds(params, policy, states, memories, keys, NUM_TICKS)
    assert int(batch[2].migrations.sum()) > 0
    for row in range(size):
        state = jax.tree.map(lambda leaf, row=row: leaf[row], states)
        alone = run_chunk(params, policy, state, memory, keys[row], NUM_TICKS)
        for one, other in zip(jax.tree.leaves(alone), jax.tree.leaves(batch), strict=True):
            if jnp.issubdtype(one.dtype, jnp.inexact):
                np.testing.assert_allclose(other[row], one, rtol=1e-5, atol=1e-5)
            else:
                np.testing.assert_array_equal(other[row], one)


def add_and_count(unchanged: tuple[Array, Array], factor: Array, by: Array) -> tuple[Array, Array]:
    """Two leaves of different shapes and types."""
    value, calls = unchanged
    return value * factor + by, calls + 1


def one_by_one(
    due: np.ndarray, value: np.ndarray, calls: np.ndarray, factor: np.ndarray, by: float
) -> tuple[np.ndarray, np.ndarray]:
    value, calls = value.copy(), calls.copy()
    for row in range(len(due)):
        if due[row]:
            value[row] = value[row] * factor[row] + by
            calls[row] += 1
    return value, calls


@pytest.mark.parametrize("size", [1, 7, 40])
def test_when_is_a_plain_loop(size: int) -> None:
    """None due, all due, one due at either end, and any number at random; operands of a row and of all."""
    batched = jax.jit(
        jax.vmap(lambda *args: when(args[0], add_and_count, *args[1:]), (0, 0, 0, None))
    )
    rng = np.random.default_rng(size)
    ends = np.eye(size, dtype=bool)
    cases = [np.zeros(size, bool), np.ones(size, bool), ends[0], ends[-1]]
    for due in [*cases, *(rng.random((12, size)) < rng.random((12, 1)))]:
        value, calls = rng.normal(size=(size, 3)).astype(np.float32), np.arange(size)
        factor = rng.normal(size=size).astype(np.float32)
        unchanged = (jnp.asarray(value), jnp.asarray(calls))
        found = batched(jnp.asarray(due), unchanged, jnp.asarray(factor), jnp.asarray(2.0))
        expected = one_by_one(due, value, calls, factor, 2.0)
        np.testing.assert_allclose(found[0], expected[0], rtol=1e-6)
        np.testing.assert_array_equal(found[1], expected[1])


@pytest.mark.parametrize("due", [True, False])
def test_when_alone(due: bool) -> None:
    unchanged = (jnp.array([1.0, 2.0]), jnp.array(5))
    value, calls = when(jnp.array(due), add_and_count, unchanged, jnp.array(3.0), jnp.array(1.0))
    np.testing.assert_allclose(value, [4, 7] if due else [1, 2])
    assert int(calls) == (6 if due else 5)


def test_when_inside_a_scan_and_twice_over_a_batch() -> None:
    """As it is used: ticks inside worlds; and worlds inside worlds."""

    def ticks(due: Bool[Array, "ticks"], start: Array, factor: Array) -> tuple[Array, Array]:
        def one(carry: tuple, now: Array) -> tuple[tuple, None]:
            return when(now, add_and_count, carry, factor, jnp.array(1.0)), None

        return jax.lax.scan(one, (start, jnp.array(0)), due)[0]

    rng = np.random.default_rng(0)
    due = rng.random((2, 5, 6)) < 0.4
    start, factor = rng.normal(size=(2, 5, 3)), rng.normal(size=(2, 5))
    nested: Callable = jax.jit(jax.vmap(jax.vmap(ticks)))
    value, calls = nested(jnp.asarray(due), jnp.asarray(start), jnp.asarray(factor))
    np.testing.assert_array_equal(calls, due.sum(axis=-1))
    for place in np.ndindex(2, 5):
        expected = start[place]
        for now in due[place]:
            expected = expected * factor[place] + 1 if now else expected
        np.testing.assert_allclose(value[place], expected, rtol=1e-4, atol=1e-5)


def test_a_row_that_is_not_due_is_never_computed() -> None:
    """Four of sixteen rows, which is two whole blocks of an eighth each."""
    computed: list[int] = []

    def branch(value: Array, row: Array) -> Array:
        jax.debug.callback(lambda number: computed.append(int(number)), row)
        return value + row

    due = jnp.arange(16) % 5 == 0
    rows = jnp.arange(16)
    found = jax.jit(jax.vmap(lambda d, v, r: when(d, branch, v, r)))(due, jnp.ones(16), rows)
    jax.effects_barrier()
    assert sorted(computed) == [0, 5, 10, 15]
    np.testing.assert_array_equal(found, np.where(due, 1 + np.arange(16), 1))
