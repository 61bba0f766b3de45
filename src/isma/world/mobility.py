"""How users move: steadily with slowly turning headings, reflected at the border of the coverage."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from isma import randomness

NOWHERE = -1
"""Station of a user whose position is not known."""

_CANDIDATES = 64
"""Points drawn for each user's start: the chance that none is in a cell of its own is 10^-50."""


def uniform_start(
    key: PRNGKeyArray,
    num_users: int,
    site_m: Float[Array, "stations 2"],
    radius_m: Float[Array, ""],
) -> Float[Array, "users 2"]:
    """Draw positions, in metres, uniformly over the union of the stations' discs.

    A point drawn in a random disc counts only where that disc's station is the nearest, which
    makes overlaps no likelier than the rest. (Sites much denser than their radius may exhaust the
    draws; the last point then counts, still inside the union.)
    """
    which, angle, distance = jax.random.split(key, 3)
    shape = (num_users, _CANDIDATES)
    site = randomness.whole(which, shape, 0, site_m.shape[0])
    theta = randomness.uniform(angle, shape, high=2 * jnp.pi)
    radius = radius_m * jnp.sqrt(randomness.uniform(distance, shape))
    point = site_m[site] + radius[..., None] * jnp.stack([jnp.cos(theta), jnp.sin(theta)], -1)
    first = jnp.argmax(nearest_site(point, site_m) == site, axis=1)
    return jnp.take_along_axis(point, first[:, None, None], axis=1)[:, 0]


