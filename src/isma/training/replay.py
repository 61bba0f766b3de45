"""Kept experience, from which batches of sequences are drawn; the oldest worlds make room."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from isma import randomness
from isma.model.elbo import Sequences


class Replay(eqx.Module):
    """Room for a number of worlds, written in turn."""

    kept: Sequences
    """Rows of worlds and servers."""
    written: Int[Array, ""]
    """Worlds ever written."""

    @property
    def filled(self) -> Int[Array, ""]:
        """Worlds that are kept."""
        return jnp.minimum(self.written, self.kept.counted.shape[0])

    @classmethod
    def blank(cls, capacity: int, like: Sequences) -> "Replay":
        """No experience yet; room for `capacity` worlds like these."""
        room = lambda leaf: jnp.zeros((capacity, *leaf.shape[1:]), leaf.dtype)  # noqa: E731
        return cls(jax.tree.map(room, like), jnp.zeros((), jnp.int32))

    @classmethod
    def of(cls, worlds: Sequences) -> "Replay":
        """These worlds and no room for others."""
        return cls(worlds, jnp.asarray(worlds.counted.shape[0], jnp.int32))

    def add(self, worlds: Sequences) -> "Replay":
        """Keep these worlds too, in the place of the oldest where there is no room."""
        number, room = worlds.counted.shape[0], self.kept.counted.shape[0]
        place = (self.written + jnp.arange(number)) % room
        put = lambda old, new: old.at[place].set(new)  # noqa: E731
        return Replay(jax.tree.map(put, self.kept, worlds), self.written + number)

    def sample(self, key: PRNGKeyArray, number: int, steps: int) -> Sequences:
        """So many sequences of every server, of `steps` decisions from anywhere; rows of servers."""
        _, servers, length, _ = self.kept.counted.shape
        world_key, start_key = jax.random.split(key)
        rows = (servers, number)
        world = randomness.whole(world_key, rows, 0, jnp.maximum(self.filled, 1))
        start = randomness.whole(start_key, rows, 0, length - steps + 1)
        index = start[..., None] + jnp.arange(steps)
        server = jnp.arange(servers)[:, None, None]
        return jax.tree.map(lambda leaf: leaf[world[..., None], server, index], self.kept)
