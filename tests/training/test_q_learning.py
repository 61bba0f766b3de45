"""Q-learning: its loss by hand, and values that come out as they should."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from isma.model.layers import Dense, Mlp, identity
from isma.training.descent import Descent
from isma.training.q_learning import QLearning
from isma.training.replay import Replay, Steps, Transitions

LEARNING = QLearning(Descent(0.05, total_updates=400, clip_norm=10.0), batch=32, discount=0.5)


def constant(*values: float) -> Mlp:
    """A network that gives these values, whatever it reads."""
    width = len(values)
    return Mlp((Dense(jnp.zeros((1, width)), jnp.asarray(values)),), (identity,))


def test_the_loss_by_hand() -> None:
    """The network prefers action 1 next, which the target network holds to be worth 4.

    Worth: 1 + 0.5 · 4 = 3. It values action 0 at 2.5, off by 0.5: 0.125. Action 1 at 5: off by 2,
    beyond 1, so 2 - 0.5 = 1.5. The third is unknown.
    """
    batch = Transitions(
        seen=jnp.zeros((3, 1)),
        number=jnp.array([0, 1, 0]),
        reward=jnp.array([1.0, 1.0, -900.0]),
        following=jnp.zeros((3, 1)),
        known=jnp.array([True, True, False]),
    )
    loss = LEARNING.loss(constant(2.5, 5.0), constant(7.0, 4.0), batch)
    assert float(loss) == pytest.approx((0.125 + 1.5) / 2)


def test_values_become_those_of_a_small_chain() -> None:
    """Seen 1 or 0; action 1 pays where 1 is seen, and the next sight is the other one.

    With γ = 0.5: Q(1, 1) = 1 + 0.5 Q(0, ·), Q(0, ·) = 0.5 Q(1, 1): 4/3 and 2/3, Q(1, 0) = 1/3.
    """
    rows, steps = 64, 9
    seen = (np.arange(rows)[:, None] + np.arange(steps)) % 2
    number = np.random.default_rng(0).integers(0, 2, (rows, steps))
    reward = (seen * number).astype(float)
    experience = Steps(
        jnp.asarray(seen[..., None], float),
        *(jnp.asarray(number, jnp.int32), jnp.asarray(reward)),
        jnp.ones((rows, steps), bool),
    )
    kept = Replay.of(jax.tree.map(lambda leaf: leaf[None], experience))
    network = Mlp.make(jax.random.key(0), (1, 16, 2), (jnp.tanh, identity))
    optimiser = LEARNING.descent.first(network)
    for turn in range(8):
        keys = jax.random.split(jax.random.key(turn), 50)
        network, optimiser, loss = LEARNING.updates(network, network, optimiser, kept, keys)
    values = np.asarray(network(jnp.array([[0.0], [1.0]])))
    np.testing.assert_allclose(values, [[2 / 3, 2 / 3], [1 / 3, 4 / 3]], atol=0.05)
    assert float(loss) < 0.01
