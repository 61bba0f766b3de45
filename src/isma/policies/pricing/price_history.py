"""Price history: long-run mean prices of servers, from the broadcasts that each server receives.

Some servers are full in the long run, since users gather there, and others for the moment. The first shows in
a server's own mean over time. The lasting part of the variance between servers is their correlation ratio
η² (Pearson 1905), the variance of the means over the mean variance, corrected for chance: with deviations
that decay in τ, a mean over t keeps the part f = 2 τ/t (1 - τ/t (1 - e^(-t/τ))) of their variance (the mean
of a first-order autoregressive process). The lasting part is (η² - f) / (1 - f).
"""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from isma.contract import Observation

_LEAST = 1e-12
"""Variance of servers that are all alike."""
_NEVER = -1


class LongRunPrice(NamedTuple):
    """Estimate of the long-run root prices √λ, in a row for each server that received them."""

    deviation: Float[Array, "listeners servers"]
    """Lasting deviation of each server's mean √λ from the mean over all servers."""
    lasting_part: Float[Array, "listeners"]
    """Part of the variance between servers that lasts, 0 to 1."""


class PriceHistory(eqx.Module):
    """Running moments of the prices that each server has received."""

    last_slot: Int[Array, "listeners"]
    """Slot of the last update; -1 before the first."""
    known_s: Float[Array, "listeners"]
    """Time over which they were received."""
    mean: Float[Array, "listeners servers"]
    """Of √λ, over that time."""
    variance: Float[Array, "listeners"]
    """Variance of √λ between servers, on average over that time."""

    @classmethod
    def none(cls, num_servers: int) -> "PriceHistory":
        """History before the first broadcast."""
        none = jnp.zeros(num_servers)
        never = jnp.full(num_servers, _NEVER, jnp.int32)
        return cls(never, none, jnp.zeros((num_servers, num_servers)), none)

    def long_run(self, decay_s: float) -> LongRunPrice:
        """Estimate from the moments so far; deviations decay with the time constant τ."""
        ratio = jnp.var(self.mean, axis=1) / jnp.maximum(self.variance, _LEAST)
        times = jnp.maximum(self.known_s / decay_s, _LEAST)
        by_chance = 2 / times * (1 - (1 - jnp.exp(-times)) / times)
        part = (ratio - by_chance) / jnp.maximum(1 - by_chance, _LEAST)
        part = jnp.where(self.known_s > 0, jnp.clip(part, 0, 1), 0)
        deviation = self.mean - jnp.mean(self.mean, axis=1, keepdims=True)
        return LongRunPrice(part[:, None] * deviation, part)


def update_history(before: PriceHistory, observation: Observation) -> PriceHistory:
    """History after the broadcasts known at a decision, which count for the time since the last one."""
    root_price, slot = jnp.sqrt(observation.news.price_s), observation.slot.astype(jnp.int32)
    passed = jnp.where(before.last_slot < 0, 0, slot - before.last_slot)
    passed_s = passed * observation.infrastructure.slot_s
    known_s = before.known_s + passed_s
    weight = passed_s / jnp.maximum(known_s, _LEAST)
    return PriceHistory(
        jnp.full_like(before.last_slot, slot),
        known_s,
        before.mean + weight[:, None] * (root_price - before.mean),
        before.variance + weight * (jnp.var(root_price, axis=1) - before.variance),
    )
