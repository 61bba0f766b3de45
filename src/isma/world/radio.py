"""Channel gain from distance: the log-distance path loss of JTORA (arXiv 1705.00704, section V)."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def channel_gain(
    squared_m2: Float[Array, "..."],
    gain_at_1m: Float[Array, ""],
    exponent: Float[Array, ""],
    min_distance_m: Float[Array, ""],
) -> Float[Array, "..."]:
    """Power gain g at the square root of `squared_m2` metres: g = gain_at_1m d^-exponent.

    A loss of `L dB at 1 km + S dB a decade` is `gain_at_1m = 10^((3 S - L) / 10)` and
    `exponent = S / 10`.
    """
    squared = jnp.maximum(squared_m2, min_distance_m**2)
    return gain_at_1m * squared ** (-exponent / 2)
