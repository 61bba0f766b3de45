"""Kept experience, from which batches of sequences are drawn."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from isma import randomness
from isma.model.bound import Sequences


class Replay(eqx.Module):
    """Room for a number of worlds; those beyond `filled` are blank."""

    kept: Sequences
    """Rows of worlds and servers."""
    filled: Int[Array, ""]

    @classmethod
    def blank(cls, capacity: int, like: Sequences) -> "Replay":
        """No experience yet; room for `capacity` worlds like these."""
        room = lambda leaf: jnp.zeros((capacity, *leaf.shape[1:]), leaf.dtype)  # noqa: E731
        return cls(jax.tree.map(room, like), jnp.zeros((), jnp.int32))

    @classmethod
    def of(cls, worlds: Sequences) -> "Replay":
        """These worlds and no room for others."""
        return cls(worlds, jnp.asarray(worlds.reward.shape[0], jnp.int32))

    def add(self, worlds: Sequences) -> "Replay":
        """Keep these worlds too."""
        put = lambda old, new: jax.lax.dynamic_update_slice_in_dim(old, new, self.filled, 0)  # noqa: E731
        filled = self.filled + worlds.reward.shape[0]
        return Replay(jax.tree.map(put, self.kept, worlds), filled)

    def sample(self, key: PRNGKeyArray, number: int, steps: int) -> Sequences:
        """So many sequences of every server, of `steps` decisions from anywhere; rows of servers."""
        _, servers, length = self.kept.reward.shape
        world_key, start_key = jax.random.split(key)
        rows = (servers, number)
        world = randomness.whole(world_key, rows, 0, jnp.maximum(self.filled, 1))
        start = randomness.whole(start_key, rows, 0, length - steps + 1)
        index = start[..., None] + jnp.arange(steps)
        server = jnp.arange(servers)[:, None, None]
        return jax.tree.map(lambda leaf: leaf[world[..., None], server, index], self.kept)
