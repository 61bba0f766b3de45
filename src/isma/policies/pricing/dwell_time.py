"""Dwell time: how long the gain of a migration lasts, estimated from hand-overs and migrations seen.

The hops that a migration saves last about as long as its user stays in a cell, and its gain by load as long
as the service stays where it went. With n hand-overs in t seconds a user's dwell time is estimated
as (t + t₀) / (n + 1), t₀ being the prior: the posterior mean under a gamma prior of one hand-over in t₀.
With n migrations, a service stays as long at a server. A difference of two servers' loads decays from both
sides, users leaving the fuller one and coming to the emptier one: for each migration that was seen there
was another, and it lasts (t + t₀) / (2n + 1) seconds.
"""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from isma.contract import Observation

_NOBODY = -1
PRIOR_S = 60.0
"""t₀: prior mean of a dwell time of which nothing is known."""


class GainDuration(NamedTuple):
    """Expected duration of a migration's gain for each user, in seconds."""

    hops_s: Float[Array, "users"]
    """Of saved hops: the user's dwell time at a station."""
    load_s: Float[Array, "users"]
    """Of a lower load: the service's stay at a server."""
    gap_s: Float[Array, "users"]
    """Time constant with which servers' loads converge; `load_s` before any migration was seen."""

    @classmethod
    def assumed(cls, every_s: Float[Array, "users"]) -> "GainDuration":
        """One duration for all kinds of gain: nothing was learned."""
        return cls(every_s, every_s, every_s)

    @property
    def longest_s(self) -> Float[Array, "users"]:
        """Upper end: no gain lasts longer."""
        return jnp.maximum(self.hops_s, self.load_s)

    def of(self, load_part: Float[Array, "users places"]) -> Float[Array, "users places"]:
        """Duration of gains of which so large a part comes from load."""
        return self.hops_s[:, None] + load_part * (self.load_s - self.hops_s)[:, None]


class DwellStatistics(eqx.Module):
    """Counts of each user's hand-overs and migrations; they travel with the service."""

    first_slot: Int[Array, "users"]
    """Slot in which a host first saw it; -1 before."""
    station: Int[Array, "users"]
    """Station at which it was last seen."""
    handovers: Int[Array, "users"]
    """Times at which it was found at another station than before."""
    host: Int[Array, "users"]
    """Server that last served it."""
    moves: Int[Array, "users"]
    """Times at which it was found at another server than before."""

    @classmethod
    def none(cls, num_users: int) -> "DwellStatistics":
        """Statistics before any user has been seen."""
        none = jnp.full((num_users,), _NOBODY, jnp.int32)
        never = jnp.zeros((num_users,), jnp.int32)
        return cls(none, none, never, none, never)


def count_dwell(before: DwellStatistics, observation: Observation) -> DwellStatistics:
    """Statistics after an observation of all users; those of users out of sight have no meaning."""
    new = before.first_slot < 0
    went = ~new & (observation.station != before.station)
    moved = ~new & (observation.host != before.host)
    return DwellStatistics(
        jnp.where(new, observation.slot, before.first_slot).astype(jnp.int32),
        observation.station.astype(jnp.int32),
        before.handovers + went,
        observation.host.astype(jnp.int32),
        before.moves + moved,
    )


def gain_duration(
    statistics: DwellStatistics, observation: Observation, prior_s: float
) -> GainDuration:
    """Posterior means of how long gains last, under a prior mean in seconds."""
    passed = (observation.slot - statistics.first_slot) * observation.infrastructure.slot_s
    known_s = jnp.maximum(passed, 0) + prior_s
    handovers, moves = statistics.handovers, statistics.moves
    return GainDuration(known_s / (handovers + 1), known_s / (moves + 1), known_s / (2 * moves + 1))
