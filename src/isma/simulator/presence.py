"""Arrival and departure of users: one that has left requests nothing any more."""

from dataclasses import replace

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from isma.simulator.downtime import call_off
from isma.simulator.params import Params
from isma.simulator.placement import regrant
from isma.simulator.state import NEVER, Downtime, State


def gone(params: Params, state: State) -> Bool[Array, "users"]:
    """Users that had left by the tick's beginning."""
    leave_slot = state.emission.leave_slot
    if leave_slot is None:
        return jnp.zeros_like(state.station, bool)
    return leave_slot <= state.tick * params.slots_per_tick


def depart(params: Params, state: State) -> State:
    """Free the shares of users that have left, those reserved for them, and their backlog."""
    if state.emission.leave_slot is None:
        return state
    left = gone(params, state)
    drop = lambda value: jnp.where(left, jnp.zeros((), value.dtype), value)  # noqa: E731
    downtime, placement = state.downtime, state.placement
    if downtime is not None:
        downtime = Downtime(drop(downtime.up_slot), call_off(downtime.moves, left))
    placement = replace(
        placement,
        offload_ratio=drop(placement.offload_ratio),
        requested_share=drop(placement.requested_share),
    )
    outages = state.outages
    if outages is not None:
        outages = replace(outages, lost_tick=jnp.where(left, NEVER, outages.lost_tick))
    return replace(
        state,
        placement=regrant(placement, None if downtime is None else downtime.moves),
        downtime=downtime,
        backlog=jax.tree.map(drop, state.backlog),
        outages=outages,
    )
