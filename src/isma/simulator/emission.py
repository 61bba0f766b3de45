"""Requests of a new world's users, and when they emit their tasks."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, PRNGKeyArray

from isma import randomness
from isma.contract import Requests
from isma.simulator.params import Params
from isma.simulator.switched import LAST_SLOT, Stays
from isma.world.switches import VisitLength

_LONGEST = 1e9
"""Slots of a stay, so that they fit their type."""


class Emission(eqx.Module):
    """When a user emits tasks: at `first_slot` and every `interval_slots` until `leave_slot`."""

    first_slot: Int[Array, "users"]
    interval_slots: Int[Array, "users"]
    leave_slot: Int[Array, "users"] | None = None
    """Where users come and go: the slot from which a user is no longer there."""


class RequestRanges(NamedTuple):
    """Ranges of users' requests: the same for all, or those of each user's service class."""

    interval_slots: Int[Array, "*users 2"]
    data_bits: Float[Array, "*users 2"]
    cycles: Float[Array, "*users 2"]
    cycles_per_bit: Float[Array, "users 2"] | None


def request_ranges(params: Params, key: PRNGKeyArray) -> RequestRanges:
    """Ranges for all users, or for each by the class that it draws."""
    classes = params.classes
    if classes is None:
        return RequestRanges(params.interval_slots, params.data_bits, params.cycles, None)
    unit = randomness.uniform(key, (params.shape.num_users,), classes.until.dtype)
    # The last end is 1 but for rounding.
    drawn = jnp.sum(unit[:, None] >= classes.until[:-1], axis=1)
    return RequestRanges(
        classes.interval_slots[drawn],
        classes.data_bits[drawn],
        classes.cycles[drawn],
        classes.cycles_per_bit[drawn],
    )


def draw_requests(
    params: Params,
    ranges: RequestRanges,
    keys: Key[Array, "3"],
    beyond: Key[Array, "3"],
    emission: Emission,
) -> Requests:
    """Requests within their ranges; `beyond` is randomness that the paper's world does not use."""

    def within(key: PRNGKeyArray, ends: Float[Array, "*users 2"]) -> Float[Array, "users"]:
        unit = randomness.uniform(key, (params.shape.num_users,), ends.dtype)
        return ends[..., 0] + (ends[..., 1] - ends[..., 0]) * unit

    data_bits, cycles, local_hz = (
        within(key, ends)
        for key, ends in zip(keys, (ranges.data_bits, ranges.cycles, params.local_hz), strict=True)
    )
    if ranges.cycles_per_bit is not None:
        cycles = cycles + data_bits * within(beyond[2], ranges.cycles_per_bit)
    free = params.infrastructure.migration is None
    nothing = jnp.zeros_like(cycles)
    return Requests(
        data_bits,
        cycles,
        local_hz,
        deadline_s=cycles / local_hz,
        interval_s=emission.interval_slots * params.slot_s,
        state_bits=nothing if free else within(beyond[0], params.state_bits),
        downtime_per_hop_s=nothing if free else within(beyond[1], params.downtime_per_hop_s),
    )


def visiting(params: Params, emission: Emission, keys: Key[Array, "2"]) -> Emission:
    """Emission in which visitors have arrival and departure times of their own."""
    visits = params.visits
    if visits is None or isinstance(visits, Stays):
        return emission
    users = (params.shape.num_users,)
    visitor = jnp.arange(params.shape.num_users) < visits.num_visitors
    recorded = visits.recorded_slot
    if recorded is None:
        ends = visits.arrival_slot
        arrival = randomness.whole(keys[0], users, ends[0], ends[1] + 1)
    else:
        arrival = recorded[randomness.whole(keys[0], users, 0, len(recorded))]
    first_slot = jnp.where(visitor, arrival, emission.first_slot)
    unit = randomness.uniform(keys[1], users, visits.stay_s.dtype)
    if visits.kind is VisitLength.EXPONENTIAL:
        unit = -jnp.log1p(-unit)
    stay_s = visits.stay_s[0] + (visits.stay_s[1] - visits.stay_s[0]) * unit
    stay_slots = jnp.round(jnp.clip(stay_s / params.slot_s, 1, _LONGEST)).astype(jnp.int32)
    leave_slot = first_slot + jnp.minimum(stay_slots, LAST_SLOT - first_slot)
    return Emission(first_slot, emission.interval_slots, jnp.where(visitor, leave_slot, LAST_SLOT))


def staying(stays: Stays, requests: Requests, emission: Emission) -> tuple[Requests, Emission]:
    """Emission on a trace: users arrive by their trace, and returning ones keep their tasks."""
    requests = jax.tree.map(lambda value: value[stays.same_as], requests)
    first_slot = jnp.where(stays.arrival_slot > 0, stays.arrival_slot, emission.first_slot)
    interval_slots = emission.interval_slots[stays.same_as]
    return requests, Emission(first_slot, interval_slots, stays.leave_slot)
