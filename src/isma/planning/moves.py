"""Migrations against prices: the best single move again and again (greedy local search).

A server's price λ stands for its users: its square root, the root price, is the sum of their √(η a). A user
that leaves takes its part of the root price along, one that comes adds its own, so that a decision maker
can follow what its own moves do to the prices of servers whose users it does not know.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from isma.planning.allocation import Offer, at, joining, of_places
from isma.planning.segment_sums import Pools

_LEAST_S = 1e-12


class MoveSearch(NamedTuple):
    """State of the search, and its result."""

    target: Int[Array, "users"]
    root_price: Float[Array, "makers servers"]
    """√λ of every server, as each decision maker estimates it."""
    share: Float[Array, "users"]
    """CPU share that a user requests where it moves to."""
    moved: Bool[Array, "users"]
    step: Int[Array, ""]
    improving: Bool[Array, ""]


class Destinations(NamedTuple):
    """Servers to which each user may move, its home first; an infinite added cost bars one."""

    server: Int[Array, "users places"]
    offer: Offer
    added_cost_s: Float[Array, "users places"]
    """Cost on top of the present marginal cost there: of the stop, of the time after, of a tie."""
    hop_saving_s: Float[Array, "users places"]
    """Part of the gain that rests on no price: fewer hops."""


def cheapest(
    offer: Offer,
    host: Int[Array, "users"],
    root_price: Float[Array, "users servers"],
    added_cost_s: Float[Array, "users servers"],
    hop_saving_s: Float[Array, "users servers"],
    number: int,
) -> Destinations:
    """Each user's home, to which nothing is added, and the `number` servers that are cheapest to join."""
    users, servers = root_price.shape
    added_cost_s = added_cost_s.at[jnp.arange(users), host].set(0)
    cost = joining(offer, root_price**2).cost_s + added_cost_s
    cost = cost.at[jnp.arange(users), host].set(jnp.inf)
    _, nearest = jax.lax.top_k(-cost, min(number, servers - 1))
    server = jnp.concatenate([host[:, None], nearest.astype(host.dtype)], axis=1)
    take = lambda value: jnp.take_along_axis(value, server, axis=1)  # noqa: E731
    return Destinations(server, of_places(offer, server), take(added_cost_s), take(hop_saving_s))


def best_moves(
    places: Destinations,
    maker: Pools,
    root_price: Float[Array, "makers servers"],
    movable: Bool[Array, "users"],
    least_gain_s: Float[Array, "users"],
    may: Callable[[Float[Array, "users"], Int[Array, "users"]], Bool[Array, "users"]],
    max_moves: int,
) -> MoveSearch:
    """Let each decision maker move its users one by one while that saves time overall.

    `maker` groups the users by their decision maker, and `root_price` is each maker's estimate for
    every server, with all users where they are. A move must save more than `least_gain_s` seconds,
    counting the delay that it adds or saves for all other users of both servers; less, in proportion,
    if a part of that is saved hops, which rest on no price. `may` admits a move by its gain in
    seconds and its target. No user moves twice.
    """
    row, host = jnp.minimum(maker.pool, maker.num_pools - 1), places.server[:, 0]
    own = own_root_price(jax.tree.map(lambda part: part[:, 0], places.offer), root_price[row, host])

    def improve(search: MoveSearch) -> MoveSearch:
        around = search.root_price[row[:, None], places.server]
        without = around.at[:, 0].add(-own)
        joined = joining(places.offer, jnp.maximum(without, 0) ** 2)
        cost_s = joined.cost_s + places.added_cost_s
        gain_s = cost_s[:, :1] - cost_s
        # Prices are some seconds old; hops are exact.
        beyond_s = gain_s - least_gain_s[:, None] * load_part(gain_s, places.hop_saving_s)
        best = jnp.argmin(-beyond_s[:, 1:], axis=1) + 1
        most = _at(beyond_s, best)
        to = _at(places.server, best)
        goes = movable & ~search.moved & (most > 0) & may(_at(gain_s, best), to)
        wins = maker.winner(jnp.where(goes, most, -jnp.inf))
        arrives = jnp.sqrt(_at(joined.offload_ratio, best) * _at(places.offer.work_s, best))
        changed = _moved(search.root_price, row, host, to, wins, own, arrives)
        return MoveSearch(
            target=jnp.where(wins, to, search.target),
            root_price=changed,
            share=jnp.where(wins, _at(joined.cpu_share, best), search.share),
            moved=search.moved | wins,
            step=search.step + 1,
            improving=jnp.any(wins),
        )

    start = MoveSearch(
        target=host,
        root_price=root_price,
        share=jnp.zeros_like(least_gain_s),
        moved=jnp.zeros_like(movable),
        step=jnp.zeros((), jnp.int32),
        improving=jnp.asarray(True),
    )
    if places.server.shape[1] == 1:  # There is nowhere to go.
        return start
    return jax.lax.while_loop(lambda s: s.improving & (s.step < max_moves), improve, start)


def without_own(
    offer: Offer, home: Int[Array, "users"], root_price: Float[Array, "users places"]
) -> Float[Array, "users places"]:
    """√λ of each place without the user itself, which its home's holds; `home` is a place's column."""
    user = jnp.arange(len(home))
    own = own_root_price(at(offer, home), root_price[user, home])
    # No scatter, which would go row by row on a CPU.
    there = jnp.arange(root_price.shape[1]) == home[:, None]
    return jnp.maximum(jnp.where(there, root_price - own[:, None], root_price), 0)


def marginal_costs_s(
    offer: Offer, home: Int[Array, "users"], root_price: Float[Array, "users places"]
) -> Float[Array, "users places"]:
    """Marginal delay of serving each user at each place, for itself and all others; moves aside.

    `root_price` is √λ of each place with the user where it is.
    """
    return joining(offer, without_own(offer, home, root_price) ** 2).cost_s


def savings_s(
    offer: Offer, home: Int[Array, "users"], root_price: Float[Array, "users places"]
) -> Float[Array, "users places"]:
    """Delay saved for all users together by serving each user at each place and not at its home."""
    cost_s = marginal_costs_s(offer, home, root_price)
    return jnp.take_along_axis(cost_s, home[:, None], axis=1) - cost_s


def load_part(
    gain_s: Float[Array, "..."], hop_saving_s: Float[Array, "..."]
) -> Float[Array, "..."]:
    """Part of a gain that rests on prices and so on load; the rest is certain, fewer hops."""
    return jnp.clip(1 - hop_saving_s / jnp.maximum(gain_s, _LEAST_S), 0, 1)


def own_root_price(home: Offer, root_price: Float[Array, "users"]) -> Float[Array, "users"]:
    """A user's own part √(η a) of its home's root price, which is no more than all of it."""
    return jnp.minimum(
        jnp.sqrt(joining(home, root_price**2).offload_ratio * home.work_s), root_price
    )


def _moved(
    root_price: Float[Array, "makers servers"],
    row: Int[Array, "users"],
    host: Int[Array, "users"],
    to: Int[Array, "users"],
    wins: Bool[Array, "users"],
    leaves: Float[Array, "users"],
    arrives: Float[Array, "users"],
) -> Float[Array, "makers servers"]:
    """Root prices as their makers estimate them once the winners have moved."""
    root_price = root_price.at[row, host].add(jnp.where(wins, -leaves, 0))
    return jnp.maximum(root_price.at[row, to].add(jnp.where(wins, arrives, 0)), 0)


def _at(value: Array, place: Int[Array, "users"]) -> Array:
    return jnp.take_along_axis(value, place[:, None], axis=1)[:, 0]