def uniform_start_by_retries(
    key: PRNGKeyArray,
    num_users: int,
    site_m: Float[Array, "stations 2"],
    radius_m: Float[Array, ""],
    neighbours: Int[Array, "stations neighbours"],
) -> Float[Array, "users 2"]:
    """Variant of `uniform_start` with memory for the users alone: draw again where a point does not count.

    It does if no neighbour of its disc's station is nearer than that station.
    """

    def again(carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        draw, point, counts = carry
        which, angle, distance = jax.random.split(jax.random.fold_in(key, draw), 3)
        site = randomness.whole(which, (num_users,), 0, site_m.shape[0], jnp.int32)
        theta = randomness.uniform(angle, (num_users,), high=2 * jnp.pi)
        radius = radius_m * jnp.sqrt(randomness.uniform(distance, (num_users,)))
        drawn = site_m[site] + radius[:, None] * jnp.stack([jnp.cos(theta), jnp.sin(theta)], -1)
        inside = _nearer(drawn, site, site_m, neighbours) == site
        return draw + 1, jnp.where(counts[:, None], point, drawn), counts | inside

    def more(carry: tuple[Array, Array, Array]) -> Bool[Array, ""]:
        return (carry[0] < _CANDIDATES) & ~jnp.all(carry[2])

    none = jnp.zeros_like(site_m, shape=(num_users, 2))
    start = (jnp.zeros((), jnp.int32), none, jnp.zeros((num_users,), bool))
    return jax.lax.while_loop(more, again, start)[1]


def disc_start(
    key: PRNGKeyArray, num_users: int, centre_m: Float[Array, "2"], radius_m: Float[Array, ""]
) -> Float[Array, "users 2"]:
    """Draw positions, in metres, uniformly over one disc."""
    angle, distance = jax.random.split(key)
    theta = randomness.uniform(angle, (num_users,), radius_m.dtype, high=2 * jnp.pi)
    radius = radius_m * jnp.sqrt(randomness.uniform(distance, (num_users,), radius_m.dtype))
    return centre_m + radius[:, None] * jnp.stack([jnp.cos(theta), jnp.sin(theta)], -1)


def road_start(
    key: PRNGKeyArray, num_users: int, ends_m: Float[Array, "2"], north_m: Float[Array, ""]
) -> Float[Array, "users 2"]:
    """Draw positions, in metres, uniformly along a road from west to east."""
    along = randomness.uniform(key, (num_users,), ends_m.dtype)
    east_m = ends_m[0] + (ends_m[1] - ends_m[0]) * along
    return jnp.stack([east_m, jnp.full_like(east_m, north_m)], -1)


def drive(
    position_m: Float[Array, "users 2"],
    heading_rad: Float[Array, "users"],
    step_m: Float[Array, ""],
    ends_m: Float[Array, "2"],
) -> tuple[Float[Array, "users 2"], Float[Array, "users"]]:
    """Go `step_m` metres east (heading 0) or west (π), and turn round at the ends of the road."""
    east = heading_rad < jnp.pi / 2
    ahead = position_m[:, 0] + jnp.where(east, step_m, -step_m)
    inside = jnp.clip(ahead, ends_m[0], ends_m[1])
    turns = inside != ahead
    heading = jnp.where(turns != east, 0.0, jnp.pi).astype(heading_rad.dtype)
    return jnp.stack([2 * inside - ahead, position_m[:, 1]], -1), heading


def nearest_site(position_m: Float[Array, "... 2"], site_m: Float[Array, "stations 2"]) -> Array:
    """Index of the station nearest to each position: the one with the strongest signal."""
    return jnp.argmin(_squared_distance(position_m, site_m), axis=-1).astype(jnp.int32)


def walk_to_nearest(
    position_m: Float[Array, "users 2"],
    station: Int[Array, "users"],
    site_m: Float[Array, "stations 2"],
    neighbours: Int[Array, "stations neighbours"],
) -> Int[Array, "users"]:
    """Variant of `nearest_site` that walks there from a station over the Delaunay triangulation.

    A station whose neighbours there are all farther is the nearest of all, because its cell is cut
    out by them alone. So it is enough to go to the nearest neighbour until none is nearer: a step or
    two after a small motion, however many stations there are. It stops between two that rounding
    makes equally far: stations millimetres apart.
    """

    def go(carry: tuple[Array, Array]) -> tuple[Array, Array]:
        station, _ = carry
        nearer = _nearer(position_m, station, site_m, neighbours)
        return nearer, jnp.any(nearer != station)

    start = (station.astype(jnp.int32), jnp.asarray(True))
    return jax.lax.while_loop(lambda carry: carry[1], go, start)[0]


def _nearer(
    position_m: Float[Array, "users 2"],
    station: Int[Array, "users"],
    site_m: Float[Array, "stations 2"],
    neighbours: Int[Array, "stations neighbours"],
) -> Int[Array, "users"]:
    """The nearest of a station's neighbours where that is nearer than the station itself."""
    # One column after another, so that no table of users and neighbours is kept.
    best, best_m2 = station, _distance_m2(position_m, site_m[station])
    for column in range(neighbours.shape[1]):
        other = neighbours[station, column]
        distance_m2 = _distance_m2(position_m, site_m[other])
        best, best_m2 = (
            jnp.where(distance_m2 < best_m2, other, best),
            jnp.minimum(distance_m2, best_m2),
        )
    return best


def advance(
    position_m: Float[Array, "users 2"],
    heading_rad: Float[Array, "users"],
    turn_rad: Float[Array, "users"],
    step_m: Float[Array, ""],
    site_m: Float[Array, "stations 2"],
    radius_m: Float[Array, ""],
    nearest: Callable[[Float[Array, "users 2"]], Int[Array, "users"]] | None = None,
) -> tuple[Float[Array, "users 2"], Float[Array, "users"]]:
    """Turn by `turn_rad`, go `step_m` metres, and reflect at the border of the union of discs.

    A user that would leave the disc of its nearest station is mirrored at that disc's rim, and its
    heading at the rim's tangent. `nearest` finds that station; None looks at all of them.
    """
    heading = heading_rad + turn_rad
    direction = jnp.stack([jnp.cos(heading), jnp.sin(heading)], -1)
    ahead = position_m + step_m * direction
    centre = site_m[nearest_site(ahead, site_m) if nearest is None else nearest(ahead)]
    outward = ahead - centre
    distance = jnp.sqrt(_distance_m2(ahead, centre))
    normal = outward / jnp.maximum(distance, 1e-9)[:, None]
    outside = distance > radius_m
    mirrored = ahead - 2 * (distance - radius_m)[:, None] * normal
    # Mirroring a direction at angle θ on a tangent whose normal has angle ν gives 2ν + π - θ.
    reflected = 2 * jnp.arctan2(normal[:, 1], normal[:, 0]) + jnp.pi - heading
    position = jnp.where(outside[:, None], mirrored, ahead)
    return position, jnp.where(outside, reflected, heading)


def _distance_m2(
    a_m: Float[Array, "users 2"], b_m: Float[Array, "users 2"]
) -> Float[Array, "users"]:
    offset = a_m - b_m
    return offset[:, 0] ** 2 + offset[:, 1] ** 2


def _squared_distance(
    position_m: Float[Array, "... 2"], site_m: Float[Array, "stations 2"]
) -> Array:
    offset = position_m[..., None, :] - site_m
    return offset[..., 0] ** 2 + offset[..., 1] ** 2
