"""Lower bounds of a step's cost for a user at each place under given prices, over all ratios and shares."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from isma.bounds.future import FarServers, Future
from isma.planning.allocation import RATIOS, Offer, completion_s, latency_s, lead_s

_LEAST_SHARE = 1e-6
_STEEPEST = 1e9
_TOO_DEAR_S = 1e9
"""A price at which no user offloads."""


class Costs(NamedTuple):
    """Costs of a user's tasks in a step, at each place."""

    cost_s: Float[Array, "stages steps users places"]
    """The least t + λ φ while the service runs, times the step's weight."""
    cpu_share: Float[Array, "stages steps users places"]
    """The share that is taken at that cost."""
    server: Int[Array, "stages steps users places"]
    """Server of that share; for the place elsewhere, the server with the least cost there."""
    steepness: Float[Array, "stages steps users"]
    """A wait of w costs at least the part min(1, steepness · w) of the gain of offloading, at any place."""


class Cheapest(NamedTuple):
    """Least cost of one task at a price."""

    cost_s: Float[Array, "..."]
    cpu_share: Float[Array, "..."]
    steepness: Float[Array, "..."]


class _Choices(NamedTuple):
    """Choices of a user of a stage in each step."""

    hops: Float[Array, "steps users choices"]
    price_s: Float[Array, "steps users choices"]
    server: Int[Array, "steps users choices"]
    server_hz: Float[Array, "steps users choices"]


class _Far(NamedTuple):
    """The least price at each number of hops from a station, and the server that has it."""

    price_s: Float[Array, "blocks stations distances"]
    server: Int[Array, "blocks stations distances"]


def step_costs(future: Future, price_s: Float[Array, "blocks servers"]) -> Costs:
    """Costs of all steps, stage by stage."""
    elsewhere, named = future.elsewhere, future.places
    far, station = None, None
    if elsewhere is not None:
        far, station, named = _far(elsewhere, price_s), elsewhere.station, named[..., :-1]
    local_s, backhaul_s = future.local_s[:, None], future.hop_s[:, None]

    def stage(part: tuple) -> Costs:
        weight, length, block, uplink_s, hops, named, station = part
        count = named.shape[1]
        choices = _named(future, price_s[block], hops[..., :count], named)
        if far is not None:
            beyond = _beyond(future, far, block, station, hops[..., count:])
            choices = jax.tree.map(lambda *each: jnp.concatenate(each, axis=-1), choices, beyond)
        offer = Offer(
            local_s=local_s,
            transfer_s=uplink_s[..., None] + backhaul_s * choices.hops,
            work_s=future.cycles[:, None] / choices.server_hz,
            fixed_s=None if future.latency is None else latency_s(future.latency, choices.hops),
        )
        used = weight > 0
        per_task = (length[:, None] / jnp.where(used, weight, 1))[..., None]
        choice = cheapest(offer, per_task * choices.price_s)
        cost_s, share, server = choice.cost_s, choice.cpu_share, choices.server
        if far is not None:
            cost_s, share, server = _folded(count, cost_s, share, server)
        return Costs(
            jnp.where(used, weight, 0)[..., None] * cost_s,
            jnp.where(used[..., None], share, 0),
            server,
            jnp.min(choice.steepness, axis=-1),
        )

    parts = (future.weight, future.length, future.block, future.uplink_s, future.hops, named)
    return jax.lax.map(stage, (*parts, station))


def _named(
    future: Future,
    price_s: Float[Array, "steps servers"],
    hops: Float[Array, "steps users places"],
    places: Int[Array, "users places"],
) -> _Choices:
    """The servers that are places of their own."""
    server, clock_hz = (
        jnp.broadcast_to(value, hops.shape) for value in (places, future.server_hz[places])
    )
    return _Choices(hops, price_s[:, places], server, clock_hz)


def _beyond(
    future: Future,
    far: _Far,
    block: Int[Array, "steps"],
    station: Int[Array, "steps users"],
    fewest: Float[Array, "steps users 1"],
) -> _Choices:
    """All others, by hops: at each the least price, on the fastest clock that there is."""
    price_s, server = (part[block[:, None], station] for part in far)
    hops = jnp.broadcast_to(jnp.arange(price_s.shape[-1], dtype=fewest.dtype), price_s.shape)
    # The last distance stands for all beyond it too, so that it is never too near.
    too_near = hops < jnp.minimum(fewest, price_s.shape[-1] - 1)
    price_s = jnp.where(too_near, _TOO_DEAR_S, price_s)
    return _Choices(hops, price_s, server, jnp.full_like(hops, jnp.max(future.server_hz)))


