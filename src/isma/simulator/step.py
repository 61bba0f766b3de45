"""One tick of the world: motion, broadcasts, the decisions that are due, and every task in its slot."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

from isma import delay
from isma.contract import Action, Memory, Observation, Policy
from isma.planning.pools import Pools
from isma.simulator.broadcast import broadcast, news
from isma.simulator.params import Params
from isma.simulator.state import Draws, Motion, Placement, State, active
from isma.when import when
from isma.world import mobility, radio
from isma.world.scenario import Visibility


class Outcome(eqx.Module):
    """What happened in one tick."""

    completion_time_s: Float[Array, "users tasks"]
    """Completion time of each task emitted in it; NaN where none was."""
    migrations: Int[Array, ""]
    """Services moved to another server."""
    handovers: Int[Array, ""]
    """Users attached to another station."""
    overloaded: Int[Array, ""]
    """Servers of which more than their whole CPU was requested."""


class Deciding(eqx.Module):
    """Who decides at this tick."""

    acting: Bool[Array, "servers"]
    due: Bool[Array, "servers"]
    newcomer: Bool[Array, "users"]
    decides: Bool[Array, "users"]


def step(
    params: Params, policy: Policy, state: State, memory: Memory, draws: Draws
) -> tuple[State, Memory, Outcome]:
    """Advance one world by one tick."""
    heard, underway = broadcast(params, state, draws)
    state = eqx.tree_at(
        lambda s: (s.heard, s.underway), state, (heard, underway), is_leaf=lambda x: x is None
    )
    deciding = who_decides(params, state)
    before = state.placement
    placement, memory = when(
        jnp.any(deciding.acting), _decide, (before, memory), params, policy, state, deciding, draws
    )
    migrated = deciding.decides & ~deciding.newcomer & (placement.host != before.host)
    ahead = move(params, state, draws)
    completion_time_s = serve(params, state, placement, ahead)
    station = mobility.nearest_site(ahead.position_m, params.site_m)
    outcome = Outcome(
        completion_time_s,
        migrations=jnp.sum(migrated, dtype=jnp.int32),
        handovers=jnp.sum(station != state.station, dtype=jnp.int32),
        overloaded=jnp.sum(placement.load > 1 + 1e-5, dtype=jnp.int32),
    )
    unseen = state.emission.first_slot >= (state.tick + 1) * params.slots_per_tick
    placement = eqx.tree_at(lambda p: p.host, placement, jnp.where(unseen, station, placement.host))
    state = eqx.tree_at(
        lambda s: (s.tick, s.motion, s.station, s.placement),
        state,
        (state.tick + 1, ahead, station, placement),
    )
    return state, memory, outcome


def who_decides(params: Params, state: State) -> Deciding:
    """The servers that are due or have a newcomer, and the users whose action takes effect."""
    due = (state.tick - state.phase_ticks) % params.period_ticks == 0
    start = state.tick * params.slots_per_tick
    first = state.emission.first_slot
    newcomer = (first >= start) & (first < start + params.slots_per_tick)
    host = state.placement.host
    welcomes = jnp.any(
        newcomer[:, None] & (host[:, None] == jnp.arange(params.shape.num_servers)), axis=0
    )
    settled = first < start
    return Deciding(due | welcomes, due, newcomer, newcomer | (settled & due[host]))


def everyone(params: Params, state: State) -> Deciding:
    """As if every server were due: for timing, for bounds and for looking at a state."""
    known = active(params, state)
    all_servers = jnp.ones_like(state.phase_ticks, bool)
    return Deciding(all_servers, all_servers, jnp.zeros_like(known), known)


def observe(
    params: Params, state: State, deciding: Deciding, visibility: Visibility
) -> Observation:
    """What the acting servers see: their own users' requests, and the last news of each other."""
    known = active(params, state)
    visible = (
        known if visibility is Visibility.FULL else known & deciding.acting[state.placement.host]
    )
    gain = _gain(params, state.motion.position_m, state.station)
    hide = lambda value: jnp.where(visible, value, jnp.zeros((), value.dtype))  # noqa: E731
    position = (
        jnp.where(visible[:, None], state.motion.position_m, 0.0)
        if params.shape.observe_position
        else None
    )
    return Observation(
        infrastructure=params.infrastructure,
        requests=jax.tree.map(hide, state.requests),
        gain=hide(gain),
        station=hide(state.station),
        host=hide(state.placement.host),
        visible=visible,
        decides=deciding.decides,
        acting=deciding.acting,
        due=deciding.due,
        news=news(params, state),
        position_m=position,
        visibility=visibility,
    )


