"""The places between which a user's paths lead: every server, or the nearest ones and elsewhere."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from isma.bounds.future import FarServers, Remap
from isma.contract import Infrastructure
from isma.planning.allocation import latency_s


class Listed(NamedTuple):
    """The places of every stage, and how far they are."""

    places: Int[Array, "stages users places"]
    hops: Float[Array, "stages steps users places"]
    """From the user's station; to elsewhere, the fewest."""
    between: Float[Array, "stages users places places"]
    """Hops from place (row) to place; from and to elsewhere, the fewest."""
    elsewhere: FarServers | None


def every_server(
    between: Float[Array, "servers servers"], hops: Float[Array, "stages steps users servers"]
) -> Listed:
    """Each server is a place throughout."""
    stages, _, users, servers = hops.shape
    places = jnp.broadcast_to(jnp.arange(servers, dtype=jnp.int32), (stages, users, servers))
    return Listed(places, hops, jnp.broadcast_to(between, (stages, users, servers, servers)), None)


def nearest_servers(
    infrastructure: Infrastructure,
    hop_s: Float[Array, "users"],
    cycles: Float[Array, "users"],
    station: Int[Array, "stages steps users"],
    count: int,
    most_hops: int,
) -> Listed:
    """For each stage and user the servers that would be best on average without other users.

    All others are elsewhere, which is as near to any place as the nearest of them.
    """
    hops, apart = infrastructure.hops, infrastructure.between
    servers = infrastructure.server_hz.shape[0]
    users = jnp.arange(hop_s.shape[0])[:, None]
    work_s = cycles[:, None] / infrastructure.server_hz
    latency = infrastructure.latency

    def stage(station: Int[Array, "steps users"]) -> tuple[Array, Array, Array]:
        hops_by_step = hops[station]
        mean_hops = jnp.mean(hops_by_step, axis=0)
        cost_s = hop_s[:, None] * mean_hops + work_s
        if latency is not None:
            cost_s = cost_s + latency_s(latency, mean_hops)
        near = jax.lax.top_k(-cost_s, count)[1].astype(jnp.int32)
        other = jnp.ones(cost_s.shape, bool).at[users, near].set(False)
        fewest = lambda value: jnp.min(jnp.where(other, value, jnp.inf), axis=-1)  # noqa: E731
        to_places = jnp.take_along_axis(hops_by_step, near[None], axis=2)
        to_places = jnp.concatenate([to_places, fewest(hops_by_step)[..., None]], axis=2)
        away = jnp.min(jnp.where(other[:, None], apart[near], jnp.inf), axis=-1)
        back = jnp.min(jnp.where(other[:, None], apart.T[near], jnp.inf), axis=-1)
        among = apart[near[:, :, None], near[:, None, :]]
        rows = jnp.concatenate([among, away[..., None]], axis=2)
        last = jnp.concatenate([back, jnp.zeros_like(back[:, :1])], axis=1)
        between = jnp.concatenate([rows, last[:, None]], axis=1)
        elsewhere = jnp.full_like(near[:, :1], servers)
        return jnp.concatenate([near, elsewhere], axis=1), to_places, between

    places, to_places, between = jax.lax.map(stage, station)
    far = FarServers(
        station, jnp.minimum(hops, most_hops).astype(jnp.int32), _remap(places), most_hops
    )
    return Listed(places, to_places, between, far)


def _remap(places: Int[Array, "stages users places"]) -> Remap:
    following = jnp.roll(places, -1, axis=0)
    same: Bool[Array, "stages users places places"] = places[..., None] == following[:, :, None]
    last = places.shape[2] - 1
    position = jnp.where(jnp.any(same, axis=3), jnp.argmax(same, axis=3), last)
    return Remap(position.astype(jnp.int32), ~jnp.any(same, axis=2))
