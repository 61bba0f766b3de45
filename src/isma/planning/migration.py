"""The price of a move: how long it stops a service, and what it sends over the backhaul.

A state of M bits over n hops at R bit/s takes M n / R. Cold: the service stands still meanwhile.
Pre-copy (Clark et al., NSDI 2005): it runs on while the state is sent, and what it has changed
meanwhile is sent in the next round. With changes at w bit/s each round is λ = w n / R of the one
before (Liu et al., HPDC 2011); it stops for the last one.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from isma.contract import MigrationCost, Observation
from isma.world.switches import Migrating

_LEAST_SHRINKING = 0.999


class Move(NamedTuple):
    """What one move takes."""

    ahead_s: Float[Array, "..."]
    """Time for which the service still runs where it was."""
    stop_s: Float[Array, "..."]
    """Time for which it then stands still."""
    sent_bits: Float[Array, "..."]
    """Data that each hop carries."""


def downtime_s(observation: Observation) -> Float[Array, "users servers"]:
    """Time for which each user's service would stop if it moved to each server; 0 at home."""
    cost, hops = observation.infrastructure.migration, observation.infrastructure.hops
    if cost is None:
        return jnp.zeros_like(hops, shape=(observation.host.shape[0], hops.shape[1]))
    requests = observation.requests
    move = move_between(
        cost,
        observation.infrastructure.backhaul_rate_bps,
        requests.state_bits[:, None],
        requests.downtime_per_hop_s[:, None],
        hops[observation.host],
    )
    elsewhere = jnp.arange(hops.shape[1]) != observation.host[:, None]
    return jnp.where(elsewhere & observation.visible[:, None], move.stop_s, 0)


def move_between(
    cost: MigrationCost,
    rate_bps: Float[Array, ""],
    state_bits: Float[Array, "..."],
    downtime_per_hop_s: Float[Array, "..."],
    hops: Float[Array, "..."],
) -> Move:
    """What a move to a server so many hops away takes."""
    whole_s = state_bits * hops / rate_bps
    fixed_s = cost.downtime_s + downtime_per_hop_s * hops
    if cost.kind is Migrating.COLD:
        return Move(jnp.zeros_like(whole_s), fixed_s + whole_s, state_bits)
    # Rounds that hardly shrink gain nothing: then the first one is the last.
    shrink = cost.dirty_bps * hops / rate_bps
    works = (shrink < _LEAST_SHRINKING) & (state_bits > cost.stop_bits)
    shrink = jnp.clip(shrink, 1e-9, _LEAST_SHRINKING)
    needed = jnp.log(cost.stop_bits / jnp.maximum(state_bits, 1)) / jnp.log(shrink)
    rounds = jnp.where(works, jnp.clip(jnp.ceil(needed), 1, cost.most_rounds), 0)
    last = shrink**rounds
    before = (1 - last) / (1 - shrink)
    return Move(before * whole_s, fixed_s + last * whole_s, (before + last) * state_bits)
