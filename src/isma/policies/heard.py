"""What servers are usually like, learned from the prices that each one hears.

Some servers are full for long, since users gather there, and others are full for now. The first is a
server's own mean. How far it can be trusted is the intraclass correlation (Shrout and Fleiss, Psychol.
Bull. 1979): the variance of the servers' means over time, as a part of their variance at a time.
"""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from isma.contract import Observation

_LEAST = 1e-12
"""Variance of servers that are all alike."""


class Usual(NamedTuple):
    """What is usual at places: in a row for each server that heard it, or for each user it decides for."""

    pull: Float[Array, "rows places"]
    """Mean √λ."""
    part: Float[Array, "rows"]
    """How much of what sets servers apart is so for long, 0 to 1."""


class Heard(eqx.Module):
    """What a server remembers of the prices of all."""

    times: Float[Array, "listeners"]
    """Decisions at which it heard them."""
    mean: Float[Array, "listeners servers"]
    """Of √λ, over those."""
    spread: Float[Array, "listeners"]
    """Variance of √λ over servers, on average over those."""

    @classmethod
    def nothing(cls, num_servers: int) -> "Heard":
        """Nothing has been heard yet."""
        none = jnp.zeros(num_servers)
        return cls(none, jnp.zeros((num_servers, num_servers)), none)

    def usual(self) -> Usual:
        """What is taken to be usual."""
        between = jnp.var(self.mean, axis=1)
        return Usual(self.mean, jnp.clip(between / jnp.maximum(self.spread, _LEAST), 0, 1))


def hear(before: Heard, observation: Observation) -> Heard:
    """What is known after the news of a decision."""
    pull, times = jnp.sqrt(observation.news.price_s), before.times + 1
    return Heard(
        times,
        before.mean + (pull - before.mean) / times[:, None],
        before.spread + (jnp.var(pull, axis=1) - before.spread) / times,
    )
