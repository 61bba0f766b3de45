"""The component tasks of a tick: each at its own slot, by equations (1)-(6)."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from isma import delay
from isma.planning.allocation import latency_s
from isma.simulator.channel import gain
from isma.simulator.params import Params
from isma.simulator.state import Motion, Placement, State


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
    infrastructure, column = params.infrastructure, (lambda value: value[:, None])
    data_bits, cycles = column(state.requests.data_bits), column(state.requests.cycles)
    ratio, share = column(placement.offload_ratio), column(placement.granted_share)
    rate = delay.uplink_rate_bps(
        infrastructure.bandwidth_hz,
        infrastructure.power_w,
        gain(params, position, state.station[:, None]),
        infrastructure.noise_w,
    )
    hops = column(infrastructure.hops[state.station, placement.host])
    edge_s = delay.edge_time_s(
        cycles, ratio, column(infrastructure.server_hz[placement.host]), share
    )
    if infrastructure.latency is not None:
        edge_s = edge_s + jnp.where(ratio > 0, latency_s(infrastructure.latency, hops), 0)
    if state.downtime is not None:
        wait_s = jnp.maximum(column(state.downtime.up_slot) - slot, 0) * params.slot_s
        edge_s = edge_s + jnp.where(ratio > 0, wait_s, 0)
    time_s = delay.completion_time_s(
        delay.local_time_s(cycles, ratio, column(state.requests.local_hz)),
        delay.uplink_time_s(data_bits, ratio, rate),
        delay.backhaul_time_s(data_bits, ratio, hops, infrastructure.backhaul_rate_bps),
        edge_s,
    )
    # NaN means that there was no task: one that a broken action leaves without a time never ends.
    return jnp.where(emitted, jnp.where(jnp.isnan(time_s), jnp.inf, time_s), jnp.nan)


def _slots(params: Params, state: State) -> Int[Array, "users tasks"]:
    """Slots of the next tasks of every user, from this tick's beginning on."""
    emission = state.emission
    start = state.tick * params.slots_per_tick
    behind = jnp.maximum(start - emission.first_slot, 0)
    passed = -(-behind // emission.interval_slots)
    following = passed[:, None] + jnp.arange(params.shape.tasks_per_tick)
    return emission.first_slot[:, None] + following * emission.interval_slots[:, None]
