"""Shared parts of the rules: the split of a server's CPU, a leaving user's request, the cost of a move."""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from isma import delay
from isma.contract import Action, Observation
from isma.errors import PolicyError
from isma.planning.allocation import (
    Offer,
    Offers,
    Split,
    best_ratio,
    lead_s,
    respond,
    split,
)
from isma.planning.migration import Places, charge_s, downtime_s, mean_wait_s
from isma.planning.segment_sums import Pools
from isma.planning.shortlist import split_again, uses_shortlist
from isma.world.scale import LARGE, is_large
from isma.world.scenario import Visibility
from isma.world.switches import Migrating


def nearest(observation: Observation) -> Int[Array, "users"]:
    """The server nearest to each user's station: the one at the station, if there is one."""
    return observation.infrastructure.nearest(observation.station)


def detour(observation: Observation) -> Float[Array, "users"]:
    """Hops from each user's station to its host, beyond those to the nearest server."""
    infrastructure, station = observation.infrastructure, observation.station
    hops = infrastructure.hops[station, observation.host]
    near = infrastructure.closest
    return hops if near is None else hops - infrastructure.hops[station, near[station]]


def shared_out(
    observation: Observation,
    offer: Offers,
    target: Int[Array, "users"],
    here: Split | None = None,
) -> tuple[Action, Split]:
    """Best ratio and priced share for every user that is to be served at `target`.

    A server divides its CPU among users that stay. For one that leaves it requests the share that the
    user would take at home's price, since it cannot see the users of another server. A user whose
    service is down meanwhile does its tasks locally, if that is sooner than to wait. In a large city
    only servers that users leave are split again, given how all share their hosts now (`here`).
    """
    pools = Pools(observation.pool(target), observation.num_pools)
    theirs = offer.at(target)
    home = Pools(observation.pool(observation.host), observation.num_pools)
    if (
        here is not None
        and observation.visibility is Visibility.SERVER
        and uses_shortlist(observation)
    ):
        stays, leaves = split_again(here, theirs, home, pools)
    else:
        stays = split(theirs, pools)
        leaves = respond(theirs, home.spread(stays.price_s, 1.0))
    inside = pools.pool < pools.num_pools
    choose = lambda new, old: jnp.where(inside, new, old)  # noqa: E731
    offload_ratio = choose(stays.offload_ratio, leaves.offload_ratio)
    cpu_share = choose(stays.cpu_share, leaves.cpu_share)
    if observation.infrastructure.migration is not None:
        time_s = choose(stays.time_s, leaves.time_s)
        runs = ~(theirs.local_s < time_s + _coming_wait_s(observation, target))
        offload_ratio, cpu_share = jnp.where(runs, offload_ratio, 0), jnp.where(runs, cpu_share, 0)
    action = Action(
        server=target,
        offload_ratio=offload_ratio,
        cpu_share=cpu_share,
        price_s=jnp.zeros_like(observation.infrastructure.server_hz),
    )
    return action, stays


def _coming_wait_s(observation: Observation, target: Int[Array, "users"]) -> Float[Array, "users"]:
    """Mean wait of tasks until the next decision, for an old stop and that of going to `target`."""
    infrastructure = observation.infrastructure
    stop_s = jnp.zeros_like(observation.wait_s)
    if infrastructure.migration is not None and infrastructure.migration.kind is Migrating.COLD:
        newcomer = observation.decides & ~observation.due[observation.host]
        moving_s = to_one(observation, downtime_s, target)
        stop_s = jnp.where(newcomer, 0, moving_s)
    period_s = infrastructure.decision_period_s[target]
    return mean_wait_s(observation.wait_s + stop_s, period_s)


def to_one(
    observation: Observation,
    price: Callable[[Observation, Places], Float[Array, "users places"]],
    target: Int[Array, "users"],
) -> Float[Array, "users"]:
    """Cost of moving each user to one server by `price`, which gives it for some servers."""
    return price(observation, target[:, None])[:, 0]


def charged_s(
    observation: Observation, stay_s: float, server: Places = None
) -> Float[Array, "users places"] | None:
    """Added delay of a task by a move whose gain lasts `stay_s`, or with 0 one decision period of the host.

    None where moves are free.
    """
    return charge_s(observation, lasting_s(observation, stay_s)[:, None], server)


def lasting_s(observation: Observation, stay_s: float) -> Float[Array, "users"]:
    """Expected duration of a move's gain: `stay_s`, or if that is 0 one decision period of the host."""
    period_s = observation.infrastructure.decision_period_s[observation.host]
    return jnp.full_like(period_s, stay_s) if stay_s > 0 else period_s


def refuse_large(policy: str, num_users: int, num_servers: int) -> None:
    """Refuse a city for which a policy's tables would be too large."""
    if is_large(num_users, num_servers):
        raise PolicyError(
            f"{policy} looks at every server for every user: there must be at most {LARGE:,} of such "
            f"pairs, got {num_users:,} users and {num_servers:,} servers; leave it out of --policies"
        )


def excess_s(observation: Observation, offer: Offers) -> Float[Array, "users"]:
    """Delay of each task on its way to the host, beyond that to the server nearest to its user.

    Transfer and latency of the part that a user would offload to the nearest with an equal share of
    home's CPU. Not a difference of completion times: those jump with the grid of ratios, and so would
    a rule based on them.
    """
    here, there = offer.at(observation.host), offer.at(nearest(observation))
    ratio = _even_ratio(observation, there)
    return jnp.maximum(lead_s(here, ratio) - lead_s(there, ratio), 0)


def hop_delay_s(observation: Observation, offer: Offers) -> Float[Array, "users"]:
    """Delay that one hop more to its host adds to each of a user's tasks.

    For the part that it would offload to the nearest server with an equal share of home, as
    `excess_s`.
    """
    infrastructure, data_bits = observation.infrastructure, observation.requests.data_bits
    ratio = _even_ratio(observation, offer.at(nearest(observation)))
    sent_s = delay.backhaul_time_s(data_bits, ratio, 1.0, infrastructure.backhaul_rate_bps)
    if infrastructure.latency is None:
        return sent_s
    return sent_s + jnp.where(ratio > 0, infrastructure.latency.per_hop_s, 0)


def nearer_s(
    observation: Observation,
    hop_s: Float[Array, "users"],
    server: Int[Array, "*#users places"],
) -> Float[Array, "users places"]:
    """Delay of hops saved by being served by each server, a hop costing `hop_s`; may be < 0."""
    hops, station = observation.infrastructure.hops, observation.station
    at_home = hops[station, observation.host]
    return hop_s[:, None] * (at_home[:, None] - hops[station[:, None], server])


def _even_ratio(observation: Observation, there: Offer) -> Float[Array, "users"]:
    """Offload ratio of each user there with an equal share of home."""
    home = Pools(observation.pool(observation.host), observation.num_pools)
    users = home.spread(home.sum(observation.visible.astype(there.local_s.dtype)), 1.0)
    return best_ratio(there, 1 / jnp.maximum(users, 1)).offload_ratio


def believed_load(observation: Observation) -> Float[Array, "servers servers"]:
    """Sum of the shares requested from each server (column), by the broadcasts that each server (row) has.

    F = f^e / (1 + load); with the literal F = f^e (1 - load) this overstates a load below one.
    """
    server_hz = observation.infrastructure.server_hz
    return server_hz / jnp.maximum(observation.news.remaining_hz, 1e-6 * server_hz) - 1
