"""Server failures: a failed server does not decide, send or serve until it is repaired."""

from dataclasses import replace

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from isma.simulator.downtime import call_off
from isma.simulator.params import Params
from isma.simulator.placement import regrant
from isma.simulator.state import NEVER, Downtime, Draws, Outages, Placement, State, active
from isma.simulator.switched import Faults

_LONGEST = 1e9
"""Ticks of a repair, so that they fit their type."""


def servers_up(state: State) -> Bool[Array, "servers"] | None:
    """Servers that are up; None where they never fail."""
    return None if state.outages is None else state.tick >= state.outages.repair_tick


def fail(params: Params, state: State, draws: Draws) -> tuple[State, Bool[Array, "users"]]:
    """Let servers fail, and redirect users of failed ones as newcomers; the state, and their mask."""
    faults, outages, nobody = params.faults, state.outages, jnp.zeros_like(state.station, bool)
    if faults is None or outages is None or draws.failure is None or state.downtime is None:
        return state, nobody
    outages = replace(outages, repair_tick=_struck(faults, state.tick, outages, draws.failure))
    up = state.tick >= outages.repair_tick
    placement, lost_tick = state.placement, outages.lost_tick
    lost = (lost_tick != NEVER) & ~up[placement.host]
    turns = lost & (state.tick >= lost_tick + faults.detection_ticks) & jnp.any(up)
    hops = params.infrastructure.hops[state.station]
    nearest = jnp.argmin(jnp.where(up, hops, jnp.inf), axis=1).astype(placement.host.dtype)
    new = lambda value, old: jnp.where(turns, value, old)  # noqa: E731
    placement = replace(
        placement,
        host=new(nearest, placement.host),
        offload_ratio=new(0, placement.offload_ratio),
        requested_share=new(0, placement.requested_share),
    )
    starts = state.tick * params.slots_per_tick + faults.restart_slots
    up_slot = state.downtime.up_slot
    downtime = replace(state.downtime, up_slot=new(jnp.maximum(up_slot, starts), up_slot))
    outages = replace(outages, lost_tick=jnp.where(lost & ~turns, lost_tick, NEVER))
    placement = regrant(placement, downtime.moves)
    return replace(state, placement=placement, downtime=downtime, outages=outages), turns


def lose(params: Params, state: State, placement: Placement) -> tuple[State, Placement]:
    """Stop the services whose host is down, until it is repaired or their users have turned away."""
    faults, outages, downtime = params.faults, state.outages, state.downtime
    if faults is None or outages is None or downtime is None:
        return state, placement
    repair_tick = outages.repair_tick[placement.host]
    lost = outages.lost_tick != NEVER
    alone = active(params, state) & ~lost & (state.tick < repair_tick)
    # Users that should be redirected and are not have no server that is up.
    stranded = lost & (state.tick >= outages.lost_tick + faults.detection_ticks)
    away_tick = jnp.where(
        stranded, jnp.min(outages.repair_tick), state.tick + faults.detection_ticks
    )
    starts = jnp.minimum(repair_tick, away_tick) * params.slots_per_tick + faults.restart_slots
    up_slot = jnp.maximum(downtime.up_slot, jnp.where(alone | stranded, starts, 0))
    moves = call_off(downtime.moves, alone)
    lost_tick = jnp.where(alone, state.tick, outages.lost_tick)
    state = replace(
        state,
        downtime=Downtime(up_slot, moves),
        outages=replace(outages, lost_tick=lost_tick),
    )
    return state, regrant(placement, moves)


def _struck(
    faults: Faults, tick: Int[Array, ""], outages: Outages, failure: Float[Array, "servers 2"]
) -> Int[Array, "servers"]:
    """When each server is repaired, after those that are up have had the chance to fail."""
    fails = (tick >= outages.repair_tick) & (failure[:, 0] < faults.chance)
    ticks = jnp.ceil(-faults.repair_ticks * jnp.log1p(-failure[:, 1]))
    ticks = jnp.clip(ticks, 1, _LONGEST).astype(outages.repair_tick.dtype)
    return jnp.where(fails, tick + ticks, outages.repair_tick)
