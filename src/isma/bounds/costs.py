"""What a step costs a user at each place for given prices, whatever ratio and share it takes."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from isma.bounds.future import Future
from isma.planning.allocation import RATIOS, Offer, completion_s, latency_s, lead_s

_LEAST_SHARE = 1e-6
_STEEPEST = 1e9


class Costs(NamedTuple):
    """Of a user's tasks in a step, at each place."""

    cost_s: Float[Array, "stages steps users places"]
    """The least t + λ φ while the service runs, times the step's weight."""
    cpu_share: Float[Array, "stages steps users places"]
    """The share that is taken at that cost."""
    steepness: Float[Array, "stages steps users"]
    """Waiting for w costs at least the part min(1, steepness · w) of what offloading gains, wherever."""


class Cheapest(NamedTuple):
    """What one task costs at least at a price."""

    cost_s: Float[Array, "..."]
    cpu_share: Float[Array, "..."]
    steepness: Float[Array, "..."]


def step_costs(future: Future, price_s: Float[Array, "blocks servers"]) -> Costs:
    """Costs of all steps, stage by stage."""

    def stage(part: tuple[Array, ...]) -> Costs:
        weight, length, block, uplink_s, hops, places = part
        price = _at_places(price_s, block, places)
        used = weight > 0
        per_task = (length[:, None] / jnp.where(used, weight, 1))[..., None] * price
        found = cheapest(_offer(future, uplink_s, hops, places), per_task)
        return Costs(
            jnp.where(used, weight, 0)[..., None] * found.cost_s,
            jnp.where(used[..., None], found.cpu_share, 0),
            jnp.min(found.steepness, axis=-1),
        )

    return jax.lax.map(
        stage,
        (
            *(future.weight, future.length, future.block),
            *(future.uplink_s, future.hops, future.places),
        ),
    )


def demand(
    future: Future, visits: Float[Array, "stages steps users places"], costs: Costs, price_s: Array
) -> Float[Array, "blocks servers"]:
    """Part of each server that is asked for in each block by users who are at places so often."""
    taken = visits * costs.cpu_share * future.length[..., None, None]
    num_blocks, servers = price_s.shape
    # Elsewhere is wherever it is cheapest.
    elsewhere = jnp.argmin(price_s, axis=1)[future.block][..., None, None]
    server = future.places[:, None]
    server = jnp.where(server < servers, server, elsewhere)
    where = future.block[..., None, None] * servers + server
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
        lead, pull = lead_s(offer, ratio), jnp.sqrt(ratio * offer.work_s)
        slack = (1 - ratio) * offer.local_s - lead
        enough = ratio * offer.work_s / jnp.maximum(slack, 1e-20)
        local_decides = (slack > 0) & (enough < 1) & (enough * root < pull)
        enough = jnp.clip(jnp.where(slack > 0, enough, 1), _LEAST_SHARE, 1)
        share = jnp.minimum(enough, pull / jnp.maximum(root, 1e-10))
        cost = completion_s(offer, ratio, share) + price_s * share
        slope = jnp.where(local_decides, jnp.minimum((share * root / pull) ** 2, 1), 1)
        gain = offer.local_s - cost
        steepness = jnp.where(gain > 0, slope / jnp.maximum(gain, 1e-9), _STEEPEST)
        better = cost < best.cost_s
        best = Cheapest(
            jnp.where(better, cost, best.cost_s),
            jnp.where(better, share, best.cpu_share),
            jnp.minimum(best.steepness, steepness),
        )
    return best


def _at_places(
    price_s: Float[Array, "blocks servers"],
    block: Int[Array, "steps"],
    places: Int[Array, "users places"],
) -> Float[Array, "steps users places"]:
    """Prices at the places; elsewhere costs no more than the cheapest server."""
    everywhere = jnp.concatenate([price_s, jnp.min(price_s, axis=1, keepdims=True)], axis=1)
    return everywhere[block][:, places]


def _offer(
    future: Future,
    uplink_s: Float[Array, "steps users"],
    hops: Float[Array, "steps users places"],
    places: Int[Array, "users places"],
) -> Offer:
    fastest = jnp.max(future.server_hz, keepdims=True)
    clock_hz = jnp.concatenate([future.server_hz, fastest])[places]
    return Offer(
        local_s=future.local_s[:, None],
        transfer_s=uplink_s[..., None] + future.hop_s[:, None] * hops,
        work_s=future.cycles[:, None] / clock_hz,
        fixed_s=None if future.latency is None else latency_s(future.latency, hops),
    )
