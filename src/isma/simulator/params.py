"""Params: a scenario as arrays. A number may change without compiling anything again."""

import math

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from isma.contract import HopLatency, Infrastructure
from isma.errors import ScenarioError
from isma.planning.migration import cost_of
from isma.units import db_to_ratio
from isma.world import backhaul, limits, nearby, sites, traces
from isma.world.motion import Road, Steady, Trace
from isma.world.scenario import Remaining, Scenario, Visibility
from isma.world.servers import Network, network, servers_among
from isma.world.switches import Attendance, Propagation, VisitLength

LAST_SLOT = 2**31 - 1
"""A slot that is never reached: the departure of users that stay."""


class Shape(eqx.Module):
    """Static part of a world, on which the compiled program depends: sizes and switches."""

    num_users: int = eqx.field(static=True)
    num_stations: int = eqx.field(static=True)
    num_servers: int = eqx.field(static=True)
    tasks_per_tick: int = eqx.field(static=True)
    """Most tasks that a user can emit in a tick."""
    history_ticks: int = eqx.field(static=True)
    """Length of the ring of broadcasts under way."""
    lossy: bool = eqx.field(static=True)
    """Whether broadcasts can be lost, so that every listener has news of its own."""
    literal_remaining: bool = eqx.field(static=True)
    observe_position: bool = eqx.field(static=True)
    queued: bool = eqx.field(static=True)
    """Whether tasks wait for one another."""
    shared_band: bool = eqx.field(static=True)
    """Whether a station's band is divided among the users that offload."""
    visibility: Visibility = eqx.field(static=True)


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


class Params(eqx.Module):
    """The world's constants, the same for every seed. A part that is None is switched off."""

    infrastructure: Infrastructure
    site_m: Float[Array, "stations 2"]
    station_neighbours: Int[Array, "stations neighbours"] | None
    """Stations next to each one, in large cities; itself fills up the rows of those that have fewer."""
    coverage_radius_m: Float[Array, ""]
    period_ticks: Int[Array, "servers"]
    slots_per_tick: Int[Array, ""]
    tick_s: Float[Array, ""]
    gain_at_1m: Float[Array, ""]
    loss_exponent: Float[Array, ""]
    min_distance_m: Float[Array, ""]
    step_m: Float[Array, ""]
    """Distance that a user moves in a tick."""
    turn_std_rad: Float[Array, ""]
    """Standard deviation of a heading's change in a tick."""
    track_m: Float[Array, "samples users 2"] | None
    """Positions at every tick, where users follow a trace."""
    road: Roadway | None
    broadcast_ticks: Int[Array, ""]
    delay_ticks: Int[Array, ""]
    loss_ratio: Float[Array, ""]
    interval_slots: Int[Array, "2"]
    data_bits: Float[Array, "2"]
    cycles: Float[Array, "2"]
    local_hz: Float[Array, "2"]
    clock_range_hz: Float[Array, "2"] | None
    """Where servers' clocks are drawn in each world."""
    state_bits: Float[Array, "2"]
    downtime_per_hop_s: Float[Array, "2"]
    classes: Classes | None
    visits: Visits | Stays | None
    faults: Faults | None
    streets: Streets | None
    kappa_j_per_hz2: Float[Array, ""] | None
    """Energy of a CPU cycle of a user over the square of its clock."""
    shape: Shape

    @property
    def slot_s(self) -> Float[Array, ""]:
        """Length of a slot."""
        return self.tick_s / self.slots_per_tick


