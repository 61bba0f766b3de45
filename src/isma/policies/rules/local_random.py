"""The simplest rules: no offloading, and a random server."""

import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from isma import randomness
from isma.contract import Action, Memory, Observation, Policy
from isma.planning.allocation import best_ratio, offers
from isma.policies.shared import believed_load


class Local(Policy):
    """No offloading: every task runs on the user's own CPU."""

    def act(
        self, memory: Memory, observation: Observation, key: PRNGKeyArray
    ) -> tuple[Action, Memory]:
        """Keep every task on the user's CPU, with no share of any server."""
        none = jnp.zeros_like(observation.gain)
        no_price = jnp.zeros_like(observation.infrastructure.server_hz)
        return Action(observation.host, none, none, no_price), memory


class Random(Policy):
    """Random server, equal shares: every user requests the whole CPU, and the host divides it.

    The offload ratio is the best for F of that server: the share granted to a request for everything.
    """

    def act(
        self, memory: Memory, observation: Observation, key: PRNGKeyArray
    ) -> tuple[Action, Memory]:
        """Draw a server for every user, uniformly."""
        servers = observation.acting.shape[0]
        target = randomness.whole(key, observation.host.shape, 0, servers)
        load = believed_load(observation)[observation.host, target]
        others = load - (target == observation.host)
        best = best_ratio(offers(observation).at(target), 1 / (1 + jnp.maximum(others, 0)))
        no_price = jnp.zeros_like(observation.infrastructure.server_hz)
        return Action(target, best.offload_ratio, jnp.ones_like(load), no_price), memory