def settle(
    params: Params,
    placement: Placement,
    action: Action,
    deciding: Deciding,
    known: Bool[Array, "users"],
) -> Placement:
    """Let an action take effect where it may, then scale the requests of overloaded servers."""
    takes = deciding.decides
    server = jnp.clip(action.server, 0, params.shape.num_servers - 1).astype(placement.host.dtype)
    host = jnp.where(takes, server, placement.host)
    ratio = jnp.where(takes, jnp.clip(action.offload_ratio, 0, 1), placement.offload_ratio)
    request = jnp.where(takes, jnp.clip(action.cpu_share, 0, 1), placement.requested_share)
    request = jnp.where(known, request, 0)
    pools = Pools(host, params.shape.num_servers)
    load = pools.sum(request)
    granted = request / jnp.maximum(1, pools.spread(load))
    price = jnp.where(deciding.acting, action.price_s, placement.price_s)
    return Placement(host, ratio, request, granted, load, price)


def move(params: Params, state: State, draws: Draws) -> Motion:
    """Positions at the tick's end."""
    if params.track_m is not None:
        index = jnp.minimum(state.tick + 1, params.track_m.shape[0] - 1)
        return Motion(params.track_m[index], state.motion.heading_rad)
    turn = params.turn_std_rad * draws.turn
    motion = state.motion
    return Motion(
        *mobility.advance(
            motion.position_m,
            motion.heading_rad,
            turn,
            params.step_m,
            params.site_m,
            params.coverage_radius_m,
        )
    )


def serve(
    params: Params, state: State, placement: Placement, ahead: Motion
) -> Float[Array, "users tasks"]:
    """Completion times, in seconds, of the tasks of this tick, each at its own slot's channel gain."""
    slot = _slots(params, state)
    start = state.tick * params.slots_per_tick
    emitted = slot < start + params.slots_per_tick
    part = ((slot - start) / params.slots_per_tick)[..., None]
    here = state.motion.position_m[:, None]
    position = here + (ahead.position_m[:, None] - here) * part
    gain = _gain(params, position, state.station[:, None])
    infrastructure, column = params.infrastructure, (lambda value: value[:, None])
    data_bits, cycles = column(state.requests.data_bits), column(state.requests.cycles)
    ratio, share = column(placement.offload_ratio), column(placement.granted_share)
    rate = delay.uplink_rate_bps(
        infrastructure.bandwidth_hz, infrastructure.power_w, gain, infrastructure.noise_w
    )
    hops = column(infrastructure.hops[state.station, placement.host])
    time_s = delay.completion_time_s(
        delay.local_time_s(cycles, ratio, column(state.requests.local_hz)),
        delay.uplink_time_s(data_bits, ratio, rate),
        delay.backhaul_time_s(data_bits, ratio, hops, infrastructure.backhaul_rate_bps),
        delay.edge_time_s(cycles, ratio, column(infrastructure.server_hz[placement.host]), share),
    )
    # NaN means that there was no task: one that a broken action leaves without a time never ends.
    return jnp.where(emitted, jnp.where(jnp.isnan(time_s), jnp.inf, time_s), jnp.nan)


def _decide(
    placed: tuple[Placement, Memory],
    params: Params,
    policy: Policy,
    state: State,
    deciding: Deciding,
    draws: Draws,
) -> tuple[Placement, Memory]:
    placement, memory = placed
    observation = observe(params, state, deciding, policy.visibility or params.shape.visibility)
    action, new = policy.act(memory, observation, draws.policy_key)
    memory = Memory(
        per_server=_where(deciding.acting, new.per_server, memory.per_server),
        per_user=_where(observation.visible, new.per_user, memory.per_user),
    )
    return settle(params, placement, action, deciding, active(params, state)), memory


def _where(rows: Bool[Array, "rows"], new: PyTree, old: PyTree) -> PyTree:
    """Rows of a memory are renewed for those who decided, and kept for everyone else."""
    return jax.tree.map(
        lambda a, b: jnp.where(rows.reshape(-1, *(1,) * (a.ndim - 1)), a, b), new, old
    )


def _slots(params: Params, state: State) -> Int[Array, "users tasks"]:
    """Slots of the next tasks of every user, from this tick's beginning on."""
    emission = state.emission
    start = state.tick * params.slots_per_tick
    behind = jnp.maximum(start - emission.first_slot, 0)
    passed = -(-behind // emission.interval_slots)
    following = passed[:, None] + jnp.arange(params.shape.tasks_per_tick)
    return emission.first_slot[:, None] + following * emission.interval_slots[:, None]


def _gain(
    params: Params, position_m: Float[Array, "... 2"], station: Int[Array, "..."]
) -> Float[Array, "..."]:
    offset = position_m - params.site_m[station]
    squared = offset[..., 0] ** 2 + offset[..., 1] ** 2
    return radio.channel_gain(
        squared, params.gain_at_1m, params.loss_exponent, params.min_distance_m
    )
