"""State: everything that changes in one world, explicit; and Draws, all its randomness."""

from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, PRNGKeyArray

from isma import randomness
from isma.contract import Backlog, Infrastructure, Requests
from isma.simulator.emission import Emission, draw_requests, request_ranges, staying, visiting
from isma.simulator.params import Params
from isma.simulator.switched import Stays
from isma.world import mobility
from isma.world.switches import Migrating

NEVER = -1
"""A tick that does not come."""
_BEYOND = 2**31 - 1
"""Folded into a world's key for randomness beyond the paper's model; no tick reaches that number."""


class Motion(eqx.Module):
    """Positions and headings of users at the beginning of a tick."""

    position_m: Float[Array, "users 2"]
    heading_rad: Float[Array, "users"]


class Placement(eqx.Module):
    """Each user's host and CPU, as settled by the decisions."""

    host: Int[Array, "users"]
    """Hosting server; before a user's first task, the one nearest to its station."""
    offload_ratio: Float[Array, "users"]
    requested_share: Float[Array, "users"]
    granted_share: Float[Array, "users"]
    """The request, scaled down where a server's requests exceed 1."""
    load: Float[Array, "servers"]
    """Sum of the shares requested from a server."""
    price_s: Float[Array, "servers"]


class Heard(eqx.Module):
    """Broadcast values with their sending tick; one row a listener, or one for all of them."""

    remaining_hz: Float[Array, "listeners servers"]
    price_s: Float[Array, "listeners servers"]
    sent_tick: Int[Array, "listeners servers"]


class Underway(eqx.Module):
    """Broadcasts of the last ticks, in a ring, for those that arrive late."""

    remaining_hz: Float[Array, "history servers"]
    price_s: Float[Array, "history servers"]
    sent: Bool[Array, "history servers"] | None
    """Where servers fail: whether they could send."""


class Moves(eqx.Module):
    """Pre-copied moves under way: each user's target, and the resources reserved there."""

    target: Int[Array, "users"]
    offload_ratio: Float[Array, "users"]
    requested_share: Float[Array, "users"]
    """Reserved at the target from the decision on."""
    arrival_tick: Int[Array, "users"]
    """When the target takes over; `NEVER` for users that do not move."""


class Downtime(eqx.Module):
    """Downtime of services."""

    up_slot: Int[Array, "users"]
    """Slot from which a user's service runs; in the past where it does."""
    moves: Moves | None
    """Where state is copied ahead."""


class Outages(eqx.Module):
    """Servers that are down, and the users that have lost their host."""

    repair_tick: Int[Array, "servers"]
    """A server is up from this tick on."""
    lost_tick: Int[Array, "users"]
    """Since when a user's host has been down; `NEVER` for users whose host is up."""


class Fading(eqx.Module):
    """Random part of a user's link to its station: standard normal variables."""

    shadow: Float[Array, "users"]
    """Shadowing, in standard deviations of loss."""
    sight: Float[Array, "users"]
    """Line of sight: there is where this one's rank is below the chance."""


class State(eqx.Module):
    """One world between two ticks. A part that is None is switched off."""

    tick: Int[Array, ""]
    requests: Requests
    emission: Emission
    phase_ticks: Int[Array, "servers"]
    """Server l decides at ticks that equal its phase, modulo its period."""
    motion: Motion
    station: Int[Array, "users"]
    placement: Placement
    heard: Heard
    underway: Underway | None
    downtime: Downtime | None = None
    backlog: Backlog | None = None
    outages: Outages | None = None
    fading: Fading | None = None
    server_hz: Float[Array, "servers"] | None = None
    """CPU clocks of this world's servers, where each world draws its own."""


class Draws(eqx.Module):
    """The randomness of one tick, drawn before it: inject other arrays to replay another world."""

    turn: Float[Array, "users"]
    """Standard normal: how far headings turn."""
    heard: Float[Array, "servers servers"] | None
    """Uniform in [0, 1): a broadcast (column) reaches a listener (row) if not below the loss ratio."""
    policy_key: PRNGKeyArray
    failure: Float[Array, "servers 2"] | None = None
    """Uniform in [0, 1): whether a server fails, and how long its repair takes."""
    fading: Float[Array, "users 2"] | None = None
    """Standard normal: how shadowing and line of sight change."""


