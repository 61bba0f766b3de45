"""Feature vectors of users, servers and places at a decision: ratios and fixed units, valid in any city."""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from isma.contract import Infrastructure, Observation
from isma.planning.allocation import Offers, Split
from isma.planning.migration import one_hop_delay_s2
from isma.planning.segment_sums import Pools
from isma.policies.pricing.dwell_time import PRIOR_S, DwellStatistics, gain_duration
from isma.policies.shared import detour, hop_delay_s

_UNIT_S = 10.0
_MOST = 8.0
_LEAST_PART = 1e-4
_LEAST_S = 1e-6
_VISITED = 3
"""Number of remembered stations: the last few show a user's direction."""
_IN_SIGHT = 256
"""Most servers among which the end of a road is looked for; a larger city has none."""
_MOST_ROOM = 16.0
"""Hops; farther off it makes no difference."""
_FEW_HOPS = 4.0
"""Scale of hops, to numbers of about 1."""


class Topology(NamedTuple):
    """Distances of a city's stations and servers, in hops."""

    hops: Float[Array, "stations servers"]
    between: Float[Array, "servers servers"]

    @classmethod
    def of(cls, infrastructure: Infrastructure) -> "Topology":
        """Topology of an operator's network."""
        return cls(infrastructure.hops, infrastructure.between)


class RoadEnd(NamedTuple):
    """End of a road or a city ahead of each user, where users turn round."""

    server: Int[Array, "users"]
    """The farthest one ahead, that is one from which the user was farther at the station before."""
    room: Float[Array, "users"]
    """Hops to it; 0 where none is known."""
    known: Bool[Array, "users"]
    """Whether a station before is known, and some server is ahead."""


class LastObservation(eqx.Module):
    """Last observation of each user, with which the next one is compared."""

    slot: Int[Array, "users"]
    """Slot of it."""
    arrived: Int[Array, "users"]
    """Slot in which the user was first found in its cell."""
    placed: Int[Array, "users"]
    """Slot in which its service was first found on its server."""
    snr: Float[Array, "users"]
    """Log of the signal-to-noise ratio."""
    visited: Int[Array, "users before"]
    """Stations at which the user was before this one, the last one first; -1 where none is known."""

    @classmethod
    def none(cls, num_users: int) -> "LastObservation":
        """Before any observation."""
        never = jnp.zeros((num_users,), jnp.int32)
        nowhere = jnp.full((num_users, _VISITED), -1, jnp.int32)
        return cls(never, never, never, jnp.zeros((num_users,)), nowhere)


class Features(NamedTuple):
    """Feature vectors of all users and servers."""

    user: Float[Array, "users features"]
    server: Float[Array, "servers features"]
    last: LastObservation
    log_root_price: Float[Array, "servers"]
    """Log of √λ."""


def features(
    before: DwellStatistics,
    seen: DwellStatistics,
    last: LastObservation,
    log_root_price_was: Float[Array, "servers"],
    observation: Observation,
    offer: Offers,
    here: Split,
) -> Features:
    """Features of an observation; `before`, `last` and `log_root_price_was` are of the one before."""
    slot, slot_s = observation.slot, observation.infrastructure.slot_s
    new = before.first_slot < 0
    went = ~new & (seen.station != before.station)
    moved = ~new & (seen.host != before.host)
    snr = _snr(observation)
    now = LastObservation(
        jnp.broadcast_to(slot, new.shape).astype(jnp.int32),
        jnp.where(new | went, slot, last.arrived).astype(jnp.int32),
        jnp.where(new | moved, slot, last.placed).astype(jnp.int32),
        snr,
        jnp.where(went[:, None], _pushed(before.station, last.visited), last.visited),
    )
    since_s = jnp.where(new, 0, slot - last.slot) * slot_s
    rate = jnp.where(new | went, 0, snr - last.snr) / jnp.maximum(since_s, 1e-3)
    duration = gain_duration(seen, observation, PRIOR_S)
    infrastructure, host = observation.infrastructure, observation.host
    home = Pools(observation.pool(host), observation.num_pools)
    hop_s, own_s = hop_delay_s(observation, offer), jnp.maximum(here.time_s, 1e-9)
    root_price = jnp.sqrt(here.price_s)
    own = jnp.sqrt(here.offload_ratio * offer.at(host).work_s)
    server, relative = _servers(observation, home, here, log_root_price_was)
    end = road_end(infrastructure.hops, observation.station, now.visited[:, 0])
    columns = (
        snr / 10,
        rate,
        went,
        jnp.log1p((slot - now.arrived) * slot_s / _UNIT_S),
        jnp.log(duration.hops_s / PRIOR_S),
        jnp.log(duration.load_s / PRIOR_S),
        jnp.log1p((slot - now.placed) * slot_s / _UNIT_S),
        moved,
        jnp.log1p(infrastructure.hops[observation.station, host]),
        jnp.log1p(detour(observation)),
        own / jnp.maximum(home.spread(root_price), jnp.maximum(own, 1e-9)),
        home.spread(relative),
        jnp.log1p(since_s / _UNIT_S),
        new,
        jnp.log(one_hop_delay_s2(observation) / own_s / PRIOR_S + _LEAST_PART),
        jnp.log(hop_s / own_s + _LEAST_PART),
        jnp.log(infrastructure.decision_period_s[host]),
        jnp.log1p(end.room),
        end.known,
    )
    return Features(_bounded(columns), server, now, _log_root_price(here))


