"""What the reference simulator is told and what it tells: a world, its randomness, every tick."""

import math
from collections.abc import Callable
from dataclasses import dataclass

Point = tuple[float, float]


@dataclass(frozen=True)
class User:
    """What is fixed for one user, and where it starts."""

    data_bits: float
    cycles: float
    local_hz: float
    deadline_s: float
    interval_slots: int
    first_slot: int
    start_m: Point
    heading_rad: float
    state_bits: float = 0.0
    downtime_per_hop_s: float = 0.0
    leave_slot: float = math.inf
    """From which it is not there any more."""
    fading: tuple[float, float] = (0.0, 0.0)
    """At the start: shadowing, and what decides on line of sight."""


@dataclass(frozen=True)
class Server:
    """One edge server and the base station beside which it stands."""

    home: int
    clock_hz: float
    period_ticks: int
    phase_ticks: int


@dataclass(frozen=True)
class Streets:
    """The street canyons of 3GPP TR 38.901."""

    carrier_ghz: float
    station_height_m: float
    user_height_m: float


@dataclass(frozen=True)
class Radio:
    """The uplink, in the decibels of the scenario."""

    bandwidth_hz: float
    power_dbm: float
    noise_dbm: float
    loss_at_1km_db: float
    loss_per_decade_db: float
    min_distance_m: float
    shared: bool = False
    streets: Streets | None = None


@dataclass(frozen=True)
class Broadcast:
    """How the servers' news travels."""

    period_ticks: int
    delay_ticks: int
    loss_ratio: float
    literal: bool


@dataclass(frozen=True)
class Latency:
    """What a task needs to reach a server however small it is."""

    task_s: float
    per_hop_s: float


@dataclass(frozen=True)
class Migration:
    """What a move costs; `rounds` is 0 for a cold one."""

    downtime_s: float
    dirty_bps: float
    stop_bits: float
    rounds: int


@dataclass(frozen=True)
class Failures:
    """How servers fail and how their users get away."""

    mean_between_s: float
    mean_repair_s: float
    detection_ticks: int
    restart_slots: int


@dataclass(frozen=True)
class World:
    """Everything that one seed and one scenario fix; `track_m[tick][user]` replaces steady motion.

    `track_m[k]` is the recorded position at the beginning of tick `k`, which is the end of `k - 1`.
    A switch that is None is off.
    """

    users: tuple[User, ...]
    stations_m: tuple[Point, ...]
    servers: tuple[Server, ...]
    hops: tuple[tuple[float, ...], ...]
    """`hops[station][server]`."""
    backhaul_bps: float
    radio: Radio
    broadcast: Broadcast
    coverage_m: float
    speed_mps: float
    turn_std_rad_per_sqrt_s: float
    slots_per_tick: int
    tick_s: float
    track_m: tuple[tuple[Point, ...], ...] | None = None
    road_m: tuple[float, float] | None = None
    """West and east end of the road on which users drive."""
    latency: Latency | None = None
    migration: Migration | None = None
    failures: Failures | None = None
    kappa_j_per_hz2: float = 0.0
    queued: bool = False
    visited: bool = False
    """Whether users come and go; they then stand where they are while they are not there."""

    @property
    def slot_s(self) -> float:
        return self.tick_s / self.slots_per_tick


@dataclass(frozen=True)
class Draws:
    """A run's randomness: `turn[tick][user]` normal, `heard[tick][listener][server]` uniform,
    `failure[tick][server]` two of them, `fading[tick][user]` two normal ones.
    """

    turn: list[list[float]]
    heard: list[list[list[float]]] | None = None
    failure: list[list[tuple[float, float]]] | None = None
    fading: list[list[tuple[float, float]]] | None = None


@dataclass(frozen=True)
class Action:
    """What would be done with every user and every price, if its server decided now."""

    server: list[int]
    offload_ratio: list[float]
    cpu_share: list[float]
    price: list[float]


@dataclass(frozen=True)
class News:
    """What each listener holds of each server, `[listener][server]`."""

    remaining_hz: list[list[float]]
    price: list[list[float]]
    age_s: list[list[float]]


@dataclass(frozen=True)
class View:
    """The state at the beginning of a tick, after the broadcasts, from which everyone decides."""

    positions_m: list[Point]
    stations: list[int]
    hosts: list[int]
    there: list[bool]
    """Users that have come and not left."""
    waits_s: list[float]
    """Until each user's service runs."""
    local_cycles: list[float]
    edge_cycles: list[float]
    """Work in line on either branch."""
    gains: list[float]
    """Channel gain of each user's link."""
    bands_hz: list[float]
    """What each user has, or would have, of its station's band."""
    news: News


@dataclass(frozen=True)
class Task:
    """One component task and how long it took."""

    user: int
    slot: int
    completion_s: float
    energy_j: float
    """What it takes from its user."""


@dataclass(frozen=True)
class Tick:
    """What one tick did; positions, stations, headings and hosts are those at its end."""

    tasks: list[Task]
    hosts: list[int]
    offload_ratios: list[float]
    requests: list[float]
    granted: list[float]
    loads: list[float]
    prices: list[float]
    acting: list[bool]
    newcomers: list[bool]
    deciding: list[bool]
    migrations: list[int]
    """Moves of each user's service."""
    handovers: list[bool]
    overloaded: list[bool]
    news: News
    positions_m: list[Point]
    stations: list[int]
    headings_rad: list[float]
    up_slots: list[int]
    """Slots from which services run."""
    local_cycles: list[float]
    """Work in line at the users' CPUs."""
    edge_cycles: list[float]
    """Work in line at their shares of the servers."""
    down_slots: int
    """Slots of this tick in which services stood still."""
    present: int
    """Users that are there."""
    up: list[bool]
    """Servers that are up."""
    fading: list[tuple[float, float]]
    """Of each user's link, at the tick's end."""
    turned: list[bool]
    """Users that have turned to another server."""


@dataclass(frozen=True)
class Result:
    """A run, tick by tick."""

    ticks: list[Tick]


Rule = Callable[[int, View], Action]