class Deciding(eqx.Module):
    """Decision makers of this tick."""

    acting: Bool[Array, "servers"]
    due: Bool[Array, "servers"]
    newcomer: Bool[Array, "users"]
    decides: Bool[Array, "users"]


def reset(params: Params, key: PRNGKeyArray) -> State:
    """Draw a new world: users, their tasks, starting points, and the servers' phases."""
    shape = params.shape
    keys = jax.random.split(key, 8)
    users = (shape.num_users,)
    beyond = jax.random.split(jax.random.fold_in(key, _BEYOND), 10)
    ranges = request_ranges(params, beyond[8])
    interval = ranges.interval_slots
    longest_slots = jnp.max(params.period_ticks) * params.slots_per_tick
    emission = Emission(
        first_slot=randomness.whole(keys[3], users, 0, longest_slots),
        interval_slots=randomness.whole(keys[4], users, interval[..., 0], interval[..., 1] + 1),
    )
    requests = draw_requests(params, ranges, keys[:3], beyond[jnp.array([0, 1, 9])], emission)
    if isinstance(params.visits, Stays):
        requests, emission = staying(params.visits, requests, emission)
    else:
        emission = visiting(params, emission, beyond[2:4])
    motion = Motion(
        position_m=_start(params, keys[5], beyond[4]),
        heading_rad=_heading_rad(params, keys[6]),
    )
    station = _first_station(params, motion.position_m)
    host = params.infrastructure.nearest(station)
    server_hz = _clocks_hz(params, beyond[7])
    return State(
        tick=jnp.zeros((), jnp.int32),
        requests=requests,
        emission=emission,
        phase_ticks=randomness.whole(keys[7], (shape.num_servers,), 0, params.period_ticks),
        motion=motion,
        station=station,
        placement=_nothing_placed(params, host),
        heard=_initial_news(params, server_hz),
        underway=_nothing_underway(params),
        downtime=_nobody_down(params, host),
        backlog=_nothing_to_do(params, requests),
        outages=_nobody_lost(params, station),
        fading=_first_fading(params, beyond[5:7]),
        server_hz=server_hz,
    )


def draw(params: Params, key: PRNGKeyArray, tick: Int[Array, ""]) -> Draws:
    """The randomness of a tick: a function of the world's key and the tick alone."""
    tick_key = jax.random.fold_in(key, tick)
    turn_key, heard_key, policy_key = jax.random.split(tick_key, 3)
    failure_key, fading_key = jax.random.split(jax.random.fold_in(tick_key, _BEYOND))
    shape = params.shape
    servers = (shape.num_servers, shape.num_servers)
    failing, fading = (shape.num_servers, 2), (shape.num_users, 2)
    return Draws(
        turn=randomness.normal(turn_key, (shape.num_users,)),
        heard=randomness.uniform(heard_key, servers) if shape.lossy else None,
        policy_key=policy_key,
        failure=None if params.faults is None else randomness.uniform(failure_key, failing),
        fading=None if params.streets is None else randomness.normal(fading_key, fading),
    )


def _start(params: Params, key: PRNGKeyArray, beyond: PRNGKeyArray) -> Float[Array, "users 2"]:
    """Initial positions: on traces, on the road, or anywhere, and of visitors around one station."""
    if params.track_m is not None:
        return params.track_m[0]
    users, visits = params.shape.num_users, params.visits
    if params.road is not None:
        return mobility.road_start(key, users, params.road.ends_m, params.road.north_m)
    city = (params.site_m, params.coverage_radius_m)
    start = (
        mobility.uniform_start(key, users, *city)
        if params.station_neighbours is None
        else mobility.uniform_start_by_retries(key, users, *city, params.station_neighbours)
    )
    if visits is None or isinstance(visits, Stays) or visits.radius_m is None:
        return start
    crowd = mobility.disc_start(beyond, users, params.site_m[0], visits.radius_m)
    return jnp.where((jnp.arange(users) < visits.num_visitors)[:, None], crowd, start)


