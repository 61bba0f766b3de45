"""The simplest rules: nobody offloads, and anybody anywhere."""

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from isma.contract import Action, Memory, Observation, Policy
from isma.planning.allocation import at, best_ratio, offers
from isma.policies.base import equal_share


class Local(Policy):
    """Nobody offloads: every task runs on the user's own CPU."""

    def act(
        self, memory: Memory, observation: Observation, key: PRNGKeyArray
    ) -> tuple[Action, Memory]:
        """Keep everything at home, with no share of any server."""
        none = jnp.zeros_like(observation.gain)
        no_price = jnp.zeros_like(observation.infrastructure.server_hz)
        return Action(observation.host, none, none, no_price), memory


class Random(Policy):
    """Any server, equal shares, and the offload ratio that is best with them."""

    def act(
        self, memory: Memory, observation: Observation, key: PRNGKeyArray
    ) -> tuple[Action, Memory]:
        """Draw a server for every user, uniformly."""
        servers = observation.acting.shape[0]
        target = jax.random.randint(key, observation.host.shape, 0, servers)
        share = equal_share(observation)
        best = best_ratio(at(offers(observation), target), share)
        no_price = jnp.zeros_like(observation.infrastructure.server_hz)
        return Action(target, best.offload_ratio, best.cpu_share, no_price), memory
