"""The component tasks of a tick: each at its own slot, by equations (1)-(6)."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from isma import delay
from isma.contract import Backlog
from isma.planning.allocation import latency_s, uplink_rate_bps
from isma.simulator.band import bandwidth_hz
from isma.simulator.channel import gain
from isma.simulator.emission import Emission
from isma.simulator.params import Params
from isma.simulator.queues import queue_tasks
from isma.simulator.state import Motion, Placement, State, network


class Served(NamedTuple):
    """Results of a tick's tasks."""

    completion_time_s: Float[Array, "users tasks"]
    """NaN where there is no task."""
    backlog: Backlog | None
    """Backlog at the tick's end, where tasks queue."""
    energy_j: Float[Array, "users tasks"] | None
    """Energy that each task takes from its user's battery, where that is computed."""


def serve(params: Params, state: State, placement: Placement, ahead: Motion) -> Served:
    """Serve every task of the tick at its own slot, over the channel that it then has."""
    slot = slots(params, state.emission, state.tick)
    emitted = emitted_in(params, state, slot)
    infrastructure, column = network(params, state), (lambda value: value[:, None])
    data_bits, cycles = column(state.requests.data_bits), column(state.requests.cycles)
    ratio, share = column(placement.offload_ratio), column(placement.granted_share)
    rate = _rate_bps(params, state, placement, ahead, slot)
    hops = column(infrastructure.hops[state.station, placement.host])
    local_s = delay.local_time_s(cycles, ratio, column(state.requests.local_hz))
    edge_s = delay.edge_time_s(
        cycles, ratio, column(infrastructure.server_hz[placement.host]), share
    )
    if infrastructure.latency is not None:
        edge_s = edge_s + jnp.where(ratio > 0, latency_s(infrastructure.latency, hops), 0)
    if state.downtime is not None:
        wait_s = jnp.maximum(column(state.downtime.up_slot) - slot, 0) * params.slot_s
        edge_s = edge_s + jnp.where(ratio > 0, wait_s, 0)
    backlog = None
    if state.backlog is not None:
        queued = queue_tasks(params, state, placement, slot, emitted)
        local_s, edge_s, backlog = local_s + queued.local_s, edge_s + queued.edge_s, queued.left
    uplink_s = delay.uplink_time_s(data_bits, ratio, rate)
    time_s = delay.completion_time_s(
        local_s,
        uplink_s,
        delay.backhaul_time_s(data_bits, ratio, hops, infrastructure.backhaul_rate_bps),
        edge_s,
    )
    # NaN means that there was no task: one that a broken action leaves without a time never ends.
    time_s = jnp.where(emitted, jnp.where(jnp.isnan(time_s), jnp.inf, time_s), jnp.nan)
    energy_j = _energy_j(params, state, placement, jnp.where(emitted, uplink_s, jnp.nan))
    return Served(time_s, backlog, energy_j)


def _energy_j(
    params: Params, state: State, placement: Placement, uplink_s: Float[Array, "users tasks"]
) -> Float[Array, "users tasks"] | None:
    """Energy of a task from its user: E = κ (f^L)² (1 - η) f^r + p t^cw (JTORA, section III)."""
    requests = state.requests
    if params.kappa_j_per_hz2 is None:
        return None
    cycles = (1 - placement.offload_ratio) * requests.cycles
    computing_j = params.kappa_j_per_hz2 * requests.local_hz**2 * cycles
    return computing_j[:, None] + params.infrastructure.power_w * uplink_s


def emitted_in(
    params: Params, state: State, slot: Int[Array, "users tasks"]
) -> Bool[Array, "users tasks"]:
    """Which of the next tasks come in this tick, from users that are still there."""
    emitted = slot < (state.tick + 1) * params.slots_per_tick
    leave_slot = state.emission.leave_slot
    return emitted if leave_slot is None else emitted & (slot < leave_slot[:, None])


def _rate_bps(
    params: Params,
    state: State,
    placement: Placement,
    ahead: Motion,
    slot: Int[Array, "users tasks"],
) -> Float[Array, "users tasks"]:
    """Uplink rate of each task over its user's part of the band."""
    band_hz = bandwidth_hz(params, state.station, placement.offload_ratio)
    return uplink_rate_bps(
        params.infrastructure,
        gain_at(params, state, ahead, slot),
        None if band_hz is None else band_hz[:, None],
    )


def gain_at(
    params: Params, state: State, ahead: Motion, slot: Int[Array, "users tasks"]
) -> Float[Array, "users tasks"]:
    """Channel gain of each task, from where its user is at its slot."""
    part = ((slot - state.tick * params.slots_per_tick) / params.slots_per_tick)[..., None]
    here = state.motion.position_m[:, None]
    position = here + (ahead.position_m[:, None] - here) * part
    return gain(params, state.fading, position, state.station[:, None])


def slots(params: Params, emission: Emission, tick: Int[Array, ""]) -> Int[Array, "users tasks"]:
    """Slots of the next tasks of every user, from a tick's beginning on."""
    start = tick * params.slots_per_tick
    behind = jnp.maximum(start - emission.first_slot, 0)
    passed = -(-behind // emission.interval_slots)
    following = passed[:, None] + jnp.arange(params.shape.tasks_per_tick)
    return emission.first_slot[:, None] + following * emission.interval_slots[:, None]