def _first_station(params: Params, position_m: Float[Array, "users 2"]) -> Int[Array, "users"]:
    if params.station_neighbours is None:
        return mobility.nearest_site(position_m, params.site_m)
    # Anywhere will do to walk from; the middle of the list is no corner of a lattice.
    middle = jnp.full((len(position_m),), len(params.site_m) // 2, jnp.int32)
    return mobility.walk_to_nearest(position_m, middle, params.site_m, params.station_neighbours)


def _heading_rad(params: Params, key: PRNGKeyArray) -> Float[Array, "users"]:
    heading = randomness.uniform(key, (params.shape.num_users,), high=2 * jnp.pi)
    if params.road is None:
        return heading
    # Not of a weak type: a first chunk would be another program than those after it.
    east, west = (jnp.asarray(angle, heading.dtype) for angle in (0, jnp.pi))
    return jnp.where(heading < jnp.pi, east, west)


def _nothing_placed(params: Params, host: Int[Array, "users"]) -> Placement:
    no_share = jnp.zeros_like(params.site_m, shape=(params.shape.num_users,))
    none = jnp.zeros_like(params.infrastructure.server_hz)
    return Placement(host, no_share, no_share, no_share, load=none, price_s=none)


def _nobody_down(params: Params, host: Int[Array, "users"]) -> Downtime | None:
    migration = params.infrastructure.migration
    if migration is None and params.faults is None:
        return None
    up_slot = jnp.zeros_like(host)
    if migration is None or migration.kind is not Migrating.PRECOPY:
        return Downtime(up_slot, None)
    no_share = jnp.zeros_like(params.site_m, shape=host.shape)
    return Downtime(up_slot, Moves(host, no_share, no_share, jnp.full_like(host, NEVER)))


def _nobody_lost(params: Params, station: Int[Array, "users"]) -> Outages | None:
    if params.faults is None:
        return None
    return Outages(jnp.zeros_like(params.period_ticks), jnp.full_like(station, NEVER))


def _first_fading(params: Params, keys: Key[Array, "2"]) -> Fading | None:
    if params.streets is None:
        return None
    users = (params.shape.num_users,)
    return Fading(randomness.normal(keys[0], users), randomness.normal(keys[1], users))


def _nothing_to_do(params: Params, requests: Requests) -> Backlog | None:
    nothing = jnp.zeros_like(requests.cycles)
    return Backlog(nothing, nothing) if params.shape.queued else None


def _clocks_hz(params: Params, key: PRNGKeyArray) -> Float[Array, "servers"] | None:
    ends = params.clock_range_hz
    if ends is None:
        return None
    unit = randomness.uniform(key, (params.shape.num_servers,), ends.dtype)
    return ends[0] + (ends[1] - ends[0]) * unit


def _initial_news(params: Params, server_hz: Float[Array, "servers"] | None) -> Heard:
    """Values before the first broadcast of a server: its clock, which is public."""
    listeners = params.shape.num_servers if params.shape.lossy else 1
    rows = (listeners, params.shape.num_servers)
    clock_hz = params.infrastructure.server_hz if server_hz is None else server_hz
    heard_hz = jnp.broadcast_to(clock_hz, rows)
    return Heard(heard_hz, jnp.zeros_like(heard_hz), jnp.zeros(rows, jnp.int32))


def _nothing_underway(params: Params) -> Underway | None:
    if params.shape.history_ticks == 0:
        return None
    none = jnp.zeros_like(
        params.site_m, shape=(params.shape.history_ticks, params.shape.num_servers)
    )
    sent = None if params.faults is None else jnp.zeros(none.shape, bool)
    return Underway(none, none, sent)


def active(params: Params, state: State) -> Bool[Array, "users"]:
    """Users that have emitted their first task by the current tick's end and were there at its beginning."""
    emission, start = state.emission, state.tick * params.slots_per_tick
    born = emission.first_slot < start + params.slots_per_tick
    return born if emission.leave_slot is None else born & (emission.leave_slot > start)


def network(params: Params, state: State) -> Infrastructure:
    """The operator's network in this world."""
    if state.server_hz is None:
        return params.infrastructure
    return replace(params.infrastructure, server_hz=state.server_hz)
