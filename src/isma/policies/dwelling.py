"""How long users stay in a cell, learned from their hand-overs: about so long what a move gains lasts.

A host knows when it first saw a user and at which stations it has been since. In t seconds with n
hand-overs a user stays (t + t₀) / (n + 1) seconds at a station, t₀ being what is believed before
anything is known: the mean of a gamma prior of one hand-over in t₀.
"""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from isma.contract import Observation

_NOBODY = -1


class Seen(eqx.Module):
    """What is remembered of each user; it travels with the service."""

    first_slot: Int[Array, "users"]
    """When a host first saw it; -1 before."""
    station: Int[Array, "users"]
    """Where it was last."""
    handovers: Int[Array, "users"]
    """Times at which it was found at another station than before."""

    @classmethod
    def nobody(cls, num_users: int) -> "Seen":
        """Nobody has been seen yet."""
        none = jnp.full((num_users,), _NOBODY, jnp.int32)
        return cls(none, none, jnp.zeros((num_users,), jnp.int32))


def look(before: Seen, observation: Observation) -> Seen:
    """What is known after a look at all users; of those not in sight it is of no meaning."""
    new = before.first_slot < 0
    moved = ~new & (observation.station != before.station)
    return Seen(
        jnp.where(new, observation.slot, before.first_slot).astype(jnp.int32),
        observation.station.astype(jnp.int32),
        before.handovers + moved,
    )


def dwell_s(seen: Seen, observation: Observation, expected_s: float) -> Float[Array, "users"]:
    """Time for which each user stays at a station, if `expected_s` is believed beforehand."""
    passed = (observation.slot - seen.first_slot) * observation.infrastructure.slot_s
    return (jnp.maximum(passed, 0) + expected_s) / (seen.handovers + 1)
