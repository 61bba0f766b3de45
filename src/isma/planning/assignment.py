"""The best assignment of users to servers when everything is known: moves and swaps, checked exactly.

The price formulas of isma.planning.allocation rank every single move and every swap of two users;
the most promising ones are then judged by the exact split of all servers, on the grid of ratios.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from isma.planning.allocation import Offer, Split, at, joining, split
from isma.planning.pools import Pools


class Improved(NamedTuple):
    """An assignment and the sum of the users' times under it."""

    target: Int[Array, "users"]
    total_s: Float[Array, ""]
    steps: Int[Array, ""]
    improving: Bool[Array, ""]


def assess(offer: Offer, target: Int[Array, "users"], counted: Bool[Array, "users"]) -> Split:
    """Split every server among the counted users that `target` sends there."""
    servers = offer.transfer_s.shape[1]
    return split(at(offer, target), Pools(jnp.where(counted, target, servers), servers))


def improve(
    offer: Offer,
    start: Int[Array, "users"],
    counted: Bool[Array, "users"],
    max_steps: int,
    checks: int,
    margin: float,
) -> Improved:
    """Local search from `start`: the best of some moves and swaps, while it saves a part `margin`."""

    def total(target: Int[Array, "users"]) -> Float[Array, ""]:
        return jnp.sum(jnp.where(counted, assess(offer, target, counted).time_s, 0))

    def one(now: Improved) -> Improved:
        neighbours = _neighbours(offer, now.target, counted, checks)
        totals = jax.vmap(total)(neighbours)
        best = jnp.argmin(totals)
        better = totals[best] < now.total_s * (1 - margin)
        target = jnp.where(better, neighbours[best], now.target)
        return Improved(target, jnp.where(better, totals[best], now.total_s), now.steps + 1, better)

    first = Improved(start, total(start), jnp.zeros((), jnp.int32), jnp.asarray(True))
    return jax.lax.while_loop(lambda now: now.improving & (now.steps < max_steps), one, first)


def _neighbours(
    offer: Offer, target: Int[Array, "users"], counted: Bool[Array, "users"], checks: int
) -> Int[Array, "neighbours users"]:
    """The assignments that differ by one of the most promising moves or swaps."""
    users, servers = offer.transfer_s.shape
    now = assess(offer, target, counted)
    pull = jnp.sqrt(now.price_s)
    theirs = at(offer, target)
    own = jnp.minimum(jnp.sqrt(now.offload_ratio * theirs.work_s), pull[target])
    here = jnp.arange(servers) == target[:, None]
    without = jnp.where(here, (pull[target] - own)[:, None], pull)
    cost = joining(offer, without**2).cost_s
    leave = jnp.take_along_axis(cost, target[:, None], axis=1)
    gain = jnp.where(counted[:, None] & ~here, leave - cost, -jnp.inf)
    _, best = jax.lax.top_k(gain.ravel(), checks)
    user, to = best // servers, best % servers
    moved = jnp.where(jnp.arange(users) == user[:, None], to[:, None].astype(target.dtype), target)

    swap = jnp.where(
        counted[:, None] & counted, _swap_gain_s(offer, target, now, own, pull), -jnp.inf
    )
    _, best = jax.lax.top_k(swap.ravel(), checks)
    a, b = best // users, best % users
    is_a, is_b = jnp.arange(users) == a[:, None], jnp.arange(users) == b[:, None]
    swapped = jnp.where(is_a, target[b][:, None], jnp.where(is_b, target[a][:, None], target))
    return jnp.concatenate([moved, swapped])


def _swap_gain_s(
    offer: Offer,
    target: Int[Array, "users"],
    now: Split,
    own: Float[Array, "users"],
    pull: Float[Array, "servers"],
) -> Float[Array, "users users"]:
    """Seconds saved by exchanging the servers of two users at their present ratios (upper triangle)."""
    ratio = now.offload_ratio
    transfer = ratio[:, None] * offer.transfer_s[:, target]
    other = jnp.sqrt(ratio[:, None] * offer.work_s[:, target])
    at_home = pull[target]
    home = jnp.diagonal(transfer)
    # Row user a takes the place of column user b, on b's server.
    changed = jnp.maximum(at_home[None, :] - own[None, :] + other, 0)
    loss = transfer + changed**2 - at_home[None, :] ** 2
    gain = home[:, None] + home[None, :] - loss - loss.T
    apart = target[:, None] != target[None, :]
    upper = jnp.triu(jnp.ones_like(apart), 1)
    return jnp.where(apart & upper, gain, -jnp.inf)
