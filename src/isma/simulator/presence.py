"""Users who come and go: one that has left asks for nothing any more."""

from dataclasses import replace

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from isma.simulator.params import Params
from isma.simulator.placement import grant
from isma.simulator.state import NEVER, Downtime, Moves, State


def gone(params: Params, state: State) -> Bool[Array, "users"]:
    """Users that had left by the tick's beginning."""
    leave_slot = state.emission.leave_slot
    if leave_slot is None:
        return jnp.zeros_like(state.station, bool)
    return leave_slot <= state.tick * params.slots_per_tick


def depart(params: Params, state: State) -> State:
    """Free what users that have left had: their share, the one that awaits them, and their work."""
    if state.emission.leave_slot is None:
        return state
    left = gone(params, state)
    drop = lambda value: jnp.where(left, jnp.zeros((), value.dtype), value)  # noqa: E731
    old, downtime = state.placement, state.downtime
    if downtime is not None:
        downtime = Downtime(drop(downtime.up_slot), _called_off(downtime.moves, left))
    request = drop(old.requested_share)
    moves = None if downtime is None else downtime.moves
    load, granted = grant(old.host, request, params.shape.num_servers, moves)
    placement = replace(
        old,
        offload_ratio=drop(old.offload_ratio),
        requested_share=request,
        granted_share=granted,
        load=load,
    )
    backlog = jax.tree.map(drop, state.backlog)
    return replace(state, placement=placement, downtime=downtime, backlog=backlog)


def _called_off(moves: Moves | None, left: Bool[Array, "users"]) -> Moves | None:
    if moves is None:
        return None
    return replace(
        moves,
        requested_share=jnp.where(left, 0, moves.requested_share),
        arrival_tick=jnp.where(left, NEVER, moves.arrival_tick),
    )
