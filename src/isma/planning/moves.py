"""Moving users between servers against prices: the best single move again and again.

A server's price λ stands for its users: its square root is the sum of their pulls √(η a). A user
that leaves takes its pull along, one that comes adds it, so that a decision maker can follow what
its own moves do to the prices of servers whose users it does not know.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from isma.planning.allocation import Offer, at, joining, of_servers
from isma.planning.pools import Pools

_LEAST_S = 1e-12
_MOST_PLACES = 8
"""Servers besides home that a user may go to in one decision: the cheapest to join."""


class Search(NamedTuple):
    """A search under way."""

    target: Int[Array, "users"]
    pull: Float[Array, "makers servers"]
    """√λ of every server, as each decision maker reckons it."""
    share: Float[Array, "users"]
    """Share that a user asks for where it moves to."""
    moved: Bool[Array, "users"]
    step: Int[Array, ""]
    improving: Bool[Array, ""]


class Places(NamedTuple):
    """Where a user might go: its home first, then other servers; an infinite handicap bars one."""

    server: Int[Array, "users places"]
    offer: Offer
    handicap_s: Float[Array, "users places"]
    certain_s: Float[Array, "users places"]
    """What of going there is gained whatever others do: fewer hops."""


def best_moves(
    offer: Offer,
    host: Int[Array, "users"],
    maker: Pools,
    price_s: Float[Array, "makers servers"],
    movable: Bool[Array, "users"],
    least_gain_s: Float[Array, "users"],
    handicap_s: Float[Array, "users servers"],
    certain_s: Float[Array, "users servers"],
    may: Callable[[Float[Array, "users"], Int[Array, "users"]], Bool[Array, "users"]],
    max_moves: int,
) -> Search:
    """Let each decision maker move its users one by one while that saves time overall.

    `maker` groups the users by who decides for them, and `price_s` is what each maker believes of
    every server, with all users where they are. A move must save more than `least_gain_s` seconds,
    counting what it costs or spares everyone else on both servers; less, in proportion, if a part of
    that is `certain_s`, whatever the prices. `may` is asked by gain in seconds and target whether it
    is let go. No user moves twice. Makers who
    hear the same news would all choose the same idle server: a random part of `handicap_s`, which
    is added to what a server costs, makes them differ; what a move itself costs is the other part.
    """
    pull = jnp.sqrt(price_s)
    row = jnp.minimum(maker.pool, maker.num_pools - 1)
    places = _places(offer, host, pull[row], handicap_s, certain_s)
    return moves_among(places, maker, pull, movable, least_gain_s, may, max_moves)


def moves_among(
    places: Places,
    maker: Pools,
    pull: Float[Array, "makers servers"],
    movable: Bool[Array, "users"],
    least_gain_s: Float[Array, "users"],
    may: Callable[[Float[Array, "users"], Int[Array, "users"]], Bool[Array, "users"]],
    max_moves: int,
) -> Search:
    """As `best_moves`, between given places, from √λ of every server as each maker reckons it."""
    row, host = jnp.minimum(maker.pool, maker.num_pools - 1), places.server[:, 0]
    own = own_pull(jax.tree.map(lambda part: part[:, 0], places.offer), pull[row, host])

    def improve(search: Search) -> Search:
        around = search.pull[row[:, None], places.server]
        without = around.at[:, 0].add(-own)
        joined = joining(places.offer, jnp.maximum(without, 0) ** 2)
        cost_s = joined.cost_s + places.handicap_s
        gain_s = cost_s[:, :1] - cost_s
        # Prices are some seconds old; hops are what they are.
        beyond_s = gain_s - least_gain_s[:, None] * by_prices(gain_s, places.certain_s)
        best = jnp.argmin(-beyond_s[:, 1:], axis=1) + 1
        most = _at(beyond_s, best)
        to = _at(places.server, best)
        goes = movable & ~search.moved & (most > 0) & may(_at(gain_s, best), to)
        wins = maker.winner(jnp.where(goes, most, -jnp.inf))
        pulls = jnp.sqrt(_at(joined.offload_ratio, best) * _at(places.offer.work_s, best))
        changed = _moved(search.pull, row, host, to, wins, own, pulls)
        return Search(
            target=jnp.where(wins, to, search.target),
            pull=changed,
            share=jnp.where(wins, _at(joined.cpu_share, best), search.share),
            moved=search.moved | wins,
            step=search.step + 1,
            improving=jnp.any(wins),
        )

    start = Search(
        target=host,
        pull=pull,
        share=jnp.zeros_like(least_gain_s),
        moved=jnp.zeros_like(movable),
        step=jnp.zeros((), jnp.int32),
        improving=jnp.asarray(True),
    )
    if places.server.shape[1] == 1:  # There is nowhere to go.
        return start
    return jax.lax.while_loop(lambda s: s.improving & (s.step < max_moves), improve, start)


def costs_s(
    offer: Offer, home: Int[Array, "users"], pull: Float[Array, "users places"]
) -> Float[Array, "users places"]:
    """What it adds to everybody's times to serve each user at each place, one of which is its home.

    Moves aside; `pull` is √λ of each place with the user where it is.
    """
    user = jnp.arange(len(home))
    own = own_pull(at(offer, home), pull[user, home])
    # No scatter, which would go row by row on a CPU.
    there = jnp.arange(pull.shape[1]) == home[:, None]
    without = jnp.where(there, pull - own[:, None], pull)
    return joining(offer, jnp.maximum(without, 0) ** 2).cost_s


def gains_s(
    offer: Offer, home: Int[Array, "users"], pull: Float[Array, "users places"]
) -> Float[Array, "users places"]:
    """What it would save everybody to serve each user at each place and not at its home."""
    cost_s = costs_s(offer, home, pull)
    return jnp.take_along_axis(cost_s, home[:, None], axis=1) - cost_s


def by_prices(gain_s: Float[Array, "..."], certain_s: Float[Array, "..."]) -> Float[Array, "..."]:
    """The part of a gain that rests on prices and so on load; the rest is certain, fewer hops."""
    return jnp.clip(1 - certain_s / jnp.maximum(gain_s, _LEAST_S), 0, 1)


def _places(
    offer: Offer,
    host: Int[Array, "users"],
    pull: Float[Array, "users servers"],
    handicap_s: Float[Array, "users servers"],
    certain_s: Float[Array, "users servers"],
) -> Places:
    """Each user's home and the servers that would be cheapest to join, at present prices."""
    users, servers = pull.shape
    handicap_s = handicap_s.at[jnp.arange(users), host].set(0)
    cost = joining(offer, pull**2).cost_s + handicap_s
    cost = cost.at[jnp.arange(users), host].set(jnp.inf)
    _, nearest = jax.lax.top_k(-cost, min(_MOST_PLACES, servers - 1))
    server = jnp.concatenate([host[:, None], nearest.astype(host.dtype)], axis=1)
    take = lambda value: jnp.take_along_axis(value, server, axis=1)  # noqa: E731
    return Places(server, of_servers(offer, server), take(handicap_s), take(certain_s))


def own_pull(home: Offer, pull: Float[Array, "users"]) -> Float[Array, "users"]:
    """A user's own part √(η a) of its home's pull, which is no more than all of it."""
    return jnp.minimum(jnp.sqrt(joining(home, pull**2).offload_ratio * home.work_s), pull)


def _moved(
    pull: Float[Array, "makers servers"],
    row: Int[Array, "users"],
    host: Int[Array, "users"],
    to: Int[Array, "users"],
    wins: Bool[Array, "users"],
    leaves: Float[Array, "users"],
    arrives: Float[Array, "users"],
) -> Float[Array, "makers servers"]:
    """The pulls as their makers reckon them once the winners have moved."""
    pull = pull.at[row, host].add(jnp.where(wins, -leaves, 0))
    return jnp.maximum(pull.at[row, to].add(jnp.where(wins, arrives, 0)), 0)


def _at(value: Array, place: Int[Array, "users"]) -> Array:
    return jnp.take_along_axis(value, place[:, None], axis=1)[:, 0]
