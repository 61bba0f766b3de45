"""Replay buffer: experience of many rounds, from which batches are drawn; the oldest makes room."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree

from isma import randomness
from isma.model.elbo import Sequences


class Replay(eqx.Module):
    """Room for a number of items, as worlds or rounds, written in turn."""

    kept: PyTree
    """Experience with a leading axis of items."""
    written: Int[Array, ""]
    """Items ever written."""

    @property
    def capacity(self) -> int:
        """Items for which there is room."""
        return jax.tree.leaves(self.kept)[0].shape[0]

    @property
    def filled(self) -> Int[Array, ""]:
        """Items that are kept."""
        return jnp.minimum(self.written, self.capacity)

    @classmethod
    def blank(cls, capacity: int, like: PyTree) -> "Replay":
        """No experience yet; room for `capacity` items of that form."""
        room = lambda leaf: jnp.zeros((capacity, *leaf.shape), leaf.dtype)  # noqa: E731
        return cls(jax.tree.map(room, like), jnp.zeros((), jnp.int32))

    @classmethod
    def of(cls, items: PyTree) -> "Replay":
        """These items and no room for others."""
        full = cls(items, jnp.zeros((), jnp.int32))
        return cls(items, jnp.asarray(full.capacity, jnp.int32))

    def add(self, items: PyTree) -> "Replay":
        """Keep these items too, in the place of the oldest where there is no room."""
        number = jax.tree.leaves(items)[0].shape[0]
        place = (self.written + jnp.arange(number)) % self.capacity
        put = lambda old, new: old.at[place].set(new)  # noqa: E731
        return Replay(jax.tree.map(put, self.kept, items), self.written + number)

    def sequences(self, key: PRNGKeyArray, number: int, steps: int) -> Sequences:
        """`number` random sequences of every server, of `steps` decisions each; rows of servers."""
        _, servers, length, _ = self.kept.counted.shape
        world_key, start_key = jax.random.split(key)
        rows = (servers, number)
        world = randomness.whole(world_key, rows, 0, jnp.maximum(self.filled, 1))
        start = randomness.whole(start_key, rows, 0, length - steps + 1)
        index = start[..., None] + jnp.arange(steps)
        server = jnp.arange(servers)[:, None, None]
        return jax.tree.map(lambda leaf: leaf[world[..., None], server, index], self.kept)

    def transitions(self, key: PRNGKeyArray, number: int) -> "Transitions":
        """`number` random transitions; those without a known outcome are marked."""
        _, rows, steps = self.kept.reward.shape
        keys = jax.random.split(key, 3)
        most = (jnp.maximum(self.filled, 1), rows, steps - 1)
        pairs = zip(keys, most, strict=True)
        place = tuple(randomness.whole(key, (number,), 0, top) for key, top in pairs)
        now = jax.tree.map(lambda leaf: leaf[place], self.kept)
        following = self.kept.seen[(*place[:2], place[2] + 1)]
        return Transitions(now.seen, now.number, now.reward, following, now.known)


class Steps(eqx.Module):
    """Decisions of users in their order: rows of users, columns of decisions."""

    seen: Float[Array, "*rows steps inputs"]
    """Input of the network."""
    number: Int[Array, "*rows steps"]
    """Action taken."""
    reward: Float[Array, "*rows steps"]
    known: Bool[Array, "*rows steps"]

    @classmethod
    def blank(cls, rows: int, steps: int, inputs: int) -> "Steps":
        """Form of a round's decisions, all zero."""
        room = jnp.zeros((rows, steps))
        wide = jnp.zeros((rows, steps, inputs))
        return cls(wide, room.astype(jnp.int32), room, room.astype(bool))


class Transitions(NamedTuple):
    """Decisions, their rewards, and the input of the next decision about the same user."""

    seen: Float[Array, "batch inputs"]
    number: Int[Array, "batch"]
    reward: Float[Array, "batch"]
    following: Float[Array, "batch inputs"]
    known: Bool[Array, "batch"]
