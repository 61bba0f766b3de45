"""The radio link between a user and its station."""

from jaxtyping import Array, Float, Int

from isma.simulator.params import Params
from isma.world import radio


def gain(
    params: Params, position_m: Float[Array, "... 2"], station: Int[Array, "..."]
) -> Float[Array, "..."]:
    """Channel gain g from a position to a station."""
    offset = position_m - params.site_m[station]
    squared = offset[..., 0] ** 2 + offset[..., 1] ** 2
    return radio.channel_gain(
        squared, params.gain_at_1m, params.loss_exponent, params.min_distance_m
    )
