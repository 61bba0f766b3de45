"""A policy that always does the same, for worlds in which only the physics is looked at."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from helpers.small_worlds import SERVERS, USERS
from isma.contract import Action, Memory, Observation, Policy


class Fixed(Policy):
    """The same action for ever."""

    server: Int[Array, "users"]
    offload_ratio: Float[Array, "users"]
    cpu_share: Float[Array, "users"]

    def act(
        self, memory: Memory, observation: Observation, key: PRNGKeyArray
    ) -> tuple[Action, Memory]:
        price = jnp.zeros(SERVERS)
        return Action(self.server, self.offload_ratio, self.cpu_share, price), memory


def some_action(rng: np.random.Generator) -> Fixed:
    """Shares that fit even if everybody is on one server."""
    return Fixed(
        jnp.asarray(rng.integers(0, SERVERS, USERS), jnp.int32),
        jnp.asarray(rng.integers(0, 11, USERS) / 10, jnp.float32),
        jnp.asarray(rng.uniform(0.01, 0.4 / USERS, USERS), jnp.float32),
    )
