"""Parameters of what a scenario has beyond the paper's world, as arrays; None where it is switched off."""

import math

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from isma.world import arrivals, traces
from isma.world.scenario import Scenario
from isma.world.switches import Attendance, Presence, Propagation, VisitLength

LAST_SLOT = 2**31 - 1
"""A slot that is never reached: the departure of users that stay."""


class Roadway(eqx.Module):
    """A straight road along a line of stations."""

    ends_m: Float[Array, "2"]
    """West and east."""
    north_m: Float[Array, ""]
    """Distance from the line of stations."""


class Classes(eqx.Module):
    """Classes of services, of which each user draws one."""

    until: Float[Array, "classes"]
    """A user whose uniform draw is below this, and not below the one before, has this class."""
    interval_slots: Int[Array, "classes 2"]
    data_bits: Float[Array, "classes 2"]
    cycles: Float[Array, "classes 2"]
    cycles_per_bit: Float[Array, "classes 2"]
    """Added to `cycles`; of the two one is 0."""


class Visits(eqx.Module):
    """When visitors come, for how long, and where."""

    arrival_slot: Int[Array, "2"]
    """First and last slot of the range."""
    stay_s: Float[Array, "2"]
    radius_m: Float[Array, ""] | None
    """Around the first station; None: anywhere."""
    num_visitors: int = eqx.field(static=True)
    """Number of visitors; theirs are the first rows of users."""
    kind: VisitLength = eqx.field(static=True)
    recorded_slot: Int[Array, "arrivals"] | None = None
    """Arrivals of which each visitor draws one, in place of the range."""


class Stays(eqx.Module):
    """Arrival and departure of users on a trace."""

    arrival_slot: Int[Array, "users"]
    """0 for those that are there when the run begins."""
    leave_slot: Int[Array, "users"]
    same_as: Int[Array, "users"]
    """The first row of the same user: one that comes back has the tasks that it had."""


class Streets(eqx.Module):
    """The UMi channel of 3GPP TR 38.901."""

    carrier_hz: Float[Array, ""]
    station_m: Float[Array, ""]
    """Height of a station's antenna."""
    user_m: Float[Array, ""]
    """Height of a user's antenna."""


class Faults(eqx.Module):
    """How servers fail, and how long it takes until their users are served again."""

    chance: Float[Array, ""]
    """That a server fails in a tick."""
    repair_ticks: Float[Array, ""]
    """Mean of an exponential distribution."""
    detection_ticks: Int[Array, ""]
    restart_slots: Int[Array, ""]


def classes(scenario: Scenario) -> Classes | None:
    """Classes of services; None where all requests are of one kind."""
    mix, slot_s = scenario.services, scenario.time.slot_s
    if not mix:
        return None
    weight = np.cumsum([service.weight for service in mix])
    none = (0.0, 0.0)
    return Classes(
        until=jnp.asarray(weight / weight[-1], float),
        interval_slots=jnp.asarray(
            [[round(end / slot_s) for end in service.interval_s] for service in mix], jnp.int32
        ),
        data_bits=jnp.asarray([service.data_bits for service in mix], float),
        cycles=jnp.asarray([service.cycles or none for service in mix], float),
        cycles_per_bit=jnp.asarray([service.cycles_per_bit or none for service in mix], float),
    )


def visits(
    scenario: Scenario, num_users: int, moving: traces.Trajectories | None
) -> Visits | Stays | None:
    """Comings and goings of users; None where all stay."""
    presence, slot_s = scenario.presence, scenario.time.slot_s
    if not presence.enabled:
        return None
    if presence.kind is Attendance.TRACE:
        assert moving is not None  # validated: a trace
        return _stays(moving, slot_s)
    return Visits(
        arrival_slot=jnp.asarray([round(end / slot_s) for end in presence.arrival_s], jnp.int32),
        stay_s=jnp.asarray(presence.stay_s, float),
        radius_m=None if presence.within_m is None else jnp.asarray(presence.within_m),
        num_visitors=round(presence.part * num_users),
        kind=presence.stay,
        recorded_slot=_recorded(presence, slot_s),
    )


def _recorded(presence: Presence, slot_s: float) -> Int[Array, "arrivals"] | None:
    """Slots of recorded arrivals; those that no run reaches are never there."""
    if presence.kind is not Attendance.RECORDED:
        return None
    slot = np.round(arrivals.read(presence) / slot_s)
    return jnp.asarray(np.minimum(slot, LAST_SLOT), jnp.int32)


def _stays(moving: traces.Trajectories, slot_s: float) -> Stays:
    """Slots from which users are there and are not, at least one apart."""
    ends = np.clip(np.round(moving.there_s / slot_s), 0, LAST_SLOT - 1).astype(np.int64)
    leave_slot = np.maximum(ends[:, 1], ends[:, 0] + 1)
    leave_slot[np.isposinf(moving.there_s[:, 1])] = LAST_SLOT
    _, first, person = np.unique(moving.user_ids, return_index=True, return_inverse=True)
    arrays = (ends[:, 0], leave_slot, first[person])
    return Stays(*(jnp.asarray(array, jnp.int32) for array in arrays))


def faults(scenario: Scenario) -> Faults | None:
    """Failures of servers; None where none fails."""
    failures, time = scenario.failures, scenario.time
    if not failures.enabled:
        return None
    detection_ticks = math.ceil(failures.detection_s / time.tick_s - 1e-9)
    restart_slots = round(failures.restart_s / time.slot_s)
    # Times beyond the run's end are equal to it.
    return Faults(
        chance=jnp.asarray(-math.expm1(-time.tick_s / failures.mean_between_s)),
        repair_ticks=jnp.asarray(failures.mean_repair_s / time.tick_s),
        detection_ticks=jnp.asarray(min(max(1, detection_ticks), time.num_ticks), jnp.int32),
        restart_slots=jnp.asarray(
            min(restart_slots, time.num_ticks * time.slots_per_tick), jnp.int32
        ),
    )


def streets(scenario: Scenario) -> Streets | None:
    """Street canyons; None for the paper's channel."""
    radio = scenario.radio
    if radio.model is not Propagation.UMI:
        return None
    return Streets(
        jnp.asarray(radio.carrier_hz),
        jnp.asarray(radio.station_height_m),
        jnp.asarray(radio.user_height_m),
    )
