"""Cost of a migration: the downtime of its service, and the data sent over the backhaul.

A state of M bits over n hops at R bit/s takes M n / R. Cold: the service is down meanwhile.
Pre-copy (Clark et al., NSDI 2005): it runs on while the state is sent, and memory that it dirties
meanwhile is sent in the next round. At a dirty rate of w bit/s each round is λ = w n / R of the one
before (Liu et al., HPDC 2011); it stops for the last one.

In a stop of S seconds tasks that are offloaded wait S / 2 on average: over time they are S² / 2 later,
in s². A gain of x seconds a task pays for that in S² / 2x seconds. A user that can do its tasks locally in
t^L need not wait: done locally until the first decision after the stop, ⌈S / D⌉ periods, they are no more
than t^L later each. With pre-copy there is no decision when the stop begins, and so no such choice.

This estimate is as if the service did a task in no time; it is closer where the offload gain Δ is known,
the time by which the service does a task sooner than its user. In a decision period that begins W seconds
before the service runs again tasks wait W - D / 2 on average, or W² / 2D if it is back within the period,
and are done locally where Δ is less: while W > Δ + D / 2, or where Δ < D / 2 while W > √(2 D Δ). The rest
of the stop is waited for. Δ is the mean over the stop; taken period by period, the better of both would be
better still, by 1 % of the cost where Δ changes by a third from segment to segment.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from isma.contract import MigrationCost, Observation
from isma.planning.allocation import local_s
from isma.world.switches import Migrating, Migration

_LEAST_SHRINKING = 0.999
_WHOLE = 1e-4
"""Part of a decision period by which a stop may overrun one, so that rounding adds none."""
_LEAST_STOP_S = 1e-6
"""Shortest stop to take a mean over; of an empty one any mean will do."""
_SHORTEST_S = 1e-3
"""Time to pay in, at least: no move is worth its price in that."""


class MoveTime(NamedTuple):
    """Cost of one move in time and data."""

    ahead_s: Float[Array, "..."]
    """Time for which the service still runs where it was."""
    stop_s: Float[Array, "..."]
    """Downtime that follows."""
    sent_bits: Float[Array, "..."]
    """Data that each hop carries."""


class OffloadGain(NamedTuple):
    """Gain of offloading: how much sooner a service does a task than its user alone, around a stop."""

    gain_s: Float[Array, "segments users"]
    end_s: Float[Array, "segments"]
    """End of each segment, from the stop's beginning; negative if it is past. The last one never ends."""

    def mean_s(self, stop_s: Float[Array, "users *places"]) -> Float[Array, "users *places"]:
        """Mean over a stop of each length, which may last through several segments."""
        value = self.gain_s.reshape(*self.gain_s.shape, *(1,) * (stop_s.ndim - 1))
        total = value[-1] * stop_s
        for segment in range(len(value) - 1):
            beyond = value[segment] - value[segment + 1]
            total = total + beyond * jnp.clip(self.end_s[segment], 0, stop_s)
        return total / jnp.maximum(stop_s, _LEAST_STOP_S)


Places = Int[Array, "#users places"] | None
"""Some servers for each user, or None for all of them."""


def downtime_s(observation: Observation, server: Places = None) -> Float[Array, "users places"]:
    """Time for which each user's service would stop if it moved to each server; 0 at home."""
    move = _moves(observation, server)
    return _nothing(observation, server) if move is None else move.stop_s


def delay_s2(observation: Observation, server: Places = None) -> Float[Array, "users places"]:
    """Delay of all tasks over time, in s², that moving each user to each server would add; 0 at home.

    The rest of an earlier stop comes on top of a new one. A newcomer's first move is free.
    """
    return _delay_s2(observation, downtime_s(observation, server))


def one_hop_delay_s2(observation: Observation) -> Float[Array, "users"]:
    """Delay of all tasks over time, in s², that a move by one hop would add."""
    cost, requests = observation.infrastructure.migration, observation.requests
    if cost is None:
        return jnp.zeros_like(requests.cycles)
    rate_bps = observation.infrastructure.backhaul_rate_bps
    per_hop_s, hop = requests.downtime_per_hop_s, jnp.ones_like(requests.cycles)
    stop_s = move_between(cost, rate_bps, requests.state_bits, per_hop_s, hop).stop_s
    return _delay_s2(observation, stop_s[:, None])[:, 0]


def charge_s(
    observation: Observation, lasts_s: Float[Array, "users #places"], server: Places = None
) -> Float[Array, "users places"] | None:
    """Added delay of a task by a move whose gain lasts so long from now; None where moves are free.

    While state is copied ahead there is nothing gained yet, which leaves less time to pay.
    """
    move = _moves(observation, server)
    if move is None:
        return None
    pays_s = jnp.maximum(lasts_s - move.ahead_s, _SHORTEST_S)
    return _delay_s2(observation, move.stop_s) / pays_s


def cost_of(migration: Migration) -> MigrationCost | None:
    """The section of a scenario as policies see it; None where moves are free."""
    if migration.kind is Migrating.FREE:
        return None
    return MigrationCost(
        downtime_s=jnp.asarray(migration.downtime_s),
        dirty_bps=jnp.asarray(migration.dirty_bps),
        stop_bits=jnp.asarray(migration.stop_bits),
        most_rounds=jnp.asarray(migration.most_rounds, float),
        kind=migration.kind,
    )


