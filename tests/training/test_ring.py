"""The replay: the oldest round makes room, and a transition is of one user's next decision."""

import jax
import jax.numpy as jnp
import numpy as np

from isma.training.ring import Ring, Steps

ROWS, STEPS = 3, 4


def round_of(number: int) -> Steps:
    """Rewards that tell round, row and step: 100 n + 10 r + t; what is seen is the same."""
    row, step = np.ogrid[:ROWS, :STEPS]
    reward = jnp.asarray(100.0 * number + 10 * row + step)
    known = jnp.asarray(step % 2 == 0) & jnp.ones((ROWS, 1), bool)
    return Steps(reward[..., None], reward.astype(jnp.int32), reward, known)


def filled(rounds: int) -> Ring:
    ring = Ring.blank(2, ROWS, STEPS, 1)
    for number in range(1, rounds + 1):
        ring = ring.add(round_of(number))
    return ring


def test_transitions_are_of_one_user_and_its_next_decision() -> None:
    drawn = filled(1).sample(jax.random.key(0), 300)
    reward = np.asarray(drawn.reward)
    np.testing.assert_array_equal(drawn.seen[:, 0], reward)
    np.testing.assert_array_equal(drawn.number, reward)
    np.testing.assert_array_equal(drawn.following[:, 0], reward + 1)
    np.testing.assert_array_equal(drawn.known, reward % 2 == 0)
    # Everything but each row's last step, of the one round there is.
    assert set(reward) == {100 + 10 * row + step for row in range(3) for step in range(3)}


def test_the_oldest_round_makes_room() -> None:
    for rounds, kept in ((2, {1, 2}), (3, {2, 3}), (5, {4, 5})):
        drawn = filled(rounds).sample(jax.random.key(1), 200)
        assert set(np.asarray(drawn.reward).astype(int) // 100) == kept
