"""Where a service should be as its user goes on: dynamic programming over places in imagined futures.

A user's cost at a server is what it adds to everybody's times there (isma.planning.allocation.joining)
at the price that the server asks; a move stops its service. In one future, known from beginning to
end, the best sequence of servers is a shortest path; over several, what counts is the mean of what
follows a first server at the least.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from isma.contract import Observation
from isma.planning.allocation import joining, offer_over
from isma.planning.migration import Move, Sooner, added_s2, move_between


class Futures(NamedTuple):
    """What may come: samples of users' ways, in segments of time from now on."""

    length_s: Float[Array, "segments"]
    station: Int[Array, "samples segments users"]
    """Attached base station."""
    uplink_s: Float[Array, "samples segments users"]
    """Time to send all data of one task to it."""


class Places(NamedTuple):
    """Servers between which a user's service may move, as its decision maker reckons them."""

    server: Int[Array, "users places"]
    """Home first."""
    pull: Float[Array, "users places"]
    """√λ of each now, without the user itself."""
    usual: Float[Array, "users places"]
    """What that comes back to."""


def cost_ahead_s2(
    observation: Observation,
    futures: Futures,
    places: Places,
    fades_s: Float[Array, "*#users"],
    rest_s2: Float[Array, "samples users places"],
) -> Float[Array, "users places"]:
    """Least cost of all that follows when a service now goes to each place: delay of tasks times time.

    What is odd about prices fades with the time constants `fades_s`. `rest_s2` is what follows the last
    segment, by the place where the service then is.
    """
    pulls = fading(places.pull, places.usual, fades_s, futures.length_s)
    server_hz = observation.infrastructure.server_hz[places.server]
    work_s = observation.requests.cycles[:, None] / server_hz

    def cost_s(
        pull: Float[Array, "users places"],
        station: Int[Array, "samples users"],
        uplink_s: Float[Array, "samples users"],
    ) -> Float[Array, "samples users places"]:
        hops = observation.infrastructure.hops[station[..., None], places.server]
        offer = offer_over(observation, hops, work_s, uplink_s[..., None])
        return joining(offer, pull**2).cost_s

    by_segment = (jnp.moveaxis(part, 1, 0) for part in (futures.station, futures.uplink_s))
    costs_s = jax.vmap(cost_s)(pulls, *by_segment)
    return least_ahead_s2(observation, places.server, futures.length_s, costs_s, rest_s2)


def least_ahead_s2(
    observation: Observation,
    server: Int[Array, "users places"],
    length_s: Float[Array, "segments"],
    cost_s: Float[Array, "segments samples users places"],
    rest_s2: Float[Array, "samples users places"],
    sooner_s: Float[Array, "segments samples users"] | None = None,
) -> Float[Array, "users places"]:
    """The same, by what serving a user at each place costs a task of it in each segment. Home is first.

    `sooner_s` tells when a stop costs least: by how much its service does a task sooner than the user
    alone, if known. What is left of an earlier stop comes before that of the next move; a newcomer's first
    move is free.
    """
    move, end_s = _moves(observation, server), jnp.cumsum(length_s)
    newcomer = (observation.decides & ~observation.due[observation.host])[:, None, None]
    home = jnp.arange(server.shape[1])[:, None] == 0

    def back(
        after_s2: Float[Array, "samples users places"], segment: tuple[Array, Array]
    ) -> tuple[Array, Array]:
        number, cost_s = segment
        passed_s = end_s[number] - length_s[number]
        wait_s = jnp.maximum(observation.wait_s - passed_s, 0)[:, None, None]
        sooner = None if sooner_s is None else Sooner(sooner_s, end_s - passed_s)
        delay_s2 = added_s2(observation, move.stop_s, jnp.where(home, wait_s, 0), sooner)
        delay_s2 = jnp.where(newcomer & (number == 0), 0, delay_s2)
        cost_s2 = length_s[number] * cost_s
        # While state is copied ahead, what the old place costs is still paid.
        part = jnp.minimum(move.ahead_s, length_s[number]) / length_s[number]
        late_s2 = part * (cost_s2[..., :, None] - cost_s2[..., None, :])
        moving = delay_s2 + late_s2 + (cost_s2 + after_s2)[..., None, :]
        return jnp.min(moving, axis=-1), moving[..., 0, :]

    _, from_home = jax.lax.scan(back, rest_s2, (jnp.arange(len(length_s)), cost_s), reverse=True)
    return jnp.mean(from_home[0], axis=0)


def fading(
    now: Float[Array, "users places"],
    usual: Float[Array, "users #places"],
    fades_s: Float[Array, "*#users"],
    length_s: Float[Array, "segments"],
) -> Float[Array, "segments users places"]:
    """What is so now, in the middle of each segment: it comes back to what is usual, exponentially."""
    middle_s = jnp.cumsum(length_s) - length_s / 2
    kept = jnp.exp(-middle_s[:, None, None] / fades_s[..., None])
    return usual + kept * (now - usual)


def at_places(
    value: Float[Array, "users places"],
    server: Int[Array, "users places"],
    num_servers: int,
) -> Float[Array, "users servers"]:
    """What is so at some servers, among all; infinite at the others, which were not thought about."""
    others = jnp.full((len(value), num_servers), jnp.inf, value.dtype)
    return others.at[jnp.arange(len(value))[:, None], server].set(value)


def _moves(observation: Observation, server: Int[Array, "users places"]) -> Move:
    """What a move from one place (row) to another takes."""
    infrastructure, requests = observation.infrastructure, observation.requests
    if infrastructure.migration is None:
        nothing = jnp.zeros((*server.shape, server.shape[1]))
        return Move(nothing, nothing, nothing)
    move = move_between(
        infrastructure.migration,
        infrastructure.backhaul_rate_bps,
        requests.state_bits[:, None, None],
        requests.downtime_per_hop_s[:, None, None],
        infrastructure.between[server[:, :, None], server[:, None, :]],
    )
    apart = server[:, :, None] != server[:, None, :]
    return Move(*(jnp.where(apart, part, 0) for part in move))
