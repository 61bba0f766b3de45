"""What a task costs at a server beside its user, no hops away: what load and clocks make of it."""

from dataclasses import replace
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from isma.planning.allocation import Offer, at, joining, latency_s, uplink_s
from isma.planning.moves import own_pull
from isma.policies.dwelling import Lasting
from isma.policies.price import Weighed

_STAYS_FULL = 0.3
"""Part of the time after a plan for which a server that is usually fuller is taken to be so."""
_RECEDES = 0.1
"""Hops by which a way must grow for its user to be leaving."""


class Beside(NamedTuple):
    """What it adds to everybody's times to serve a task of a user at each place, hops aside."""

    now_s: Float[Array, "users places"]
    """At present: what is left of that place's cost when its hops are taken off, at so much a hop."""
    usual_s: Float[Array, "users places"]
    """Beside a server as full as that one usually is."""
    typical_s: Float[Array, "users places"]
    """Beside one as full as all are on average."""


def cost_beside(
    places: Weighed, joined_s: Float[Array, "users all"], column: Int[Array, "users places"]
) -> Beside:
    """That of some of the places, home first. `joined_s` is what each costs at present, hops and all.

    Who is served farther away offloads less, so that hops and load do not quite add up: at present all
    is as it is, and later as it is beside a server.
    """
    observation, take = places.observation, lambda part: jnp.take_along_axis(part, column, axis=1)
    work_s, server = (
        take(jnp.broadcast_to(part, joined_s.shape))
        for part in (places.offer.work_s, places.server)
    )
    hops = observation.infrastructure.hops[observation.station[:, None], server]
    near_s = uplink_s(observation, observation.gain)[:, None]
    offer = _beside(places, replace(places.offer, work_s=work_s), near_s)
    typical = jnp.broadcast_to(places.typical[:, None], server.shape)
    usual = typical
    if places.usual is not None:
        # What the user itself asks for at home is not there for it to find.
        own = own_pull(at(places.offer, places.home), take(places.pull)[:, 0])
        usual = typical + take(places.usual.apart).at[:, 0].add(-places.usual.part * own)
    usual_s, typical_s = (
        joining(offer, jnp.maximum(pull, 0) ** 2).cost_s for pull in (usual, typical)
    )
    return Beside(take(joined_s) - places.hop_s[:, None] * hops, usual_s, typical_s)


def sooner_beside_s(
    places: Weighed, gain: Float[Array, "*rows users"]
) -> Float[Array, "*rows users"]:
    """By how much a typical server beside its user does a task sooner than that alone, at a channel gain."""
    home = at(places.offer, places.home)
    offer = _beside(places, home, uplink_s(places.observation, gain))
    return home.local_s - joining(offer, places.typical**2).cost_s


def _beside(places: Weighed, offer: Offer, transfer_s: Float[Array, "..."]) -> Offer:
    """An offer if no hop lay between: what is left of the transfer is the radio's."""
    latency = places.observation.infrastructure.latency
    fixed_s = None if latency is None else latency_s(latency, jnp.zeros(()))
    return replace(offer, transfer_s=transfer_s, fixed_s=fixed_s)


def after_s2(
    beside: Beside,
    lasts: Lasting,
    way_s: Float[Array, "paths users places"],
    hops: Float[Array, "segments paths users places"],
    ahead_s: Float[Array, ""],
) -> Float[Array, "paths users places"]:
    """What follows the end of a plan `ahead_s` long, by where a service then is: delay of tasks times time.

    A user is taken to stay in its cell as long as it did so far, `way_s` from each place. Whom it is
    leaving behind by then, as the last hops tell, it comes back to at best by a hop a stay. Loads go on
    closing, and the services of servers that are usually fuller go on leaving.
    """
    stay_s = lasts.hops_s[:, None]
    back_s = jnp.clip(stay_s * (1 + hops[-1]) / 2, stay_s, jnp.maximum(stay_s, ahead_s))
    comes_s = jnp.where(hops[-1] > hops[0] + _RECEDES, back_s, stay_s)
    left_s = (jnp.exp(-ahead_s / lasts.gap_s) * lasts.gap_s)[:, None]
    lasting_s = beside.typical_s + _STAYS_FULL * (beside.usual_s - beside.typical_s)
    return comes_s * way_s + left_s * (beside.now_s - beside.usual_s) + stay_s * lasting_s
