"""One tick of the world: motion, broadcasts, the decisions that are due, and every task in its slot."""

from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from isma.contract import Memory, Observation, Policy, misfit
from isma.errors import PolicyError
from isma.planning.segment_sums import Pools
from isma.simulator.band import bandwidth_hz
from isma.simulator.broadcast import broadcast, news
from isma.simulator.channel import fade, gain
from isma.simulator.downtime import arrive, down_slots, migrate, under_way, wait_s
from isma.simulator.failures import fail, lose, servers_up
from isma.simulator.params import Params
from isma.simulator.placement import settle
from isma.simulator.presence import depart, gone
from isma.simulator.scene import Scene, scene
from isma.simulator.serve import serve
from isma.simulator.state import Deciding, Draws, Motion, Placement, State, active, network
from isma.when import when
from isma.world import mobility
from isma.world.scenario import Visibility


class TickOutcome(eqx.Module):
    """Events of one tick. A part that is None is switched off."""

    completion_time_s: Float[Array, "users tasks"]
    """Completion time of each task emitted in it; NaN where none was."""
    migrations: Int[Array, ""]
    """Services moved to another server."""
    handovers: Int[Array, ""]
    """Users attached to another station."""
    overloaded: Int[Array, ""]
    """Servers of which more than their whole CPU was requested."""
    down_slots: Int[Array, ""] | None
    """Slots of downtime, all users together."""
    present: Int[Array, ""] | None
    """Users that are there, where they come and go."""
    energy_j: Float[Array, "users tasks"] | None
    """Energy that each task takes from its user's battery; NaN where there is no task."""
    scene: Scene


def step(
    params: Params, policy: Policy, state: State, memory: Memory, draws: Draws
) -> tuple[State, Memory, TickOutcome]:
    """Advance one world by one tick."""
    state, deciding, arrived = before_decisions(params, state, draws)
    before = state.placement
    placement, memory = _decided(params, policy, state, memory, deciding, draws)
    moved = deciding.decides & ~deciding.newcomer & (placement.host != before.host)
    placement, downtime, moved = migrate(params, state, placement, moved)
    state, placement = lose(params, replace(state, downtime=downtime), placement)
    ahead = move(params, state, draws)
    served = serve(params, state, placement, ahead)
    station = nearest_station(params, ahead.position_m, state.station)
    unseen = state.emission.first_slot >= (state.tick + 1) * params.slots_per_tick
    nearest = params.infrastructure.nearest(station)
    placement = replace(placement, host=jnp.where(unseen, nearest, placement.host))
    after = replace(
        state,
        tick=state.tick + 1,
        motion=ahead,
        station=station,
        placement=placement,
        backlog=served.backlog,
        fading=fade(params, state, ahead, station, draws),
    )
    moves = moved.astype(jnp.int32) + arrived.astype(jnp.int32)
    outcome = TickOutcome(
        served.completion_time_s,
        migrations=jnp.sum(moves, dtype=jnp.int32),
        handovers=jnp.sum(station != state.station, dtype=jnp.int32),
        overloaded=jnp.sum(placement.load > 1 + 1e-5, dtype=jnp.int32),
        down_slots=down_slots(params, state),
        present=None if params.visits is None else jnp.sum(active(params, state), dtype=jnp.int32),
        energy_j=served.energy_j,
        scene=scene(params, state, after, moves),
    )
    return after, memory, outcome


def before_decisions(
    params: Params, state: State, draws: Draws
) -> tuple[State, Deciding, Bool[Array, "users"]]:
    """First part of a tick: the state to decide from, the deciding servers, and users that have arrived."""
    state, turned = fail(params, depart(params, state), draws)
    state, arrived = arrive(params, state)
    heard, underway = broadcast(params, state, draws)
    state = replace(state, heard=heard, underway=underway)
    return state, deciding_now(params, state, turned), arrived


def deciding_now(params: Params, state: State, turned: Bool[Array, "users"]) -> Deciding:
    """The servers that are due or have a newcomer, and the users whose action takes effect."""
    due = (state.tick - state.phase_ticks) % params.period_ticks == 0
    start = state.tick * params.slots_per_tick
    first, host, up = state.emission.first_slot, state.placement.host, servers_up(state)
    newcomer = (first >= start) & (first < start + params.slots_per_tick)
    if up is not None:
        due, newcomer = due & up, (newcomer | turned) & up[host]
    pools = Pools(host, params.shape.num_servers)
    welcomes = pools.sum(newcomer.astype(params.tick_s.dtype)) > 0
    settled = (first < start) & ~under_way(state) & ~gone(params, state)
    return Deciding(due | welcomes, due, newcomer, newcomer | (settled & due[host]))


