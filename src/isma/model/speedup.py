"""Rewards as speed-ups: how many times faster than on its own CPU a user's task is completed.

A model forecasts ln(t^L / t), which a share of CPU enters as a term and a task's size does not
enter at all; t^L, the time on the user's own CPU, stands in its request (δmax).
"""

import jax.numpy as jnp
from jaxtyping import Array, Float


def reward(
    time_s: Float[Array, "*rows"], local_s: Float[Array, "*rows"], largest: float
) -> Float[Array, "*rows"]:
    """ln(t^L / t) as a part of `largest`; 0 where the task is no faster than on its user's CPU."""
    ratio = jnp.maximum(local_s, _LEAST_S) / jnp.maximum(time_s, _LEAST_S)
    return jnp.maximum(0, jnp.log(ratio)) / largest


def time_s(
    reward: Float[Array, "*#rows"], local_s: Float[Array, "*#rows"], largest: float
) -> Float[Array, "*rows"]:
    """Completion times, in seconds, that rewards stand for."""
    return local_s * jnp.exp(-largest * reward)


_LEAST_S = 1e-6
