"""How long what a move gains lasts, learned from each user's hand-overs and its service's moves.

The hops that a move spares last about as long as its user stays in a cell, and what it gains by load
as long as the service stays where it went. In t seconds with n hand-overs a user stays
(t + t₀) / (n + 1) seconds at a station, t₀ being what is believed before anything is known: the mean
of a gamma prior of one hand-over in t₀. With n moves, a service stays as long at a server. What sets
two servers' loads apart closes from both sides, users leaving the fuller one and coming to the emptier
one: for each move that was seen there was another, and it lasts (t + t₀) / (2n + 1) seconds.
"""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from isma.contract import Observation

_NOBODY = -1
PRIOR_S = 60.0
"""What is usually believed of a stay of which nothing is known."""


class Lasting(NamedTuple):
    """How long what a move gains lasts for each user, in seconds."""

    hops_s: Float[Array, "users"]
    """What it gains by fewer hops: as long as its user stays at a station."""
    load_s: Float[Array, "users"]
    """What it gains by load: as long as its service stays at a server."""
    gap_s: Float[Array, "users"]
    """What sets the loads of its servers apart; `load_s` before any move was seen."""

    @classmethod
    def believed(cls, every_s: Float[Array, "users"]) -> "Lasting":
        """So long, whatever it is: nothing was learned."""
        return cls(every_s, every_s, every_s)

    @property
    def longest_s(self) -> Float[Array, "users"]:
        """No gain lasts longer."""
        return jnp.maximum(self.hops_s, self.load_s)

    def of(self, by_load: Float[Array, "users places"]) -> Float[Array, "users places"]:
        """Of gains of which so large a part comes from load."""
        return self.hops_s[:, None] + by_load * (self.load_s - self.hops_s)[:, None]


class Seen(eqx.Module):
    """What is remembered of each user; it travels with the service."""

    first_slot: Int[Array, "users"]
    """When a host first saw it; -1 before."""
    station: Int[Array, "users"]
    """Where it was last."""
    handovers: Int[Array, "users"]
    """Times at which it was found at another station than before."""
    host: Int[Array, "users"]
    """Who served it last."""
    moves: Int[Array, "users"]
    """Times at which it was found at another server than before."""

    @classmethod
    def nobody(cls, num_users: int) -> "Seen":
        """Nobody has been seen yet."""
        none = jnp.full((num_users,), _NOBODY, jnp.int32)
        never = jnp.zeros((num_users,), jnp.int32)
        return cls(none, none, never, none, never)


def look(before: Seen, observation: Observation) -> Seen:
    """What is known after a look at all users; of those not in sight it is of no meaning."""
    new = before.first_slot < 0
    went = ~new & (observation.station != before.station)
    moved = ~new & (observation.host != before.host)
    return Seen(
        jnp.where(new, observation.slot, before.first_slot).astype(jnp.int32),
        observation.station.astype(jnp.int32),
        before.handovers + went,
        observation.host.astype(jnp.int32),
        before.moves + moved,
    )


def lasting(seen: Seen, observation: Observation, expected_s: float) -> Lasting:
    """How long gains last, if `expected_s` is believed before anything is known."""
    passed = (observation.slot - seen.first_slot) * observation.infrastructure.slot_s
    known_s = jnp.maximum(passed, 0) + expected_s
    handovers, moves = seen.handovers, seen.moves
    return Lasting(known_s / (handovers + 1), known_s / (moves + 1), known_s / (2 * moves + 1))
