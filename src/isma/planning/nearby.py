"""Large cities: only near servers are looked at, and only the users that have most to gain there.

Tables of users and places stay as small as the users are many; nothing here has a row for each
user and a column for each server.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from isma.contract import Observation
from isma.planning.allocation import Offer, at, joining, offered
from isma.planning.migration import one_hop_delay_s2
from isma.planning.moves import own_pull
from isma.planning.pools import Pools

_HALVINGS = 10


def near(observation: Observation) -> Int[Array, "users near"] | None:
    """The servers that are looked at for each user; None in a small city, where all are."""
    table = observation.infrastructure.near
    return None if table is None else table[observation.station]


def candidates(observation: Observation) -> Int[Array, "#users places"]:
    """The servers that are looked at for each user: the near ones, or all."""
    places = near(observation)
    return jnp.arange(observation.acting.shape[0])[None] if places is None else places


def as_heard(
    observation: Observation, table: Float[Array, "servers servers"]
) -> Float[Array, "users places"]:
    """What each user's host (row) believes of each candidate (column)."""
    places = near(observation)
    if places is None:
        return table[observation.host]
    return table[observation.host[:, None], places]


def shortlist(
    pools: Pools, value: Float[Array, "users"], number: int
) -> Int[Array, "listed"]:
    """Rows of up to `number` users of each pool with the greatest values above 0.

    Filled up with a row that does not exist. By halving each pool's range of values, since sorting
    all users takes many times as long; of users whose values are nearly equal some may be left out.
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
    listed = value > pools.spread(jnp.where(all_fit, 0, high), jnp.inf)
    size = min(users, pools.num_pools * number)
    place = jnp.where(listed, jnp.cumsum(listed) - 1, size)
    return jnp.full((size,), users, jnp.int32).at[place].set(
        jnp.arange(users, dtype=jnp.int32), mode="drop"
    )


def most_to_gain_s(
    observation: Observation,
    home: Pools,
    pull: Float[Array, "makers servers"],
    lasts_s: Float[Array, "users"],
) -> Float[Array, "users"]:
    """No user could save more by moving to a near server than this, in seconds a task.

    As if the cheapest price, the fewest hops and the fastest clock were those of one server, and a
    move led over one hop. Of no use to decide by, but it tells who need not be looked at.
    """
    net, host, station = observation.infrastructure, observation.host, observation.station
    assert net.near is not None
    offer = offered(observation)
    row = jnp.minimum(home.pool, home.num_pools - 1)
    there = at(offer, net.near[:, 0][station])
    work_s = observation.requests.cycles / jnp.max(net.server_hz)
    cheapest = jnp.min(jnp.min(pull, axis=0)[net.near], axis=1)[station]
    best = Offer(there.local_s, there.transfer_s, work_s, there.fixed_s)
    here = at(offer, host)
    at_home = pull[row, host]
    without = jnp.maximum(at_home - own_pull(here, at_home), 0)
    stays_s = joining(here, without**2).cost_s
    gain_s = stays_s - joining(best, cheapest**2).cost_s
    if net.migration is not None:
        gain_s = gain_s - one_hop_delay_s2(observation) / lasts_s
    return gain_s
