"""The radio link between a user and its station."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from isma.simulator.params import Params
from isma.simulator.state import Draws, Fading, Motion, State
from isma.world import radio, umi


def gain(
    params: Params,
    fading: Fading | None,
    position_m: Float[Array, "users *tasks 2"],
    station: Int[Array, "users *#tasks"],
) -> Float[Array, "users *tasks"]:
    """Channel gain g from a position to a station."""
    squared = _squared_m2(params, position_m, station)
    if params.streets is None or fading is None:
        return radio.channel_gain(
            squared, params.gain_at_1m, params.loss_exponent, params.min_distance_m
        )
    distance_m = jnp.sqrt(jnp.maximum(squared, params.min_distance_m**2))
    tasks = (1,) * (distance_m.ndim - 1)
    shadow, sight = (value.reshape(-1, *tasks) for value in (fading.shadow, fading.sight))
    sees, streets = umi.has_sight(distance_m, sight), params.streets
    mean_db = umi.loss_db(distance_m, sees, streets.carrier_hz, streets.station_m, streets.user_m)
    return 10 ** (-(mean_db + umi.of_sight(sees, umi.SHADOW_STD_DB) * shadow) / 10)


def fade(
    params: Params, state: State, ahead: Motion, station: Int[Array, "users"], draws: Draws
) -> Fading | None:
    """Fading at the tick's end, correlated over the distance moved; a new station is a new link."""
    fading = state.fading
    if fading is None or draws.fading is None:
        return None
    path_m = ahead.position_m - state.motion.position_m
    moved_m = jnp.sqrt(path_m[:, 0] ** 2 + path_m[:, 1] ** 2)
    squared = _squared_m2(params, state.motion.position_m, state.station)
    distance_m = jnp.sqrt(jnp.maximum(squared, params.min_distance_m**2))
    reach_m = umi.of_sight(umi.has_sight(distance_m, fading.sight), umi.SHADOW_REACH_M)
    shadow, sight = draws.fading[:, 0], draws.fading[:, 1]
    new = station != state.station
    return Fading(
        jnp.where(new, shadow, umi.wander(fading.shadow, shadow, moved_m, reach_m)),
        jnp.where(new, sight, umi.wander(fading.sight, sight, moved_m, umi.SIGHT_REACH_M)),
    )


def _squared_m2(
    params: Params, position_m: Float[Array, "users *tasks 2"], station: Int[Array, "users *#tasks"]
) -> Float[Array, "users *tasks"]:
    offset = position_m - params.site_m[station]
    return offset[..., 0] ** 2 + offset[..., 1] ** 2
