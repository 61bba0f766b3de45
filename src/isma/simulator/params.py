"""Params: a scenario as arrays. A number may change without compiling anything again."""

import math

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from isma.contract import HopLatency, Infrastructure
from isma.errors import ScenarioError
from isma.planning.migration import cost_of
from isma.simulator import switched
from isma.simulator.switched import Classes, Faults, Roadway, Stays, Streets, Visits
from isma.units import db_to_ratio
from isma.world import arrivals, backhaul, limits, nearby, sites, traces
from isma.world.motion import Road, Steady, Trace
from isma.world.scenario import Remaining, Scenario, Visibility
from isma.world.servers import Network, network, servers_among


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
        classes=switched.classes(scenario),
        visits=switched.visits(scenario, shape.num_users, moving),
        faults=switched.faults(scenario),
        streets=switched.streets(scenario),
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
    if scenario.presence.recorded:
        arrivals.read(scenario.presence)
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
