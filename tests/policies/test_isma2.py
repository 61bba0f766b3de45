"""isma2: `price` where nothing is foreseen, and otherwise where its model says that users will be."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import untrained
from worlds import tiny

from isma.contract import Memory
from isma.policies import registry
from isma.policies.isma2 import Isma2, UserBelief, Way, weights
from isma.simulator.params import build
from isma.simulator.rollout import run_chunk
from isma.simulator.state import reset
from isma.simulator.step import everyone, observe
from isma.world.scenario import Scenario, Visibility

COSTLY = {"migration.kind": "cold", "migration.downtime_s": 0.5, "latency.per_hop_s": 0.1}


def hosts(scenario: Scenario, policy: Isma2 | str, ticks: int = 100) -> np.ndarray:
    made = registry.get(policy) if isinstance(policy, str) else policy
    params, key = build(scenario), jax.random.key(3)
    shape = params.shape
    memory = made.init(scenario, shape.num_users, shape.num_servers, key)
    state, _, _ = run_chunk(params, made, jax.jit(reset)(params, key), memory, key, ticks)
    return np.asarray(state.placement.host)


def test_without_a_model_it_is_price() -> None:
    np.testing.assert_array_equal(
        hosts(tiny(COSTLY), "isma2:model=0"), hosts(tiny(COSTLY), "price")
    )


def test_where_moves_are_free_there_is_nothing_to_foresee() -> None:
    assert registry.get("isma2").init(tiny(), 7, 3, jax.random.key(0)) == Memory.none()
    np.testing.assert_array_equal(hosts(tiny(), "isma2"), hosts(tiny(), "price"))


def test_a_way_that_is_not_looked_along_changes_nothing() -> None:
    np.testing.assert_array_equal(
        hosts(tiny(COSTLY), "isma2:ahead_s=0"), hosts(tiny(COSTLY), "price")
    )


def test_users_that_decide_for_themselves_are_not_pooled() -> None:
    alone = tiny({**COSTLY, "visibility": "user"})
    memory = registry.get("isma2").init(alone, 7, 3, jax.random.key(0))
    assert not isinstance(memory.per_user, UserBelief)


@pytest.mark.parametrize(("users", "servers"), [(5, 3), (60, 30)])
def test_one_checkpoint_serves_any_numbers(users: int, servers: int) -> None:
    larger = tiny({**COSTLY, "users.count": users, "sites.count": servers})
    found = hosts(larger, "isma2", ticks=60)
    assert found.shape == (users,)
    assert found.max() < servers


def test_time_is_weighed_once() -> None:
    """Of an exponential of mean 20 s, what is not yet counted by the middle of a first segment is left."""
    np.testing.assert_allclose(weights(20.0).sum(), np.exp(-1 / 20), rtol=1e-6)
    assert np.all(weights(20.0) > 0)
    assert not weights(0.0).any()


def test_hops_are_reckoned_along_the_way() -> None:
    """What is foreseen of a place enters with the price of a hop, and of its home too."""
    policy = untrained.isma2()
    params, key = build(tiny(COSTLY)), jax.random.key(0)
    state = jax.jit(reset)(params, key)
    seen = observe(params, state, everyone(params, state), Visibility.SERVER)
    users, servers = 7, jnp.arange(3)
    memory = policy.init(tiny(COSTLY), users, 3, key)
    way = policy.way(memory, seen)
    assert isinstance(way, Way)
    one, two = (policy.certain_s(way, seen, jnp.full(users, cost), servers) for cost in (1.0, 2.0))
    np.testing.assert_allclose(two, 2 * one, rtol=1e-5)
    at_home = jnp.take_along_axis(one, seen.host[:, None], axis=1)
    np.testing.assert_allclose(at_home, 0, atol=1e-6)
    now = policy.certain_s(None, seen, jnp.ones(users), servers)
    assert not np.allclose(one, now)
