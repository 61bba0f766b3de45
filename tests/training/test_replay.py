"""The replay buffer: the oldest makes room; transitions are of one user, sequences of one server."""

import jax
import jax.numpy as jnp
import numpy as np

from isma.model.elbo import Sequences
from isma.training.replay import Replay, Steps

KEY = jax.random.key(4)
ROWS, STEPS = 3, 4


def round_of(number: int) -> Steps:
    """Rewards that tell round, row and step: 100 n + 10 r + t; what is seen is the same."""
    row, step = np.ogrid[:ROWS, :STEPS]
    reward = jnp.asarray(100.0 * number + 10 * row + step)
    known = jnp.asarray(step % 2 == 0) & jnp.ones((ROWS, 1), bool)
    return Steps(reward[..., None], reward.astype(jnp.int32), reward, known)


def filled(rounds: int) -> Replay:
    replay = Replay.blank(2, Steps.blank(ROWS, STEPS, 1))
    for number in range(1, rounds + 1):
        replay = replay.add(jax.tree.map(lambda leaf: leaf[None], round_of(number)))
    return replay


def test_transitions_are_of_one_user_and_its_next_decision() -> None:
    drawn = filled(1).transitions(jax.random.key(0), 300)
    reward = np.asarray(drawn.reward)
    np.testing.assert_array_equal(drawn.seen[:, 0], reward)
    np.testing.assert_array_equal(drawn.number, reward)
    np.testing.assert_array_equal(drawn.following[:, 0], reward + 1)
    np.testing.assert_array_equal(drawn.known, reward % 2 == 0)
    # Everything but each row's last step, of the one round there is.
    assert set(reward) == {100 + 10 * row + step for row in range(3) for step in range(3)}


def test_the_oldest_round_makes_room() -> None:
    for rounds, kept in ((2, {1, 2}), (3, {2, 3}), (5, {4, 5})):
        drawn = filled(rounds).transitions(jax.random.key(1), 200)
        assert set(np.asarray(drawn.reward).astype(int) // 100) == kept


def numbered(worlds: int, length: int) -> Sequences:
    """Rewards that tell world, server and step: 100 w + 10 s + t."""
    world, server, step = np.ogrid[:worlds, :2, :length]
    reward = jnp.asarray(100.0 * world + 10 * server + step)
    wide = reward[..., None]
    return Sequences(wide, wide, wide, jnp.ones(wide.shape, bool))


def one_world(length: int) -> Sequences:
    return jax.tree.map(lambda leaf: leaf[0], numbered(1, length))


def test_batches_are_cut_from_one_server_of_one_world() -> None:
    replay = Replay.blank(5, one_world(6)).add(numbered(2, 6)).add(numbered(1, 6))
    assert int(replay.filled) == 3
    batch = np.asarray(replay.sequences(KEY, 40, 4).reward[..., 0])
    assert batch.shape == (2, 40, 4)
    np.testing.assert_array_equal(np.diff(batch, axis=-1), 1)
    np.testing.assert_array_equal(batch[0] // 10 % 10, 0)
    np.testing.assert_array_equal(batch[1] // 10 % 10, 1)
    assert set((batch // 100).ravel()) == {0, 1}  # The third world is numbered 0 again.
    assert set((batch[..., 0] % 10).ravel()) == {0, 1, 2}


def test_the_oldest_worlds_make_room() -> None:
    replay = Replay.blank(2, one_world(6)).add(numbered(2, 6))
    third = jax.tree.map(lambda leaf: leaf + 700 if leaf.dtype != bool else leaf, numbered(1, 6))
    replay = replay.add(third)
    assert int(replay.filled) == 2
    assert set(np.asarray(replay.sequences(KEY, 40, 4).reward).ravel() // 100) == {1, 7}
