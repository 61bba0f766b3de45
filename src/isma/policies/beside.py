"""What a task costs wherever its service is and however far away that is, by what load is and will be."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from isma.contract import Observation
from isma.planning.allocation import at, joining, local_s, offer_over, uplink_s
from isma.planning.moves import own_pull
from isma.policies.dwelling import Lasting
from isma.policies.price import Weighed

_STAYS_FULL = 0.3
"""Part of the time after a plan for which a server that is usually fuller is taken to be so."""
_RECEDES = 0.1
"""Hops by which a way must grow for its user to be leaving."""


class Load(NamedTuple):
    """√λ of some places for each user. Home is first, and without the user itself."""

    server: Int[Array, "users places"]
    work_s: Float[Array, "users places"]
    """Time of all cycles of a task on the whole of each server."""
    now: Float[Array, "users places"]
    usual: Float[Array, "users places"]
    """What each comes back to."""
    typical: Float[Array, "users 1"]
    """That of a server as full as all are on average, the user among them."""


def load_of(places: Weighed, column: Int[Array, "users places"]) -> Load:
    """That of some of the places, home first."""
    take = lambda part: jnp.take_along_axis(  # noqa: E731
        jnp.broadcast_to(part, places.pull.shape), column, axis=1
    )
    now, typical = take(places.pull), places.typical[:, None]
    usual = jnp.broadcast_to(typical, now.shape)
    # What the user itself asks for at home is not there for it to find.
    own = own_pull(at(places.offer, places.home), now[:, 0])
    now = now.at[:, 0].add(-own)
    if places.usual is not None:
        usual = usual + take(places.usual.apart).at[:, 0].add(-places.usual.part * own)
    work_s = take(places.offer.work_s)
    return Load(take(places.server), work_s, jnp.maximum(now, 0), jnp.maximum(usual, 0), typical)


def cost_s(
    observation: Observation,
    hops: Float[Array, "*#rows users places"],
    work_s: Float[Array, "users #places"],
    pull: Float[Array, "*#rows users #places"],
    gain: Float[Array, "*#rows users"],
) -> Float[Array, "*rows users places"]:
    """What it adds to everybody's times to serve a task of a user at each place, so many hops away.

    Who is served farther away offloads less, so that hops and load do not add up.
    """
    near_s = uplink_s(observation, gain)[..., None]
    return joining(offer_over(observation, hops, work_s, near_s), pull**2).cost_s


def sooner_beside_s(
    observation: Observation, load: Load, gain: Float[Array, "*rows users"]
) -> Float[Array, "*rows users"]:
    """By how much a typical server beside its user does a task sooner than that alone, at a channel gain."""
    work_s = load.work_s[:, :1]
    beside_s = cost_s(observation, jnp.zeros_like(work_s), work_s, load.typical, gain)
    return local_s(observation.requests, observation.visible) - beside_s[..., 0]


def after_s2(
    observation: Observation,
    load: Load,
    lasts: Lasting,
    hops: Float[Array, "segments paths users places"],
    gain: Float[Array, "paths users"],
    ahead_s: Float[Array, ""],
) -> Float[Array, "paths users places"]:
    """What follows the end of a plan `ahead_s` long, by where a service then is: delay of tasks times time.

    A user is taken to stay in its cell as long as it did so far, as far from each place as in the last
    segment. Whom it is leaving behind by then, as the last hops tell, it comes back to at best by a hop a
    stay, as if each hop cost the same. Loads go on closing from where they are then, and the services of
    servers that are usually fuller go on leaving.
    """
    stay_s = lasts.hops_s[:, None]
    back_s = jnp.clip(stay_s * (1 + hops[-1]) / 2, stay_s, jnp.maximum(stay_s, ahead_s))
    comes_s = jnp.where(hops[-1] > hops[0] + _RECEDES, back_s, stay_s)
    left = load.usual + jnp.exp(-ahead_s / lasts.gap_s)[:, None] * (load.now - load.usual)
    lasting = load.typical + _STAYS_FULL * (load.usual - load.typical)
    far = lambda pull: cost_s(observation, hops[-1], load.work_s, pull, gain)  # noqa: E731
    near_s = cost_s(observation, jnp.zeros_like(hops[-1]), load.work_s, lasting, gain)
    closing_s2 = lasts.gap_s[:, None] * (far(left) - far(load.usual))
    return comes_s * (far(lasting) - near_s) + closing_s2 + stay_s * near_s
