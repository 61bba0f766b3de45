"""Greed: each server moves the user that would gain most by another server's remaining CPU."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from isma.contract import Action, Memory, Observation, Policy
from isma.planning.allocation import best_ratio, offers, respond, split
from isma.planning.segment_sums import Pools
from isma.planning.shortlist import candidates, near, news_of_candidates
from isma.policies.options import Duration, Part, check_fields
from isma.policies.shared import believed_load, charged_s, shared_out


class Greedy(Policy):
    """Moves a user where it finishes soonest by the last broadcast of F.

    F says how much CPU is requested from a server, not by how many users. A user requests the share
    that it would take at home's price, and expects it scaled down by the requests that F shows.
    One user a decision: more would all run to the same server on the same news.
    """

    margin: Part = eqx.field(static=True, default=0.02)
    """A move must save this part of the user's time."""
    stay_s: Duration = eqx.field(static=True, default=0.0)
    """Time in which a move must pay for the stop that it causes; 0 for one decision period."""

    def __check_init__(self) -> None:
        """Refuse options out of their ranges."""
        check_fields("greedy", self)

    def act(
        self, memory: Memory, observation: Observation, key: PRNGKeyArray
    ) -> tuple[Action, Memory]:
        """Move the user with the most to gain, then share out home among the others."""
        offer = offers(observation)
        home = Pools(observation.pool(observation.host), observation.num_pools)
        stays = split(offer.at(observation.host), home)
        servers = candidates(observation)
        there = offer.of(near(observation))
        asked = respond(there, home.spread(stays.price_s, 1.0)[:, None]).cpu_share
        load = news_of_candidates(observation, believed_load(observation))
        granted = asked / jnp.maximum(1, load + asked)
        elsewhere = servers != observation.host[:, None]
        time_s = best_ratio(there, granted).time_s
        charge_s = charged_s(observation, self.stay_s, near(observation))
        time_s = time_s if charge_s is None else time_s + charge_s
        time_s = jnp.where(elsewhere, time_s, jnp.inf)
        gain = stays.time_s * (1 - self.margin) - jnp.min(time_s, axis=1)
        wins = home.winner(jnp.where(observation.decides & (gain > 0), gain, -jnp.inf))
        best = jnp.argmin(time_s, axis=1)[:, None]
        to = jnp.take_along_axis(jnp.broadcast_to(servers, time_s.shape), best, axis=1)[:, 0]
        target = jnp.where(wins, to, observation.host)
        return shared_out(observation, offer, target)[0], memory
