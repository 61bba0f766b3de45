"""Marginal delay of a task at each server, by hops, channel and load, and the terminal cost."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from isma.contract import Observation
from isma.planning.allocation import at, joining, local_s, offer_over, uplink_s
from isma.planning.moves import own_root_price
from isma.policies.pricing.candidates import Candidates
from isma.policies.pricing.dwell_time import GainDuration
from isma.policies.pricing.price_history import LongRunPrice


class RootPrices(NamedTuple):
    """√λ of some places for each user. Home is first, and without the user itself."""

    server: Int[Array, "users places"]
    work_s: Float[Array, "users places"]
    """Time of all cycles of a task on the whole of each server."""
    now: Float[Array, "users places"]
    long_run: Float[Array, "users places"]
    """Long-run mean to which each reverts."""
    mean: Float[Array, "users 1"]
    """Root price of a server with the mean load of all, the user included."""


def root_prices_of(
    candidates: Candidates, column: Int[Array, "users places"], long_run: LongRunPrice | None
) -> RootPrices:
    """Root prices of some of the candidates, home first."""
    take = lambda part: jnp.take_along_axis(  # noqa: E731
        jnp.broadcast_to(part, candidates.root_price.shape), column, axis=1
    )
    now, mean = take(candidates.root_price), candidates.mean_root_price[:, None]
    server, reverts_to = take(candidates.server), jnp.broadcast_to(mean, now.shape)
    # The home price that a user would meet leaves out its own request there.
    own = own_root_price(at(candidates.offer, candidates.home), now[:, 0])
    now = now.at[:, 0].add(-own)
    if long_run is not None:
        deviation = long_run.deviation[candidates.maker[:, None], server]
        own_lasting = long_run.lasting_part[candidates.maker] * own
        reverts_to = reverts_to + deviation.at[:, 0].add(-own_lasting)
    return RootPrices(
        server,
        take(candidates.offer.work_s),
        jnp.maximum(now, 0),
        jnp.maximum(reverts_to, 0),
        mean,
    )


def marginal_cost_s(
    observation: Observation,
    hops: Float[Array, "*#rows users places"],
    work_s: Float[Array, "users #places"],
    root_price: Float[Array, "*#rows users #places"],
    gain: Float[Array, "*#rows users"],
) -> Float[Array, "*rows users places"]:
    """Marginal delay of serving a task of a user at each place, `hops` away, for it and all others.

    A user that is served farther away offloads less, so that hops and load do not add up.
    """
    near_s = uplink_s(observation, gain)[..., None]
    return joining(offer_over(observation, hops, work_s, near_s), root_price**2).cost_s


def offload_gain_s(
    observation: Observation, prices: RootPrices, gain: Float[Array, "*rows users"]
) -> Float[Array, "*rows users"]:
    """Gain of offloading to a mean server at zero hops over doing a task alone, at a channel gain."""
    work_s = prices.work_s[:, :1]
    at_zero_hops_s = marginal_cost_s(observation, jnp.zeros_like(work_s), work_s, prices.mean, gain)
    return local_s(observation.requests, observation.visible) - at_zero_hops_s[..., 0]


def terminal_cost_s2(
    observation: Observation,
    prices: RootPrices,
    duration: GainDuration,
    hops: Float[Array, "segments users places"],
    gain: Float[Array, "users"],
    horizon_s: Float[Array, ""],
    residual_load: float,
    leaving_hops: float,
) -> Float[Array, "users places"]:
    """Cost-to-go at the end of the horizon, by where a service then is: delay of tasks times time.

    A user is expected to stay in its cell for one more dwell time, as far from each place as in the last
    segment. It returns to a server that it is leaving (the `hops` of the last two segments grow by more than
    `leaving_hops`) at best by one hop a dwell time, as if each hop cost the same. Prices continue their mean
    reversion beyond the horizon, and services continue to leave servers with a high long-run mean:
    `residual_load` is the part of a long-run deviation that remains.
    """
    stay_s = duration.hops_s[:, None]
    back_s = jnp.clip(stay_s * (1 + hops[-1]) / 2, stay_s, jnp.maximum(stay_s, horizon_s))
    comes_s = jnp.where(hops[-1] > hops[0] + leaving_hops, back_s, stay_s)
    decay = jnp.exp(-horizon_s / duration.gap_s)[:, None]
    left = prices.long_run + decay * (prices.now - prices.long_run)
    lasting = prices.mean + residual_load * (prices.long_run - prices.mean)
    far = lambda root_price: marginal_cost_s(  # noqa: E731
        observation, hops[-1], prices.work_s, root_price, gain
    )
    near_s = marginal_cost_s(observation, jnp.zeros_like(hops[-1]), prices.work_s, lasting, gain)
    reverting_s2 = duration.gap_s[:, None] * (far(left) - far(prices.long_run))
    return comes_s * (far(lasting) - near_s) + reverting_s2 + stay_s * near_s
