"""The best assignment of users to servers when everything is known: moves and swaps, checked exactly.

The price formulas of isma.planning.allocation rank every single move and every swap of two users;
the most promising ones are then judged by the exact split of all servers, on the grid of ratios.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from isma.planning.allocation import Offer, Split, at, joining, lead_s, of_places, split
from isma.planning.segment_sums import Pools


class Improved(NamedTuple):
    """An assignment and the sum of the users' times under it."""

    target: Int[Array, "users"]
    total_s: Float[Array, ""]
    steps: Int[Array, ""]
    improving: Bool[Array, ""]


class _Neighbours(NamedTuple):
    """Assignments one step away, and the two servers that differ."""

    target: Int[Array, "neighbours users"]
    servers: Int[Array, "neighbours 2"]


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
    """Local search from `start`: the best of some moves and swaps, each saving at least a part `margin`."""

    totals = jax.vmap(lambda target, pair: _pair_total_s(offer, target, counted, pair))

    def one(now: Improved) -> Improved:
        neighbours = _neighbours(offer, now.target, counted, checks)
        before = totals(jnp.broadcast_to(now.target, neighbours.target.shape), neighbours.servers)
        saved = before - totals(neighbours.target, neighbours.servers)
        best = jnp.argmax(saved)
        better = saved[best] > before[best] * margin
        target = jnp.where(better, neighbours.target[best], now.target)
        total_s = now.total_s - jnp.where(better, saved[best], 0)
        return Improved(target, total_s, now.steps + 1, better)

    first_s = jnp.sum(jnp.where(counted, assess(offer, start, counted).time_s, 0))
    first = Improved(start, first_s, jnp.zeros((), jnp.int32), jnp.asarray(True))
    return jax.lax.while_loop(lambda now: now.improving & (now.steps < max_steps), one, first)


def _pair_total_s(
    offer: Offer,
    target: Int[Array, "users"],
    counted: Bool[Array, "users"],
    servers: Int[Array, "2"],
) -> Float[Array, ""]:
    """Sum of the times on two servers, which are all that a move or a swap changes."""
    pool = jnp.where(target == servers[0], 0, jnp.where(target == servers[1], 1, 2))
    pools = Pools(jnp.where(counted, pool, 2), 2)
    return jnp.sum(jnp.where(pools.pool < 2, split(at(offer, target), pools).time_s, 0))


def _neighbours(
    offer: Offer, target: Int[Array, "users"], counted: Bool[Array, "users"], checks: int
) -> _Neighbours:
    """The assignments that differ by one of the most promising moves or swaps."""
    users, servers = offer.transfer_s.shape
    now = assess(offer, target, counted)
    root_price = jnp.sqrt(now.price_s)
    theirs = at(offer, target)
    own = jnp.minimum(jnp.sqrt(now.offload_ratio * theirs.work_s), root_price[target])
    here = jnp.arange(servers) == target[:, None]
    without = jnp.where(here, (root_price[target] - own)[:, None], root_price)
    cost = joining(offer, without**2).cost_s
    leave = jnp.take_along_axis(cost, target[:, None], axis=1)
    gain = jnp.where(counted[:, None] & ~here, leave - cost, -jnp.inf)
    user, to = _best_of_rows(gain, checks)
    moved = jnp.where(jnp.arange(users) == user[:, None], to[:, None].astype(target.dtype), target)

    swap = jnp.where(
        counted[:, None] & counted, _swap_gain_s(offer, target, now, own, root_price), -jnp.inf
    )
    a, b = _best_of_rows(swap, checks)
    is_a, is_b = jnp.arange(users) == a[:, None], jnp.arange(users) == b[:, None]
    swapped = jnp.where(is_a, target[b][:, None], jnp.where(is_b, target[a][:, None], target))
    pairs = [
        jnp.stack([target[user], to.astype(target.dtype)], 1),
        jnp.stack([target[a], target[b]], 1),
    ]
    return _Neighbours(jnp.concatenate([moved, swapped]), jnp.concatenate(pairs))


def _best_of_rows(
    gain: Float[Array, "users columns"], number: int
) -> tuple[Int[Array, "number"], Int[Array, "number"]]:
    """Rows and columns of the greatest gains, at most one a row (sorting all of them is slow)."""
    column = jnp.argmax(gain, axis=1)
    _, row = jax.lax.top_k(jnp.max(gain, axis=1), min(number, len(gain)))
    return row, column[row]


def _swap_gain_s(
    offer: Offer,
    target: Int[Array, "users"],
    now: Split,
    own: Float[Array, "users"],
    root_price: Float[Array, "servers"],
) -> Float[Array, "users users"]:
    """Seconds saved by exchanging the servers of two users at their present ratios (upper triangle)."""
    ratio = now.offload_ratio
    theirs = of_places(offer, jnp.broadcast_to(target, (len(target), len(target))))
    transfer = lead_s(theirs, ratio[:, None])
    other = jnp.sqrt(ratio[:, None] * theirs.work_s)
    at_home = root_price[target]
    home = jnp.diagonal(transfer)
    # Row user a takes the place of column user b, on b's server.
    changed = jnp.maximum(at_home[None, :] - own[None, :] + other, 0)
    loss = transfer + changed**2 - at_home[None, :] ** 2
    gain = home[:, None] + home[None, :] - loss - loss.T
    apart = target[:, None] != target[None, :]
    upper = jnp.triu(jnp.ones_like(apart), 1)
    return jnp.where(apart & upper, gain, -jnp.inf)
