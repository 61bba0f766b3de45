"""Payback time of a move by one hop: the row of a table of decisions for many users.

Users differ in data and state. Where the delay of a path grows with its hops, all that matters of that is
how long one hop takes to pay back: the delay that a move by one hop adds, over the delay that one hop adds
to each task.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

_RANGE_S = (0.1, 1e4)
"""Range of payback times that a table resolves: below nearly all moves pay, above none."""
_LEVELS_PER_DECADE = 8


def levels_s() -> Float[Array, "levels"]:
    """The payback times that tables are made for."""
    low, high = np.log10(_RANGE_S)
    return jnp.logspace(low, high, round((high - low) * _LEVELS_PER_DECADE) + 1)


def level(payback_s: Float[Array, "users"]) -> Int[Array, "users"]:
    """The nearest of them."""
    low, high = np.log10(_RANGE_S)
    levels = round((high - low) * _LEVELS_PER_DECADE)
    place = (jnp.log10(jnp.maximum(payback_s, _RANGE_S[0])) - low) * _LEVELS_PER_DECADE
    return jnp.clip(jnp.round(place), 0, levels).astype(jnp.int32)
