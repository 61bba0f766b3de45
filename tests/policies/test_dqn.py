"""DQN as a policy: what it reads, what it takes, and where it refuses to run."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import untrained_policies
from helpers.small_worlds import SERVERS, USERS, decide, line, network, seen, tiny

from isma.errors import PolicyError
from isma.model import vectors
from isma.model.situation import Asked
from isma.policies.learned import features
from isma.policies.learned.dqn import Dqn, DqnFrame, network_input

KEY = jax.random.key(0)
THREE = network([1e9, 1e9, 2e9], line(3))


def with_last_layer(weight: dict[tuple[int, int], float], bias: dict[int, float]) -> Dqn:
    """A network whose value of an action is a bias, and so many times an entry of its input."""
    made = untrained_policies.dqn()
    inputs = DqnFrame(SERVERS, 16).inputs
    layers = made.network.layers
    pass_on = jnp.eye(inputs, 16), jnp.zeros(16)
    last = jnp.zeros(layers[2].weight.shape), jnp.zeros(layers[2].bias.shape)
    for (entry, number), value in weight.items():
        last = last[0].at[entry, number].set(value), last[1]
    for number, value in bias.items():
        last = last[0], last[1].at[number].set(value)
    values = [*pass_on, jnp.eye(16), jnp.zeros(16), *last]
    arrays = lambda net: [leaf for layer in net.layers for leaf in (layer.weight, layer.bias)]  # noqa: E731
    return eqx.tree_at(lambda policy: arrays(policy.network), made, values)


def test_what_it_reads_by_hand() -> None:
    """User 1 of server 2 at station 1: 12 Mbit of 24, load 1 on server 0 leaves half of 1 GHz."""
    observation = seen(THREE, [0, 2], [0, 1], data_mbit=[1, 12], work_s=9, load=[1.0, 0.0, 3.0])
    scales = vectors.scales([tiny()])
    row = np.asarray(features.request_alone(observation, scales))[1]
    assert row.shape == (features.request_size(3),) == (14,)
    assert row[0] == pytest.approx(0.5)  # c: 12 of 24 Mbit.
    assert row[2] == pytest.approx(0.1)  # f^r: 9 of 90 Gcycles.
    np.testing.assert_array_equal(row[5:8], [0, 1, 0])
    np.testing.assert_array_equal(row[8:11], [0, 0, 1])
    np.testing.assert_allclose(row[11:], np.array([0.5, 1, 0.5]) / 15.95, rtol=1e-5)
    asked = Asked(jnp.array([[0.5, 0, 1.5]]), jnp.array([[1.0, 0, 2]]))
    read = network_input(jnp.asarray(row)[None], asked, literal=False)[0]
    np.testing.assert_allclose(read[14:], [0.05, 0, 0.15, 0.1, 0, 0.2], rtol=1e-6)
    alone = network_input(jnp.asarray(row)[None], asked, literal=True)[0]
    np.testing.assert_array_equal(alone, row)
    assert DqnFrame(3, 16).inputs == len(read)
    assert DqnFrame(3, 16, literal=True).inputs == len(alone)


def test_it_takes_what_is_worth_most() -> None:
    """Numbers 256 (server 2, ratio 0.3, share 0.7) and 20 (server 0, ratio 0.2, share 0.1).

    Entry 0 is the data, 0.25 and 0.75 for 6 and 18 Mbit: 256 is worth 1, 20 is worth twice that.
    """
    policy = with_last_layer({(0, 20): 2.0}, {256: 1.0})
    action = decide(policy, seen(THREE, [0, 1], data_mbit=[6, 18]))
    assert action.server[:2].tolist() == [2, 0]
    assert action.offload_ratio[:2].tolist() == pytest.approx([0.3, 0.2])
    assert action.cpu_share[:2].tolist() == pytest.approx([0.7, 0.1])


def test_what_was_chosen_before_counts() -> None:
    """Entry 14 is what was asked of server 0 in this round, a tenth of it: 0, then 1, then 1."""
    policy = with_last_layer({(14, 256): 20.0}, {109: 1.0})  # 109: server 0, ratio 1, share 1.
    action = decide(policy, seen(THREE, [1, 1, 1]))
    assert action.server[:3].tolist() == [0, 2, 2]
    assert decide(policy, seen(THREE, [0, 1, 2])).server[:3].tolist() == [0, 0, 0]


def test_exploring_is_uniform_and_otherwise_greedy() -> None:
    """With ε = 0.5 half of the choices are the best, the others fall anywhere."""
    policy = with_last_layer({}, {256: 1.0})
    explorer = eqx.tree_at(lambda p: p.explore, policy, jnp.asarray(0.5))
    observation = seen(THREE, [0] * USERS)
    actions = [decide(explorer, observation, seed) for seed in range(100)]
    best = [np.isclose(a.cpu_share, 0.7) & np.isclose(a.offload_ratio, 0.3) for a in actions]
    # 700 draws: 0.5 with a standard deviation of 0.02.
    assert np.mean(best) == pytest.approx(0.5, abs=0.08)
    others = np.concatenate([np.asarray(a.server)[~b] for a, b in zip(actions, best, strict=True)])
    assert np.bincount(others, minlength=3).min() > 0.25 * len(others)
    shares = np.concatenate(
        [np.asarray(a.cpu_share)[~b] for a, b in zip(actions, best, strict=True)]
    )
    assert len(np.unique(shares.round(1))) == 10


def test_any_number_of_users_but_only_its_servers() -> None:
    policy = untrained_policies.dqn()
    assert policy.init(tiny(), 1000, SERVERS, KEY).per_user is None
    with pytest.raises(PolicyError, match="for 3 servers, and paper has 5: train"):
        policy.init(tiny(), USERS, 5, KEY)
    small, large = seen(THREE, [0, 1, 2], size=3), seen(THREE, [0, 1, 2], size=20)
    np.testing.assert_array_equal(
        decide(policy, small).server[:3], decide(policy, large).server[:3]
    )