def build(scenario: Scenario) -> Params:
    """Lay a scenario out as arrays. Raises ScenarioError or DataError where it cannot be."""
    _refuse_unfit(scenario)
    laid = network(scenario)
    layout, num_servers = laid.layout, len(laid.home)
    clock_hz = _per_server("servers.clock_hz", scenario.servers.clock_hz, num_servers)
    period_s = _per_server(
        "servers.decision_period_s", scenario.servers.decision_period_s, num_servers
    )
    radio, time, tasks = scenario.radio, scenario.time, scenario.tasks
    moving = _followed(scenario, layout)
    shape = _shape(scenario, len(layout.ids), num_servers, moving)
    speed_mps, turn_std = _steady(scenario)
    return Params(
        infrastructure=_infrastructure(scenario, laid, clock_hz, period_s, shape.num_users),
        site_m=jnp.asarray(layout.position_m),
        station_neighbours=_table(nearby.station_neighbours(laid, shape.num_users)),
        coverage_radius_m=jnp.asarray(scenario.sites.coverage_radius_m),
        period_ticks=jnp.asarray(np.round(period_s / time.tick_s), jnp.int32),
        slots_per_tick=jnp.asarray(time.slots_per_tick, jnp.int32),
        tick_s=jnp.asarray(time.tick_s),
        gain_at_1m=jnp.asarray(db_to_ratio(3 * radio.loss_per_decade_db - radio.loss_at_1km_db)),
        loss_exponent=jnp.asarray(radio.loss_per_decade_db / 10),
        min_distance_m=jnp.asarray(radio.min_distance_m),
        step_m=jnp.asarray(speed_mps * time.tick_s),
        turn_std_rad=jnp.asarray(turn_std * math.sqrt(time.tick_s)),
        track_m=None if moving is None else jnp.asarray(moving.position_m),
        road=_roadway(scenario, layout),
        broadcast_ticks=jnp.asarray(
            max(1, round(scenario.broadcast.period_s / time.tick_s)), jnp.int32
        ),
        delay_ticks=jnp.asarray(_delay_ticks(scenario), jnp.int32),
        loss_ratio=jnp.asarray(scenario.broadcast.loss_ratio),
        interval_slots=jnp.asarray(
            [round(end / time.slot_s) for end in tasks.interval_s], jnp.int32
        ),
        data_bits=jnp.asarray(tasks.data_bits, float),
        cycles=jnp.asarray(tasks.cycles, float),
        local_hz=jnp.asarray(scenario.users.local_hz, float),
        clock_range_hz=(
            None
            if scenario.servers.clock_range_hz is None
            else jnp.asarray(scenario.servers.clock_range_hz, float)
        ),
        state_bits=jnp.asarray(scenario.migration.state_bits, float),
        downtime_per_hop_s=jnp.asarray(scenario.migration.downtime_per_hop_s, float),
        classes=_classes(scenario),
        visits=_visits(scenario, shape.num_users, moving),
        faults=_faults(scenario),
        streets=_streets(scenario),
        kappa_j_per_hz2=(
            jnp.asarray(scenario.energy.kappa_j_per_hz2) if scenario.energy.enabled else None
        ),
        shape=shape,
    )


def _infrastructure(
    scenario: Scenario,
    laid: Network,
    clock_hz: np.ndarray,
    period_s: np.ndarray,
    num_users: int,
) -> Infrastructure:
    radio = scenario.radio
    return Infrastructure(
        server_hz=jnp.asarray(clock_hz),
        decision_period_s=jnp.asarray(period_s),
        broadcast_period_s=jnp.asarray(max(scenario.broadcast.period_s, scenario.time.tick_s)),
        hops=jnp.asarray(laid.hops, float),
        backhaul_rate_bps=jnp.asarray(scenario.backhaul.rate_bps),
        bandwidth_hz=jnp.asarray(radio.bandwidth_hz),
        power_w=jnp.asarray(radio.power_w),
        noise_w=jnp.asarray(radio.noise_w),
        slot_s=jnp.asarray(scenario.time.slot_s),
        latency=_latency(scenario),
        migration=cost_of(scenario.migration),
        home=None if laid.everywhere else jnp.asarray(laid.home, jnp.int32),
        closest=None if laid.everywhere else jnp.asarray(laid.nearest, jnp.int32),
        near=_table(nearby.servers_near(laid, num_users)),
    )


def _table(table: np.ndarray | None) -> Int[Array, "stations columns"] | None:
    return None if table is None else jnp.asarray(table, jnp.int32)


def fit(scenario: Scenario) -> Shape:
    """Sizes of a scenario that can be run, its data read but nothing laid out as `build` does.

    Raises ScenarioError or DataError where it cannot be.
    """
    _refuse_unfit(scenario)
    layout = sites.layout(scenario.sites)
    backhaul.check_connected(scenario.backhaul, layout, scenario.sites.coverage_radius_m)
    num_servers = servers_among(scenario, len(layout.ids))
    _per_server("servers.clock_hz", scenario.servers.clock_hz, num_servers)
    _per_server("servers.decision_period_s", scenario.servers.decision_period_s, num_servers)
    return _shape(scenario, len(layout.ids), num_servers, _followed(scenario, layout))


def _refuse_unfit(scenario: Scenario) -> None:
    """Refuse by the scenario's own numbers, before any file is read."""
    stations = 1 if scenario.sites.kind == "file" else scenario.sites.count
    servers = scenario.servers.count or stations
    limits.refuse_unfit(scenario, scenario.users.count or 1, stations, servers)


