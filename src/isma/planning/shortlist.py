"""Shortlists of large cities: near servers alone, and the users that have most to gain there.

Tables of users and places stay as small as the users are many; nothing here has a row for each
user and a column for each server.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from isma.contract import Observation
from isma.planning.allocation import Offer, Response, Split, joining, offers, respond, split
from isma.planning.migration import one_hop_delay_s2
from isma.planning.moves import own_root_price
from isma.planning.segment_sums import Pools
from isma.world.scenario import Visibility

_T = TypeVar("_T")
_HALVINGS = 8
_PARTS = (8, 1)
"""Fractions of all users: servers that lose users are split apart, in the smallest of these batches that
holds their users."""


def near(observation: Observation) -> Int[Array, "users near"] | None:
    """Candidate servers of each user; None in a small city, where all are."""
    table = observation.infrastructure.near
    return None if table is None else table[observation.station]


def uses_shortlist(observation: Observation) -> bool:
    """Whether a search is limited to near servers and a few users: in a large city.

    Users that decide alone consider all servers everywhere.
    """
    large = observation.infrastructure.near is not None
    return large and observation.visibility is not Visibility.USER


def candidates(observation: Observation) -> Int[Array, "#users places"]:
    """Candidate servers of each user: the near ones, or all."""
    places = near(observation)
    return jnp.arange(observation.acting.shape[0])[None] if places is None else places


def news_of_candidates(
    observation: Observation, table: Float[Array, "servers servers"]
) -> Float[Array, "users places"]:
    """Values of a table of servers (column) by each user's host (row), for its candidates."""
    places = near(observation)
    if places is None:
        return table[observation.host]
    return table[observation.host[:, None], places]


def foremost(pools: Pools, value: Float[Array, "users"], number: int) -> Bool[Array, "users"]:
    """Up to `number` users of each pool, those with the greatest values above 0.

    By halving each pool's range of values, since sorting all users takes many times as long; of users
    whose values are nearly equal some may be left out.
    """
    users = pools.pool.shape[0]
    low, high = jnp.zeros((pools.num_pools,), value.dtype), jnp.maximum(pools.max(value), 0)
    if users > number:
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            above = (value > pools.spread(middle, jnp.inf)).astype(value.dtype)
            fits = pools.sum(above) <= number
            low, high = jnp.where(fits, low, middle), jnp.where(fits, middle, high)
    else:
        high = low
    # All that have a value fit: then none is left out for being small.
    all_fit = pools.sum((value > 0).astype(value.dtype)) <= number
    return value > pools.spread(jnp.where(all_fit, 0, high), jnp.inf)


def by_number(chosen: Bool[Array, "users"], sizes: Sequence[int], do: Callable[[int], _T]) -> _T:
    """Result of `do` with no more rows than the chosen users need: the first of the sizes that holds them.

    Shapes are static, so that unused rows cost as much as others. The last size must hold
    all that can be chosen.
    """
    number = jnp.sum(chosen)
    place = sum(((number > size).astype(jnp.int32) for size in sizes[:-1]), jnp.int32(0))
    return jax.lax.switch(place, [lambda size=size: do(size) for size in sizes])


def rows_of(chosen: Bool[Array, "users"], size: int) -> Int[Array, "rows"]:
    """The chosen rows, at most `size` of them, filled up with one that does not exist."""
    users = chosen.shape[0]
    place = jnp.where(chosen, jnp.cumsum(chosen) - 1, size)
    rows = jnp.arange(users, dtype=jnp.int32)
    return jnp.full((size,), users, jnp.int32).at[place].set(rows, mode="drop")


def split_again(here: Split, offer: Offer, home: Pools, pools: Pools) -> tuple[Split, Response]:
    """Shares of pools once some users have left them, and responses of those to home's new price.

    Both are computed for the pools alone that users leave; the second has no meaning for a user that
    does not leave.
    """
    users = home.pool.shape[0]
    leaves = ((home.pool != pools.pool) & (home.pool < home.num_pools)).astype(offer.local_s.dtype)
    lost = home.sum(leaves) > 0
    changed = home.spread(lost.astype(offer.local_s.dtype)) > 0

    def among(size: int) -> tuple[Split, Response]:
        row = rows_of(changed, size)
        take = lambda value: value[jnp.minimum(row, users - 1)]  # noqa: E731
        real = row < users
        group = lambda p: Pools(jnp.where(real, take(p.pool), p.num_pools), p.num_pools)  # noqa: E731
        theirs = jax.tree.map(take, offer)
        new = split(theirs, group(pools))
        put = lambda old, part: old.at[row].set(part, mode="drop")  # noqa: E731
        price_s = jnp.where(lost, new.price_s, here.price_s)
        gone = respond(theirs, group(home).spread(price_s, 1.0))
        nothing = jnp.zeros_like(offer.local_s)
        again = Split(
            put(here.offload_ratio, new.offload_ratio),
            put(here.cpu_share, new.cpu_share),
            put(here.time_s, new.time_s),
            price_s,
        )
        return again, jax.tree.map(lambda part: put(nothing, part), gone)

    return by_number(changed, [max(1, users // part) for part in _PARTS], among)


def most_to_gain_s(
    observation: Observation,
    home: Pools,
    root_price: Float[Array, "makers servers"],
    lasts_s: Float[Array, "users"],
) -> Float[Array, "users"]:
    """No user could save more by moving to a near server than this, in seconds a task.

    As if the cheapest price, the fewest hops and the fastest clock were those of one server, and a
    move led over one hop. Of no use to decide by, but it tells who need not be looked at.
    """
    net, host, station = observation.infrastructure, observation.host, observation.station
    assert net.near is not None
    offer = offers(observation)
    row = jnp.minimum(home.pool, home.num_pools - 1)
    there = offer.at(net.near[:, 0][station])
    work_s = observation.requests.cycles / jnp.max(net.server_hz)
    cheapest = jnp.min(jnp.min(root_price, axis=0)[net.near], axis=1)[station]
    best = Offer(there.local_s, there.transfer_s, work_s, there.fixed_s)
    here = offer.at(host)
    at_home = root_price[row, host]
    without = jnp.maximum(at_home - own_root_price(here, at_home), 0)
    stays_s = joining(here, without**2).cost_s
    gain_s = stays_s - joining(best, cheapest**2).cost_s
    if net.migration is not None:
        gain_s = gain_s - one_hop_delay_s2(observation) / lasts_s
    return gain_s
