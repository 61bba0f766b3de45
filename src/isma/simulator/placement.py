"""Placement by actions: each user's host, and the granted part of the requested CPU."""

from dataclasses import replace

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from isma.contract import Action
from isma.planning.segment_sums import Pools
from isma.simulator.params import Params
from isma.simulator.state import Deciding, Moves, Placement


def settle(
    params: Params,
    placement: Placement,
    action: Action,
    deciding: Deciding,
    active: Bool[Array, "users"],
) -> Placement:
    """Let an action take effect where it may, then scale the requests of overloaded servers."""
    takes, servers = deciding.decides, params.shape.num_servers
    server = jnp.clip(action.server, 0, servers - 1).astype(placement.host.dtype)
    host = jnp.where(takes, server, placement.host)
    ratio = jnp.where(takes, jnp.clip(action.offload_ratio, 0, 1), placement.offload_ratio)
    request = jnp.where(takes, jnp.clip(action.cpu_share, 0, 1), placement.requested_share)
    request = jnp.where(active, request, 0)
    load, granted = grant(host, request, servers, None)
    price = jnp.where(deciding.acting, action.price_s, placement.price_s)
    return Placement(host, ratio, request, granted, load, price)


def grant(
    host: Int[Array, "users"],
    request: Float[Array, "users"],
    servers: int,
    moves: Moves | None,
) -> tuple[Float[Array, "servers"], Float[Array, "users"]]:
    """The load of each server, and each user's request scaled down where its host's load exceeds 1.

    A share reserved for a moving user counts at its target, as well as the share that it has.
    """
    pools = Pools(host, servers)
    load = pools.sum(request)
    if moves is not None:
        load = load + Pools(moves.target, servers).sum(moves.requested_share)
    return load, request / jnp.maximum(1, pools.spread(load))


def regrant(placement: Placement, moves: Moves | None) -> Placement:
    """Placement with loads and granted shares recomputed."""
    servers = placement.load.shape[0]
    load, granted = grant(placement.host, placement.requested_share, servers, moves)
    return replace(placement, load=load, granted_share=granted)
