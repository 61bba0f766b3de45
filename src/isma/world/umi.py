"""Path loss in street canyons: UMi of 3GPP TR 38.901 (V17, tables 7.4.1-1, 7.4.2-1, 7.5-6, 7.6.3.1-2).

A link has line of sight or has not, by a chance that falls with distance; the loss is normally
distributed around a mean of each case. Both change slowly while a user moves.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

LIGHT_MPS = 3.0e8
"""As the report has it."""
SHADOW_STD_DB = (7.82, 4.0)
"""Standard deviation of shadowing without and with line of sight."""
SHADOW_REACH_M = (13.0, 10.0)
"""Distance over which shadowing is correlated, without and with line of sight."""
SIGHT_REACH_M = 50.0
"""Distance over which having line of sight is correlated."""
_GROUND_M = 1.0
"""Effective height of the environment."""


def sight_chance(distance_m: Float[Array, "..."]) -> Float[Array, "..."]:
    """Chance of line of sight at a distance on the ground."""
    near = 18 / jnp.maximum(distance_m, 18)
    return near + jnp.exp(-distance_m / 36) * (1 - near)


def has_sight(distance_m: Float[Array, "..."], sight: Float[Array, "..."]) -> Bool[Array, "..."]:
    """Whether a link whose standard normal variable is `sight` has line of sight."""
    return jax.scipy.special.ndtr(sight) < sight_chance(distance_m)


def loss_db(
    distance_m: Float[Array, "..."],
    sees: Bool[Array, "..."],
    carrier_hz: Float[Array, ""],
    station_m: Float[Array, ""],
    user_m: Float[Array, ""],
) -> Float[Array, "..."]:
    """Mean path loss at a distance on the ground, for antennas at these heights."""
    carrier_db = 20 * jnp.log10(carrier_hz / 1e9)
    apart2 = (station_m - user_m) ** 2
    slant_db = 10 * jnp.log10(distance_m**2 + apart2) / 2
    bend_m = 4 * (station_m - _GROUND_M) * (user_m - _GROUND_M) * carrier_hz / LIGHT_MPS
    near_db = 32.4 + 2.1 * slant_db + carrier_db
    far_db = 32.4 + 4.0 * slant_db + carrier_db - 9.5 * jnp.log10(bend_m**2 + apart2)
    sight_db = jnp.where(distance_m <= bend_m, near_db, far_db)
    hidden_db = 22.4 + 3.53 * slant_db + 1.065 * carrier_db - 0.3 * (user_m - 1.5)
    return jnp.where(sees, sight_db, jnp.maximum(sight_db, hidden_db))


def of_sight(sees: Bool[Array, "..."], pair: tuple[float, float]) -> Float[Array, "..."]:
    """The one of two values that holds without and with line of sight."""
    return jnp.where(sees, pair[1], pair[0])


def wander(
    value: Float[Array, "users"],
    draw: Float[Array, "users"],
    moved_m: Float[Array, "users"],
    reach_m: Float[Array, "users"] | float,
) -> Float[Array, "users"]:
    """A standard normal variable further on: its correlation falls as exp(-distance / reach)."""
    kept = jnp.exp(-moved_m / reach_m)
    return kept * value + jnp.sqrt(1 - kept**2) * draw
