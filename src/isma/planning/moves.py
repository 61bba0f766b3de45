"""Moving users between servers against prices: the best single move again and again.

A server's price λ stands for its users: its square root is the sum of their pulls √(η a). A user
that leaves takes its pull along, one that comes adds it, so that a decision maker can follow what
its own moves do to the prices of servers whose users it does not know.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from isma.planning.allocation import Offer, joining
from isma.planning.pools import Pools


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


def best_moves(
    offer: Offer,
    host: Int[Array, "users"],
    maker: Pools,
    price_s: Float[Array, "makers servers"],
    movable: Bool[Array, "users"],
    least_gain: Float[Array, "users"],
    max_moves: int,
) -> Search:
    """Let each decision maker move its users one by one while that saves time overall.

    `maker` groups the users by who decides for them, and `price_s` is what each maker believes of
    every server, with all users where they are. A move must save more than `least_gain` seconds,
    counting what it costs or spares everyone else on both servers. No user moves twice.
    """
    servers = jnp.arange(offer.transfer_s.shape[1])
    row = jnp.minimum(maker.pool, maker.num_pools - 1)

    def improve(search: Search) -> Search:
        at_home = search.target[:, None] == servers
        own_pull = _pull(offer, jnp.where(at_home, search.pull[row], jnp.inf))
        without = jnp.maximum(search.pull[row] - jnp.where(at_home, own_pull, 0), 0)
        joined = joining(offer, without**2)
        stays = jnp.sum(jnp.where(at_home, joined.cost_s, 0), axis=1)
        goes = jnp.where(at_home, jnp.inf, joined.cost_s)
        to = jnp.argmin(goes, axis=1).astype(search.target.dtype)
        gain = stays - jnp.min(goes, axis=1) - least_gain
        wins = maker.winner(jnp.where(movable & ~search.moved & (gain > 0), gain, -jnp.inf))
        pull = search.pull - maker.sum(jnp.where(wins[:, None] & at_home, own_pull, 0))
        arrives = wins[:, None] & (to[:, None] == servers)
        pull = pull + maker.sum(
            jnp.where(arrives, jnp.sqrt(joined.offload_ratio * offer.work_s), 0)
        )
        share = jnp.where(wins, _at(joined.cpu_share, to), search.share)
        target = jnp.where(wins, to, search.target)
        return Search(
            target, jnp.maximum(pull, 0), share, search.moved | wins, search.step + 1, jnp.any(wins)
        )

    start = Search(
        target=host,
        pull=jnp.sqrt(price_s),
        share=jnp.zeros_like(offer.local_s[:, 0]),
        moved=jnp.zeros_like(movable),
        step=jnp.zeros((), jnp.int32),
        improving=jnp.asarray(True),
    )
    return jax.lax.while_loop(lambda s: s.improving & (s.step < max_moves), improve, start)


def _pull(offer: Offer, pull: Float[Array, "users servers"]) -> Float[Array, "users servers"]:
    """A user's own part √(η a) of the pull of the server it is on; 0 where that is infinite."""
    here = jnp.isfinite(pull)
    taken = joining(offer, jnp.where(here, pull, 0) ** 2)
    return jnp.where(here, jnp.minimum(jnp.sqrt(taken.offload_ratio * offer.work_s), pull), 0)


def _at(value: Float[Array, "users servers"], server: Int[Array, "users"]) -> Float[Array, "users"]:
    return jnp.take_along_axis(value, server[:, None], axis=1)[:, 0]
