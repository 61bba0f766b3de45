"""Downtime of services: stops of migrations, and pre-copied moves that are under way."""

from dataclasses import replace
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from isma.contract import MigrationCost
from isma.planning.migration import MoveTime, move_between
from isma.simulator.params import Params
from isma.simulator.placement import regrant
from isma.simulator.state import NEVER, Downtime, Moves, Placement, State

_LAST_SLOT = 2**31 - 1
_LONGEST = 1e9
"""Slots or ticks that one move can take, so that they fit their type."""
_WHOLE = 1e-3
"""Part of a tick by which copying ahead may overrun one, so that rounding adds none."""


class Migrated(NamedTuple):
    """Result of the moves that a decision has begun."""

    placement: Placement
    downtime: Downtime | None
    moved: Bool[Array, "users"]
    """Users whose service has moved in this tick."""


def arrive(params: Params, state: State) -> tuple[State, Bool[Array, "users"]]:
    """Hand over users whose state has been copied to their targets; the state, and their mask."""
    cost, down = params.infrastructure.migration, state.downtime
    if cost is None or down is None or down.moves is None:
        return state, jnp.zeros_like(state.station, bool)
    moves, old = down.moves, state.placement
    arrives = moves.arrival_tick == state.tick
    new = lambda value, old: jnp.where(arrives, value, old)  # noqa: E731
    placement = replace(
        old,
        host=new(moves.target, old.host),
        offload_ratio=new(moves.offload_ratio, old.offload_ratio),
        requested_share=new(moves.requested_share, old.requested_share),
    )
    move, moves = _between(params, cost, state, placement.host), call_off(moves, arrives)
    downtime = Downtime(_stopped(params, state, down.up_slot, move, arrives), moves)
    return replace(state, placement=regrant(placement, moves), downtime=downtime), arrives


def migrate(
    params: Params, state: State, settled: Placement, moved: Bool[Array, "users"]
) -> Migrated:
    """Stop the services that `moved`, or copy their state ahead while they run where they were."""
    cost, down = params.infrastructure.migration, state.downtime
    if cost is None or down is None:
        return Migrated(settled, down, moved)
    move, moves = _between(params, cost, state, settled.host), down.moves
    if moves is not None:
        waits = moved & (move.ahead_s > 0)
        settled, moves = _put_off(params, state, settled, moves, waits, move)
        moved = moved & ~waits
    up_slot = _stopped(params, state, down.up_slot, move, moved)
    return Migrated(settled, Downtime(up_slot, moves), moved)


def under_way(state: State) -> Bool[Array, "users"]:
    """Users whose state is being copied ahead: nothing else is decided for them until they arrive."""
    if state.downtime is None or state.downtime.moves is None:
        return jnp.zeros_like(state.station, bool)
    return state.downtime.moves.arrival_tick != NEVER


def call_off(moves: Moves | None, users: Bool[Array, "users"]) -> Moves | None:
    """Cancel the moves of these users, and free the shares reserved for them."""
    if moves is None:
        return None
    return replace(
        moves,
        requested_share=jnp.where(users, 0, moves.requested_share),
        arrival_tick=jnp.where(users, NEVER, moves.arrival_tick),
    )


def wait_s(params: Params, state: State) -> Float[Array, "users"]:
    """Time from the tick's beginning until a user's service runs."""
    if state.downtime is None:
        return jnp.zeros_like(state.requests.cycles)
    start = state.tick * params.slots_per_tick
    return jnp.maximum(state.downtime.up_slot - start, 0) * params.slot_s


def down_slots(params: Params, state: State) -> Int[Array, ""] | None:
    """Slots of this tick in which services stand still, all users together."""
    if state.downtime is None:
        return None
    start = state.tick * params.slots_per_tick
    down = jnp.clip(state.downtime.up_slot - start, 0, params.slots_per_tick)
    return jnp.sum(down, dtype=jnp.int32)


def _put_off(
    params: Params,
    state: State,
    settled: Placement,
    moves: Moves,
    waits: Bool[Array, "users"],
    move: MoveTime,
) -> tuple[Placement, Moves]:
    """Keep a service where it runs while its state is copied, its share reserved at the target."""
    ticks = jnp.ceil(jnp.clip(move.ahead_s / params.tick_s - _WHOLE, 1, _LONGEST))
    new = lambda value, old: jnp.where(waits, value, old)  # noqa: E731
    moves = Moves(
        target=new(settled.host, moves.target),
        offload_ratio=new(settled.offload_ratio, moves.offload_ratio),
        requested_share=new(settled.requested_share, moves.requested_share),
        arrival_tick=new(state.tick + ticks.astype(jnp.int32), moves.arrival_tick),
    )
    before = state.placement
    kept = replace(
        settled,
        host=new(before.host, settled.host),
        offload_ratio=new(before.offload_ratio, settled.offload_ratio),
        requested_share=new(before.requested_share, settled.requested_share),
    )
    return regrant(kept, moves), moves


def _stopped(
    params: Params,
    state: State,
    up_slot: Int[Array, "users"],
    move: MoveTime,
    moved: Bool[Array, "users"],
) -> Int[Array, "users"]:
    """Slots from which services run when those that `moved` stop now; stops add up."""
    slots = jnp.round(jnp.minimum(move.stop_s / params.slot_s, _LONGEST)).astype(up_slot.dtype)
    begin = jnp.maximum(up_slot, state.tick * params.slots_per_tick)
    return jnp.where(moved, begin + jnp.minimum(slots, _LAST_SLOT - begin), up_slot)


def _between(
    params: Params, cost: MigrationCost, state: State, host: Int[Array, "users"]
) -> MoveTime:
    """Time and data of moving each user from where it is to `host`."""
    return move_between(
        cost,
        params.infrastructure.backhaul_rate_bps,
        state.requests.state_bits,
        state.requests.downtime_per_hop_s,
        params.infrastructure.between[state.placement.host, host],
    )