def place_features(
    topology: Topology,
    station: Int[Array, "users"],
    visited: Int[Array, "users before"],
    server: Int[Array, "*#users places"],
) -> Float[Array, "users places features"]:
    """Features of servers from each user's trajectory: hops now, how many more there were before, and hops
    via the end of the road."""
    hops = topology.hops
    now = hops[station[:, None], server]
    nearest = jnp.min(hops, axis=1)[station][:, None]
    was = [
        jnp.where(before[:, None] >= 0, hops[before[:, None], server] - now, 0)
        for before in jnp.moveaxis(visited, 1, 0)
    ]
    known = jnp.mean((visited >= 0).astype(now.dtype), axis=1)
    end = road_end(hops, station, visited[:, 0])
    by_end = end.room[:, None] + topology.between[end.server[:, None], server]
    by_end = jnp.where(end.known[:, None], jnp.minimum(by_end, _MOST_ROOM), _MOST_ROOM)
    of_user = (known, end.room / _FEW_HOPS, jnp.exp(-end.room))
    columns = (
        *(jnp.log1p(now), now / _FEW_HOPS, now <= nearest, *was, by_end / _FEW_HOPS),
        *(jnp.broadcast_to(part[:, None], now.shape) for part in of_user),
    )
    return jnp.stack([column.astype(now.dtype) for column in columns], axis=2)


def road_end(
    hops: Float[Array, "stations servers"],
    station: Int[Array, "users"],
    before: Int[Array, "users"],
) -> RoadEnd:
    """The farthest server ahead of each user; in a large city far off."""
    known = before >= 0
    if hops.shape[1] > _IN_SIGHT:
        far = jnp.where(known, _MOST_ROOM, 0).astype(hops.dtype)
        return RoadEnd(jnp.zeros_like(station), far, known)
    now = hops[station]
    ahead = jnp.where((hops[before] > now) & known[:, None], now, -1)
    room = jnp.clip(jnp.max(ahead, axis=1), 0, _MOST_ROOM)
    # Where stations outnumber servers a user may leave the last one behind: then nothing is ahead.
    return RoadEnd(jnp.argmax(ahead, axis=1), room, known & jnp.any(ahead >= 0, axis=1))


def _pushed(
    station: Int[Array, "users"], visited: Int[Array, "users before"]
) -> Int[Array, "users before"]:
    return jnp.concatenate([station[:, None].astype(visited.dtype), visited[:, :-1]], axis=1)


def _servers(
    observation: Observation,
    home: Pools,
    here: Split,
    log_root_price_was: Float[Array, "servers"],
) -> tuple[Float[Array, "servers features"], Float[Array, "servers"]]:
    """Features of each server, its price and the broadcast ones; and the log of its own root price alone."""
    root_price = jnp.sqrt(observation.news.price_s)
    others = 1 - jnp.eye(len(root_price), dtype=root_price.dtype)
    mean = jnp.sum(root_price * others, axis=1) / max(len(root_price) - 1, 1)
    part = lambda value: jnp.log((value + _LEAST_PART * mean) / (mean + _LEAST_S))  # noqa: E731
    relative = jnp.clip(part(jnp.sqrt(here.price_s)), -_MOST, _MOST)
    number = home.sum(observation.visible.astype(root_price.dtype))
    time_s = home.sum(here.time_s) / jnp.maximum(number, 1)
    now = _log_root_price(here)
    columns = (
        relative,
        now - log_root_price_was,
        jnp.log1p(number),
        part(jnp.max(root_price * others, axis=1)),
        part(jnp.min(jnp.where(others > 0, root_price, jnp.inf), axis=1)),
        2 * now - jnp.log(time_s + _LEAST_S),
    )
    return _bounded(columns), relative


def _log_root_price(here: Split) -> Float[Array, "servers"]:
    return 0.5 * jnp.log(here.price_s + _LEAST_S)


def _snr(observation: Observation) -> Float[Array, "users"]:
    infrastructure = observation.infrastructure
    snr = infrastructure.power_w * observation.gain / infrastructure.noise_w
    return jnp.log(jnp.maximum(snr, _LEAST_PART))


def _bounded(columns: tuple[Array, ...]) -> Float[Array, "rows columns"]:
    """The columns side by side; nothing that is out of all bounds may drown the rest."""
    stacked = jnp.stack([column.astype(float) for column in columns], axis=1)
    return jnp.clip(jnp.nan_to_num(stacked), -_MOST, _MOST)
