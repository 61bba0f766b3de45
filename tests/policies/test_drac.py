"""The recurrent actor-critic as a policy: whom it remembers, what it takes, where it runs."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import untrained_policies
from helpers.small_worlds import (
    SERVERS,
    USERS,
    act,
    at_random,
    decide,
    first_memory,
    line,
    network,
    seen,
    tiny,
)

from isma.contract import Observation
from isma.model import vectors
from isma.policies.learned import features
from isma.policies.learned.drac import Drac

KEY = jax.random.key(0)
THREE = network([1e9, 1e9, 2e9], line(3))
SCALES = vectors.scales([tiny()])


def test_what_it_reads_of_a_user_by_hand() -> None:
    """Users 0 and 1 of server 0 with 6 and 18 Mbit, user 2 of server 1 with 24."""
    now = features.situation(seen(THREE, [0, 0, 1], data_mbit=[6, 18, 24]), SCALES)
    assert now.user.shape == (USERS, features.USER_COLUMNS)
    np.testing.assert_allclose(now.user[:3, 0], [0.25, 0.75, 1])
    np.testing.assert_allclose(now.user[:3, 5], [0.5, 0.5, 1])  # Mean of its server's users.
    np.testing.assert_allclose(now.user[:3, 10], [0.2, 0.2, 0.1])


def test_what_it_reads_of_servers_by_hand() -> None:
    """A user of server 2 at station 0, 10 s alone: one step of the ratio is worth 1 s.

    τ = 1, 2, 3 s and a = 1, 1, 0.5 s; loads 1, 0, 3.
    """
    observation = seen(THREE, [2], [0], local_s=10, load=[1.0, 0.0, 3.0])
    columns = np.asarray(features.situation(observation, SCALES).servers)[0].T
    assert columns.shape == (features.SERVER_COLUMNS, 3)
    np.testing.assert_array_equal(columns[0], [1, 0, 0])
    np.testing.assert_array_equal(columns[1], [0, 0, 1])
    np.testing.assert_allclose(columns[2], [1 / 2, 2 / 3, 3 / 4], rtol=1e-5)
    np.testing.assert_allclose(columns[3], [1 / 1.1, 1 / 1.1, 0.5 / 0.6], rtol=1e-5)
    np.testing.assert_allclose(columns[4], [0, 0.5, 1])
    np.testing.assert_allclose(columns[5], np.array([0.5, 1, 0.5]) / 15.95, rtol=1e-5)
    np.testing.assert_allclose(columns[6], np.log([2, 1, 4]) / np.log(11), atol=1e-6)
    np.testing.assert_allclose(columns[7], np.array([1, 1, 2]) / 15.95, rtol=1e-5)


def test_only_users_that_were_decided_for_are_remembered() -> None:
    policy, observation = untrained_policies.drac(), at_random(1)
    decides = jnp.arange(USERS) < 3
    observation = eqx.tree_at(lambda o: o.decides, observation, decides)
    before = first_memory(policy, observation)
    _, after = act(policy, before, observation, KEY)
    for one, other in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True):
        np.testing.assert_array_equal(np.any(np.asarray(one != other), axis=1), decides)


def test_what_is_remembered_counts() -> None:
    policy, observation = untrained_policies.drac(), at_random(1)
    observation = eqx.tree_at(lambda o: o.decides, observation, jnp.ones(USERS, bool))
    memory = first_memory(policy, observation)
    first, memory = act(policy, memory, observation, KEY)
    second, _ = act(policy, memory, observation, KEY)
    assert any(
        np.any(np.asarray(one != other))
        for one, other in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True)
    )


def renamed(observation: Observation, name: np.ndarray) -> Observation:
    """Server and station `l` under the name `name[l]`."""
    old = np.argsort(name)
    net = observation.infrastructure
    square = lambda table: table[old][:, old]  # noqa: E731
    return eqx.tree_at(
        lambda o: (
            *(o.infrastructure.server_hz, o.infrastructure.hops),
            *(o.news, o.host, o.station),
        ),
        observation,
        (
            *(net.server_hz[old], square(net.hops)),
            jax.tree.map(square, observation.news),
            *(jnp.asarray(name)[observation.host], jnp.asarray(name)[observation.station]),
        ),
    )


def test_a_servers_name_means_nothing() -> None:
    policy, name = untrained_policies.drac(), np.array([2, 0, 1], np.int32)
    for seed in range(4):
        observation = at_random(seed)
        one, other = decide(policy, observation), decide(policy, renamed(observation, name))
        takes = np.asarray(observation.decides)
        np.testing.assert_array_equal(name[np.asarray(one.server)[takes]], other.server[takes])
        np.testing.assert_allclose(one.cpu_share[takes], other.cpu_share[takes])
        np.testing.assert_allclose(one.offload_ratio[takes], other.offload_ratio[takes])


def test_it_runs_with_any_number_of_users_and_servers() -> None:
    policy = untrained_policies.drac()
    assert policy.init(tiny(), 11, 5, KEY).per_user.hidden[0].shape == (11, 16)
    five = network([1e9] * 5, line(5))
    action = decide(policy, seen(five, [0, 1, 2, 3, 4] * 2, size=10))
    assert np.all((action.server >= 0) & (action.server < 5))


def test_exploring_follows_the_odds() -> None:
    """Odds of 3 : 1 between the first two ratios, none for others; shares all alike."""
    made = untrained_policies.drac()
    actor = made.network.actor
    bias = jnp.full(22, -30.0).at[0].set(0).at[1].set(jnp.log(3.0)).at[2].set(0).at[12:].set(0)
    made = eqx.tree_at(
        lambda p: (p.network.actor.weight, p.network.actor.bias),
        made,
        (jnp.zeros_like(actor.weight), bias),
    )
    observation = seen(THREE, [0] * USERS)
    greedy = decide(made, observation)
    np.testing.assert_array_equal(greedy.offload_ratio, np.zeros(USERS))
    np.testing.assert_array_equal(greedy.server, np.zeros(USERS))
    explorer: Drac = eqx.tree_at(lambda p: p.explores, made, jnp.asarray(True))
    found = [decide(explorer, observation, seed) for seed in range(100)]
    ratios = np.concatenate([action.offload_ratio for action in found])
    assert set(ratios.round(1)) == {0.0, np.float32(0.1)}
    assert np.mean(ratios == 0) == pytest.approx(0.75, abs=0.06)  # Standard deviation 0.016.
    servers = np.concatenate([action.server for action in found])
    assert np.bincount(servers, minlength=SERVERS).min() > 0.25 * len(servers)
    shares = np.concatenate([action.cpu_share for action in found])
    assert len(np.unique(shares.round(1))) == 10