def everyone(params: Params, state: State) -> Deciding:
    """Every server as if it were due: for timing, for bounds and to inspect a state."""
    active_users = active(params, state)
    all_servers = jnp.ones_like(state.phase_ticks, bool)
    return Deciding(all_servers, all_servers, jnp.zeros_like(active_users), active_users)


def observe(
    params: Params, state: State, deciding: Deciding, visibility: Visibility
) -> Observation:
    """View of the acting servers: their own users' requests, and the last news of each other."""
    active_users = active(params, state)
    visible = (
        active_users
        if visibility is Visibility.FULL
        else active_users & deciding.acting[state.placement.host]
    )
    hide = lambda value: jnp.where(visible, value, jnp.zeros((), value.dtype))  # noqa: E731
    position = (
        jnp.where(visible[:, None], state.motion.position_m, 0.0)
        if params.shape.observe_position
        else None
    )
    return Observation(
        infrastructure=network(params, state),
        requests=jax.tree.map(hide, state.requests),
        gain=hide(gain(params, state.fading, state.motion.position_m, state.station)),
        station=hide(state.station),
        host=hide(state.placement.host),
        wait_s=hide(wait_s(params, state)),
        visible=visible,
        decides=deciding.decides,
        acting=deciding.acting,
        due=deciding.due,
        slot=state.tick * params.slots_per_tick,
        news=news(params, state),
        position_m=position,
        visibility=visibility,
        backlog=jax.tree.map(hide, state.backlog),
        bandwidth_hz=jax.tree.map(
            hide, bandwidth_hz(params, state.station, state.placement.offload_ratio)
        ),
    )


def nearest_station(
    params: Params, position_m: Float[Array, "users 2"], before: Int[Array, "users"]
) -> Int[Array, "users"]:
    """The station with the strongest signal, given the one before."""
    if params.station_neighbours is None:
        return mobility.nearest_site(position_m, params.site_m)
    return mobility.walk_to_nearest(position_m, before, params.site_m, params.station_neighbours)


def move(params: Params, state: State, draws: Draws) -> Motion:
    """Positions at the tick's end."""
    if params.track_m is not None:
        index = jnp.minimum(state.tick + 1, params.track_m.shape[0] - 1)
        return Motion(params.track_m[index], state.motion.heading_rad)
    turn = params.turn_std_rad * draws.turn
    motion = state.motion
    if params.road is not None:
        position_m, heading_rad = mobility.drive(
            motion.position_m, motion.heading_rad, params.step_m, params.road.ends_m
        )
    else:
        position_m, heading_rad = mobility.advance(
            position_m=motion.position_m,
            heading_rad=motion.heading_rad,
            turn_rad=turn,
            step_m=params.step_m,
            site_m=params.site_m,
            radius_m=params.coverage_radius_m,
            nearest=lambda ahead_m: nearest_station(params, ahead_m, state.station),
        )
    if params.visits is None:
        return Motion(position_m, heading_rad)
    there = active(params, state)
    return Motion(
        jnp.where(there[:, None], position_m, motion.position_m),
        jnp.where(there, heading_rad, motion.heading_rad),
    )


def _decided(
    params: Params, policy: Policy, state: State, memory: Memory, deciding: Deciding, draws: Draws
) -> tuple[Placement, Memory]:
    """Placement and memory after the policy's decision. Fields of it that are no arrays are not traced."""
    arrays, others = eqx.partition(policy, eqx.is_array)

    def decide(
        placed: tuple[Placement, Memory], params: Params, arrays: Policy, *moment: Any
    ) -> tuple[Placement, Memory]:
        return _decide(placed, params, eqx.combine(arrays, others), *moment)

    placed = state.placement, memory
    acting = jnp.any(deciding.acting)
    return when(acting, decide, placed, params, arrays, state, deciding, draws)


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
    answer = policy.act(memory, observation, draws.policy_key)
    wrong = misfit(answer, memory, observation)
    if wrong is not None:  # Said while the program is traced: it costs nothing when it runs.
        raise PolicyError(f"policy {type(policy).__module__}:{type(policy).__qualname__}: {wrong}")
    action, new = answer
    memory = memory.renewed(new, observation)
    return settle(params, placement, action, deciding, active(params, state)), memory
