"""Prices: each server moves its own users against what the others charge."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from isma.contract import Action, Memory, Observation, Policy
from isma.planning.allocation import at, offers, split
from isma.planning.moves import best_moves
from isma.planning.pools import Pools
from isma.policies.base import believed_load, shared_out


class Price(Policy):
    """Moves a user where its own time and what it costs the others there are least.

    Each server broadcasts λ, what one more unit of its CPU would save its users; nothing about
    them. Between two decisions of a server its load tells how far its last price is from the
    truth: λ ∝ load² as long as shares are uncapped (isma.planning.allocation.joining).
    """

    publishes_price: ClassVar[bool] = True
    margin: float = eqx.field(static=True, default=0.02)
    """A move must save this part of the user's time: prices are some seconds old."""
    moves: int = eqx.field(static=True, default=4)
    """Most users that a server moves in one decision."""

    def act(
        self, memory: Memory, observation: Observation, key: PRNGKeyArray
    ) -> tuple[Action, Memory]:
        """Move users one by one while it pays, then share out home's CPU among those who stay."""
        offer = offers(observation)
        home = Pools(observation.pool(observation.host), observation.num_pools)
        here = split(at(offer, observation.host), home)
        price_s = believed_price_s(observation, here.price_s)
        maker = Pools(
            jnp.where(observation.visible, observation.host, price_s.shape[0]), price_s.shape[0]
        )
        search = best_moves(
            offer,
            observation.host,
            maker,
            price_s,
            observation.decides,
            self.margin * here.time_s,
            self.moves,
        )
        action, stays = shared_out(observation, offer, search.target)
        share = jnp.where(search.moved, search.share, action.cpu_share)
        own_price_s = (
            stays.price_s
            if price_s.shape[0] == observation.num_pools
            else jnp.zeros_like(action.price_s)
        )
        return Action(action.server, action.offload_ratio, share, own_price_s), memory


def believed_price_s(
    observation: Observation, home_price_s: Float[Array, "pools"]
) -> Float[Array, "servers servers"]:
    """Price of each server (column) as each server (row) reckons it; its own it knows."""
    believed = observation.news.price_s * believed_load(observation) ** 2
    servers = believed.shape[0]
    if home_price_s.shape[0] != servers:
        return believed
    return jnp.where(jnp.eye(servers, dtype=bool), home_price_s, believed)
