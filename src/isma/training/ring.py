"""The experience of the last rounds, from which DQN draws; the oldest round makes room."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from isma import randomness


class Steps(eqx.Module):
    """Decisions of users in their order: rows of users, columns of decisions."""

    seen: Float[Array, "*rows steps inputs"]
    """What the network read."""
    number: Int[Array, "*rows steps"]
    """The action taken."""
    reward: Float[Array, "*rows steps"]
    known: Bool[Array, "*rows steps"]


class Transitions(NamedTuple):
    """Decisions, what each brought, and what the next one of the same user was taken on."""

    seen: Float[Array, "batch inputs"]
    number: Int[Array, "batch"]
    reward: Float[Array, "batch"]
    following: Float[Array, "batch inputs"]
    known: Bool[Array, "batch"]


class Ring(eqx.Module):
    """Room for a number of rounds, written in turn."""

    kept: Steps
    """With a leading axis of rounds."""
    written: Int[Array, ""]
    """Rounds ever written."""

    @classmethod
    def blank(cls, rounds: int, rows: int, steps: int, inputs: int) -> "Ring":
        """Nothing kept yet."""
        room = jnp.zeros((rounds, rows, steps))
        nothing = Steps(
            jnp.zeros((*room.shape, inputs)), room.astype(jnp.int32), room, room.astype(bool)
        )
        return cls(nothing, jnp.zeros((), jnp.int32))

    def add(self, steps: Steps) -> "Ring":
        """Keep a round, in the place of the oldest if there is no room."""
        place = self.written % self.kept.reward.shape[0]
        put = lambda old, new: old.at[place].set(new)  # noqa: E731
        return Ring(jax.tree.map(put, self.kept, steps), self.written + 1)

    def sample(self, key: PRNGKeyArray, number: int) -> Transitions:
        """So many transitions from anywhere; those of which nothing is known are marked."""
        rounds, rows, steps = self.kept.reward.shape
        filled = jnp.clip(self.written, 1, rounds)
        keys = jax.random.split(key, 3)
        most = (filled, rows, steps - 1)
        pairs = zip(keys, most, strict=True)
        place = tuple(randomness.whole(key, (number,), 0, top) for key, top in pairs)
        now = jax.tree.map(lambda leaf: leaf[place], self.kept)
        following = self.kept.seen[(*place[:2], place[2] + 1)]
        return Transitions(now.seen, now.number, now.reward, following, now.known)
