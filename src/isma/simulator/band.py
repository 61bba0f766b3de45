"""A station's radio band, divided among the users that it serves."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from isma.planning.segment_sums import Pools
from isma.simulator.params import Params


def bandwidth_hz(
    params: Params, station: Int[Array, "users"], offload_ratio: Float[Array, "users"]
) -> Float[Array, "users"] | None:
    """Each user's part of its station's band: equal parts for all that offload.

    A user that does not offload gets the part that it would have if it began to. None where the band
    is not shared.
    """
    if not params.shape.shared_band:
        return None
    offloads = jnp.where(offload_ratio > 0, 1.0, 0.0).astype(offload_ratio.dtype)
    pools = Pools(station, params.shape.num_stations)
    others = pools.spread(pools.sum(offloads)) - offloads
    return params.infrastructure.bandwidth_hz / (others + 1)
