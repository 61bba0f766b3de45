"""Scene: positions and hosts of all users at a tick's end, for recorders of a run."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from isma.simulator.failures import servers_up
from isma.simulator.params import Params
from isma.simulator.state import State, active


class Scene(eqx.Module):
    """One world at a tick's end. A part that may be None is switched off."""

    position_m: Float[Array, "users 2"]
    station: Int[Array, "users"]
    host: Int[Array, "users"]
    """Hosting server; before a user's first task, the one nearest to its station."""
    offload_ratio: Float[Array, "users"]
    granted_share: Float[Array, "users"]
    load: Float[Array, "servers"]
    """Sum of the shares requested from a server."""
    price_s: Float[Array, "servers"]
    moves: Int[Array, "users"]
    """Migrations of a user's service that the tick counts."""
    present: Bool[Array, "users"]
    """Users that have emitted a task and have not left."""
    stopped: Bool[Array, "users"] | None
    """Users whose service stands still."""
    up: Bool[Array, "servers"] | None
    """Servers that have not failed."""


def scene(params: Params, state: State, after: State, moves: Int[Array, "users"]) -> Scene:
    """Scene at the end of the tick that leads from `state`, as decided in, to `after`."""
    placement, end = after.placement, after.tick * params.slots_per_tick
    return Scene(
        position_m=after.motion.position_m,
        station=after.station,
        host=placement.host,
        offload_ratio=placement.offload_ratio,
        granted_share=placement.granted_share,
        load=placement.load,
        price_s=placement.price_s,
        moves=moves,
        present=active(params, state),
        stopped=None if after.downtime is None else after.downtime.up_slot > end,
        up=servers_up(state),
    )


def like(params: Params) -> Scene:
    """Scene of which only the form matters."""
    users, servers = (params.shape.num_users,), (params.shape.num_servers,)
    number, numbers = jnp.zeros(users), jnp.zeros(servers)
    whole, no = jnp.zeros(users, jnp.int32), jnp.zeros(users, bool)
    at = jnp.zeros((*users, 2))
    return Scene(at, whole, whole, number, number, numbers, numbers, whole, no, None, None)
