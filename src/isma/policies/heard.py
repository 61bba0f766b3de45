"""What servers are usually like, learned from the prices that each one hears.

Some servers are full for long, since users gather there, and others are full for now. The first is a
server's own mean over time. How far means tell servers apart is their correlation ratio η² (Pearson
1905): the variance of the means as a part of the mean variance. Chance sets short means apart too: if
what comes and goes forgets itself in τ, a mean over t keeps the part f = 2 τ/t (1 - τ/t (1 - e^(-t/τ)))
of its variance, that of the mean of a first-order process. What lasts is (η² - f) / (1 - f).
"""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from isma.contract import Observation

_FORGETS_S = 30.0
"""τ, taken for all worlds and not tuned: in the city what is odd beside a server's own mean halves in half
a minute (docs/decisions/0024)."""
_LEAST = 1e-12
"""Variance of servers that are all alike."""
_NEVER = -1


class Usual(NamedTuple):
    """What is usual at places: in a row for each server that heard it, or for each user it decides for."""

    apart: Float[Array, "rows places"]
    """By how much the mean √λ of each is above that of all servers, as far as that lasts."""
    part: Float[Array, "rows"]
    """How much of what sets servers apart lasts, 0 to 1."""


class Heard(eqx.Module):
    """What a server remembers of the prices of all."""

    last_slot: Int[Array, "listeners"]
    """When it heard them last; -1 before."""
    known_s: Float[Array, "listeners"]
    """Time over which it heard them."""
    mean: Float[Array, "listeners servers"]
    """Of √λ, over that time."""
    spread: Float[Array, "listeners"]
    """Variance of √λ over servers, on average over that time."""

    @classmethod
    def nothing(cls, num_servers: int) -> "Heard":
        """Nothing has been heard yet."""
        none = jnp.zeros(num_servers)
        never = jnp.full(num_servers, _NEVER, jnp.int32)
        return cls(never, none, jnp.zeros((num_servers, num_servers)), none)

    def usual(self) -> Usual:
        """What is taken to be usual."""
        ratio = jnp.var(self.mean, axis=1) / jnp.maximum(self.spread, _LEAST)
        times = jnp.maximum(self.known_s / _FORGETS_S, _LEAST)
        by_chance = 2 / times * (1 - (1 - jnp.exp(-times)) / times)
        part = (ratio - by_chance) / jnp.maximum(1 - by_chance, _LEAST)
        part = jnp.where(self.known_s > 0, jnp.clip(part, 0, 1), 0)
        apart = self.mean - jnp.mean(self.mean, axis=1, keepdims=True)
        return Usual(part[:, None] * apart, part)


def hear(before: Heard, observation: Observation) -> Heard:
    """What is known after the news of a decision, which counts for the time since the last."""
    pull, slot = jnp.sqrt(observation.news.price_s), observation.slot.astype(jnp.int32)
    passed = jnp.where(before.last_slot < 0, 0, slot - before.last_slot)
    passed_s = passed * observation.infrastructure.slot_s
    known_s = before.known_s + passed_s
    weight = passed_s / jnp.maximum(known_s, _LEAST)
    return Heard(
        jnp.full_like(before.last_slot, slot),
        known_s,
        before.mean + weight[:, None] * (pull - before.mean),
        before.spread + weight * (jnp.var(pull, axis=1) - before.spread),
    )
