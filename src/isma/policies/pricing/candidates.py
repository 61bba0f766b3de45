"""Candidates: the servers to which a search may move users, with delays and prices there.

In a small city every server is a candidate for every user; in a large one the near servers are, for the
users on a shortlist. The search, the valuations and `isma explain` all read them here.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from isma.contract import Observation
from isma.planning import shortlist
from isma.planning.allocation import Offer, Offers, Split, offers
from isma.planning.segment_sums import Pools
from isma.policies.shared import believed_load, hop_delay_s, nearer_s
from isma.world.scenario import Visibility

_SHORTEST_S = 1e-9


class Candidates(NamedTuple):
    """Servers (places) to which services may go, as their decision makers see them at present."""

    observation: Observation
    """Rows of the users that are searched for."""
    offer: Offer
    """Delay of a user's tasks at each place."""
    server: Int[Array, "#users places"]
    home: Int[Array, "users"]
    """Column of each user's home."""
    maker: Int[Array, "users"]
    """Row of its decision maker."""
    root_price: Float[Array, "users places"]
    """√λ of each, with the user where it is."""
    mean_root_price: Float[Array, "users"]
    """Mean √λ of all servers."""
    hop_s: Float[Array, "users"]
    """Delay of one hop more."""
    hop_saving_s: Float[Array, "users places"]
    """Part of the gain of going there that rests on no price: fewer hops."""


def all_servers(
    observation: Observation,
    offer: Offers,
    home: Pools,
    root_price: Float[Array, "makers servers"],
) -> Candidates:
    """Every server for every user."""
    everywhere = jnp.arange(root_price.shape[1])
    hop_s = jnp.maximum(hop_delay_s(observation, offer), _SHORTEST_S)
    maker = jnp.minimum(home.pool, len(root_price) - 1)
    return Candidates(
        observation,
        offer.of(),
        server=everywhere[None],
        home=observation.host,
        maker=maker,
        root_price=root_price[maker],
        mean_root_price=jnp.mean(root_price[maker], axis=1),
        hop_s=hop_s,
        hop_saving_s=nearer_s(observation, hop_s, everywhere),
    )


def near_servers(
    observation: Observation,
    offer: Offers,
    home: Pools,
    root_price: Float[Array, "makers servers"],
    row: Int[Array, "rows"],
) -> Candidates:
    """Home and the near servers, for some users of a large city."""
    few = observation.of_rows(row)
    near = jnp.broadcast_to(
        shortlist.candidates(few), (len(row), shortlist.candidates(few).shape[1])
    )
    server = jnp.concatenate([few.host[:, None], near.astype(few.host.dtype)], axis=1)
    hop_s = jnp.maximum(hop_delay_s(observation, offer)[row], _SHORTEST_S)
    # Behind the barrier the tables are made once, and not again in every term that reads them.
    offer_s, saving_s = jax.lax.optimization_barrier(
        (offers(few).of(server), nearer_s(few, hop_s, server))
    )
    maker = jnp.minimum(home.pool[row], len(root_price) - 1)
    return Candidates(
        few,
        offer_s,
        server=server,
        home=jnp.zeros_like(few.host),
        maker=maker,
        root_price=root_price[maker[:, None], server],
        mean_root_price=jnp.mean(root_price, axis=1)[maker],
        hop_s=hop_s,
        hop_saving_s=saving_s,
    )


def barred(candidates: Candidates) -> Bool[Array, "#users places"]:
    """Duplicates of a user's home outside its own column."""
    again = candidates.server == candidates.observation.host[:, None]
    return again & (jnp.arange(again.shape[1]) != candidates.home[:, None])


def estimated_price_s(
    observation: Observation, home: Pools, here: Split, offer: Offers
) -> Float[Array, "makers servers"]:
    """Price of each server (column) as each decision maker (row) estimates it; its own it knows.

    A price is as old as that server's last decision, but its load is fresh. A user that arrived since
    asked for φ = o / (√λ + o), o being its √(η a), so that √λ has grown by √λ φ / (1 - φ). A server
    that was idle has no price to grow: users that arrived there are assumed to be like one's own.
    """
    published, load = jnp.sqrt(observation.news.price_s), believed_load(observation)
    alone = observation.visibility is Visibility.USER
    if alone:  # Every user decides for itself, with its host's news.
        published, load = published[observation.host], load[observation.host]
    came = jnp.maximum(load - 1, 0)
    grown = published * (1 + came / (1 - jnp.minimum(came, 0.5)))
    own = jnp.sqrt(here.offload_ratio * offer.at(observation.host).work_s)
    typical = home.sum(own) / jnp.maximum(home.sum(observation.visible.astype(own.dtype)), 1)
    believed = jnp.where(published > 0, grown, load * typical[:, None]) ** 2
    if alone:
        return believed
    return jnp.where(jnp.eye(believed.shape[1], dtype=bool), here.price_s, believed)