def _far(elsewhere: FarServers, price_s: Float[Array, "blocks servers"]) -> _Far:
    """Servers by distance, looked up for stations: the cheapest at each, or one too dear to be taken."""
    distance = jnp.arange(elsewhere.most_hops + 1)
    off = elsewhere.hops[:, None] == distance[:, None]  # station, distance, server

    def block(price_s: Float[Array, "servers"]) -> _Far:
        order = jnp.argsort(price_s).astype(jnp.int32)
        rank = jnp.zeros_like(order).at[order].set(jnp.arange(len(order), dtype=jnp.int32))
        best = jnp.min(jnp.where(off, rank, len(order)), axis=-1)
        dear = jnp.full((1,), _TOO_DEAR_S, price_s.dtype)
        return _Far(jnp.concatenate([price_s[order], dear])[best], order[best])

    return jax.lax.map(block, price_s)


def _folded(
    count: int,
    cost_s: Float[Array, "steps users choices"],
    cpu_share: Float[Array, "steps users choices"],
    server: Int[Array, "steps users choices"],
) -> tuple[Array, Array, Array]:
    """Elsewhere is one place: where it costs least, and of equals the last server and the largest share."""
    least_s = jnp.min(cost_s[..., count:], axis=-1, keepdims=True)
    best = cost_s[..., count:] == least_s

    def of_best(value: Array) -> Array:
        return jnp.max(jnp.where(best, value[..., count:], 0), axis=-1, keepdims=True)

    joined = lambda named, last: jnp.concatenate([named[..., :count], last], axis=-1)  # noqa: E731
    return (
        joined(cost_s, least_s),
        joined(cpu_share, of_best(cpu_share)),
        joined(server, of_best(server)),
    )


def demand(
    future: Future, visits: Float[Array, "stages steps users places"], costs: Costs, price_s: Array
) -> Float[Array, "blocks servers"]:
    """Demand for each server in each block, as a part of its CPU, by users' visits of places."""
    taken = visits * costs.cpu_share * future.length[..., None, None]
    num_blocks, servers = price_s.shape
    where = future.block[..., None, None] * servers + costs.server
    asked = jax.ops.segment_sum(taken.ravel(), where.ravel(), num_blocks * servers)
    return asked.reshape(num_blocks, servers) / jnp.maximum(block_lengths(future), 1e-12)[:, None]


def block_lengths(future: Future) -> Float[Array, "blocks"]:
    """Part of the time that counts which each block takes."""
    return jax.ops.segment_sum(future.length.ravel(), future.block.ravel(), future.num_blocks)


def cheapest(offer: Offer, price_s: Float[Array, "..."]) -> Cheapest:
    """The least t + λ φ of a task over ratios and shares, and how soon waiting costs all that it gains.

    For one ratio the cost f(w) after a wait w is convex, so f(0) + f'(0) w is not above it. Its
    slope is 1 where the edge branch decides, and (φ / √(η a / λ))² where the share is capped because
    the local branch does. The line from the least cost c, at the slope at which it meets the local
    time no later than any of those, c + (t^L - c) min(1, s w) with s = min f'(0) / (t^L - f(0)), is
    below all of them.
    """
    root = jnp.sqrt(price_s)
    none = jnp.zeros(jnp.broadcast_shapes(offer.transfer_s.shape, price_s.shape))
    best = Cheapest(none + offer.local_s, none, none + _STEEPEST)
    for ratio in RATIOS[1:]:
        lead, root_work = lead_s(offer, ratio), jnp.sqrt(ratio * offer.work_s)
        slack = (1 - ratio) * offer.local_s - lead
        enough = ratio * offer.work_s / jnp.maximum(slack, 1e-20)
        local_decides = (slack > 0) & (enough < 1) & (enough * root < root_work)
        enough = jnp.clip(jnp.where(slack > 0, enough, 1), _LEAST_SHARE, 1)
        share = jnp.minimum(enough, root_work / jnp.maximum(root, 1e-10))
        cost = completion_s(offer, ratio, share) + price_s * share
        slope = jnp.where(local_decides, jnp.minimum((share * root / root_work) ** 2, 1), 1)
        gain = offer.local_s - cost
        steepness = jnp.where(gain > 0, slope / jnp.maximum(gain, 1e-9), _STEEPEST)
        better = cost < best.cost_s
        best = Cheapest(
            jnp.where(better, cost, best.cost_s),
            jnp.where(better, share, best.cpu_share),
            jnp.minimum(best.steepness, steepness),
        )
    return best