def _shape(
    scenario: Scenario, num_stations: int, num_servers: int, moving: traces.Trajectories | None
) -> Shape:
    delay_ticks = _delay_ticks(scenario)
    num_users = scenario.users.count if moving is None else len(moving.user_ids)
    assert num_users is not None  # validated: a count or a trace
    limits.refuse_unfit(scenario, num_users, num_stations, num_servers)
    return Shape(
        num_users=num_users,
        num_stations=num_stations,
        num_servers=num_servers,
        tasks_per_tick=limits.tasks_per_tick(scenario),
        history_ticks=0 if delay_ticks == 0 else 2 ** delay_ticks.bit_length(),
        lossy=scenario.broadcast.loss_ratio > 0,
        literal_remaining=scenario.broadcast.remaining is Remaining.LITERAL,
        observe_position=scenario.observe_position,
        queued=scenario.queues.enabled,
        shared_band=scenario.radio.shared,
        visibility=scenario.visibility,
    )


def _classes(scenario: Scenario) -> Classes | None:
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


def _visits(
    scenario: Scenario, num_users: int, moving: traces.Trajectories | None
) -> Visits | Stays | None:
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
    )


def _stays(moving: traces.Trajectories, slot_s: float) -> Stays:
    """Slots from which users are there and are not, at least one apart."""
    ends = np.clip(np.round(moving.there_s / slot_s), 0, LAST_SLOT - 1).astype(np.int64)
    leave_slot = np.maximum(ends[:, 1], ends[:, 0] + 1)
    leave_slot[np.isposinf(moving.there_s[:, 1])] = LAST_SLOT
    _, first, person = np.unique(moving.user_ids, return_index=True, return_inverse=True)
    arrays = (ends[:, 0], leave_slot, first[person])
    return Stays(*(jnp.asarray(array, jnp.int32) for array in arrays))


def _faults(scenario: Scenario) -> Faults | None:
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


def _streets(scenario: Scenario) -> Streets | None:
    radio = scenario.radio
    if radio.model is not Propagation.UMI:
        return None
    return Streets(
        jnp.asarray(radio.carrier_hz),
        jnp.asarray(radio.station_height_m),
        jnp.asarray(radio.user_height_m),
    )


def _latency(scenario: Scenario) -> HopLatency | None:
    latency = scenario.latency
    if not latency.on:
        return None
    return HopLatency(jnp.asarray(latency.task_s), jnp.asarray(latency.per_hop_s))


def _delay_ticks(scenario: Scenario) -> int:
    """Delay in ticks, at most the run's length: later arrivals need not be kept."""
    ticks = math.ceil(scenario.broadcast.delay_s / scenario.time.tick_s - 1e-9)
    return min(ticks, scenario.time.num_ticks)


def _steady(scenario: Scenario) -> tuple[float, float]:
    motion = scenario.mobility
    match motion:
        case Trace():
            return 0.0, 0.0
        case Road():
            return motion.speed_mps, 0.0
        case Steady():
            return motion.speed_mps, motion.turn_std_rad_per_sqrt_s


def _roadway(scenario: Scenario, layout: sites.Layout) -> Roadway | None:
    if not isinstance(scenario.mobility, Road):
        return None
    east_m = layout.position_m[:, 0]
    return Roadway(
        jnp.asarray([east_m.min(), east_m.max()], float), jnp.asarray(scenario.mobility.offset_m)
    )


def _followed(scenario: Scenario, layout: sites.Layout) -> traces.Trajectories | None:
    """Users at every tick's beginning and at the run's end, from the scenario's trace."""
    if not isinstance(scenario.mobility, Trace):
        return None
    if layout.projection is None:
        raise ScenarioError('sites.kind must be "file" when users follow a trace, got "hexagonal"')
    time = scenario.time
    return traces.trajectories(
        scenario.mobility,
        layout.projection,
        time.duration_s,
        time.tick_s,
        scenario.users.count,
        throughout=not scenario.presence.by_trace,
    )


def _per_server(name: str, value: float | tuple[float, ...], num_servers: int) -> np.ndarray:
    if isinstance(value, tuple) and len(value) != num_servers:
        raise ScenarioError(
            f"{name} must have one value or one for each of {num_servers} servers, got {len(value)}"
        )
    return np.broadcast_to(np.asarray(value, float), (num_servers,))