def move_between(
    cost: MigrationCost,
    rate_bps: Float[Array, ""],
    state_bits: Float[Array, "..."],
    downtime_per_hop_s: Float[Array, "..."],
    hops: Float[Array, "..."],
) -> MoveTime:
    """Copying time, stop and data of a move over `hops`."""
    whole_s = state_bits * hops / rate_bps
    fixed_s = cost.downtime_s + downtime_per_hop_s * hops
    if cost.kind is Migrating.COLD:
        return MoveTime(jnp.zeros_like(whole_s), fixed_s + whole_s, state_bits)
    # Rounds that hardly shrink gain nothing: then the first one is the last.
    shrink = cost.dirty_bps * hops / rate_bps
    works = (shrink < _LEAST_SHRINKING) & (state_bits > cost.stop_bits)
    shrink = jnp.clip(shrink, 1e-9, _LEAST_SHRINKING)
    needed = jnp.log(cost.stop_bits / jnp.maximum(state_bits, 1)) / jnp.log(shrink)
    rounds = jnp.where(works, jnp.clip(jnp.ceil(needed), 1, cost.most_rounds), 0)
    last = shrink**rounds
    before = (1 - last) / (1 - shrink)
    return MoveTime(before * whole_s, fixed_s + last * whole_s, (before + last) * state_bits)


def _moves(observation: Observation, server: Places) -> MoveTime | None:
    """Moves of each user to each server; stops are 0 at home and for unseen users."""
    cost, between = observation.infrastructure.migration, observation.infrastructure.between
    if cost is None:
        return None
    requests, host = observation.requests, observation.host
    where = jnp.arange(between.shape[1]) if server is None else server
    move = move_between(
        cost,
        observation.infrastructure.backhaul_rate_bps,
        requests.state_bits[:, None],
        requests.downtime_per_hop_s[:, None],
        between[host] if server is None else between[host[:, None], server],
    )
    elsewhere = where != host[:, None]
    return move._replace(stop_s=jnp.where(elsewhere & observation.visible[:, None], move.stop_s, 0))


def _nothing(observation: Observation, server: Places) -> Float[Array, "users places"]:
    hops = observation.infrastructure.hops
    places = hops.shape[1] if server is None else server.shape[1]
    return jnp.zeros_like(hops, shape=(observation.host.shape[0], places))


def _delay_s2(
    observation: Observation, stop_s: Float[Array, "users places"]
) -> Float[Array, "users places"]:
    newcomer = observation.decides & ~observation.due[observation.host]
    added = added_s2(observation, stop_s, observation.wait_s[:, None])
    return jnp.where(newcomer[:, None], 0, added)


def added_s2(
    observation: Observation,
    stop_s: Float[Array, "users *places"],
    wait_s: Float[Array, "users *#places"],
    gain: OffloadGain | None = None,
) -> Float[Array, "..."]:
    """Delay over time that a further stop adds where a service already stands still for `wait_s`.

    `gain` tells by how much a task is done sooner by the service than alone; without it as if the
    service took no time.
    """
    waiting = stop_s * (stop_s / 2 + wait_s)
    cost = observation.infrastructure.migration
    if cost is None or cost.kind is not Migrating.COLD:
        return waiting
    column = lambda value: value.reshape(-1, *(1,) * (stop_s.ndim - 1))  # noqa: E731
    period_s = column(observation.infrastructure.decision_period_s[observation.host])
    if gain is not None:
        whole_s2, old_s2 = (
            _stop_s2(lasts_s, gain.mean_s(lasts_s), period_s)
            for lasts_s in (stop_s + wait_s, wait_s)
        )
        return jnp.where(stop_s > 0, whole_s2 - old_s2, 0)
    alone_s = column(local_s(observation.requests, observation.visible))
    at_home = alone_s * period_s * jnp.ceil((stop_s + wait_s) / period_s - _WHOLE)
    return jnp.where(stop_s > 0, jnp.minimum(waiting, at_home), 0)


def _stop_s2(
    stop_s: Float[Array, "..."], sooner_s: Float[Array, "..."], period_s: Float[Array, "..."]
) -> Float[Array, "..."]:
    """Delay over time of a whole stop, if the service does a task `sooner_s` sooner than its user."""
    sooner_s = jnp.maximum(sooner_s, 0)
    longest_s = jnp.where(
        sooner_s < period_s / 2, jnp.sqrt(2 * period_s * sooner_s), sooner_s + period_s / 2
    )
    periods = jnp.maximum(jnp.ceil((stop_s - longest_s) / period_s - _WHOLE), 0)
    waited_s = jnp.maximum(stop_s - periods * period_s, 0)
    return periods * period_s * sooner_s + waited_s**2 / 2


def mean_wait_s(
    wait_s: Float[Array, "users"], period_s: Float[Array, "users"]
) -> Float[Array, "users"]:
    """Mean wait of the coming decision period's tasks for a service that stands still so long."""
    return jnp.where(wait_s < period_s, wait_s**2 / (2 * period_s), wait_s - period_s / 2)
