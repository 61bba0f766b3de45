"""Inputs of a decision about one user, as networks read them; rows of users."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

_MANY = 10.0
"""Users, and sum of their shares, that count as 1."""


class Asked(eqx.Module):
    """Requests of a decision maker so far in a round of decisions, by target server."""

    share: Float[Array, "*rows servers"]
    """Sum of the shares asked for."""
    users: Float[Array, "*rows servers"]
    """Number of users sent there."""

    @classmethod
    def nothing(cls, rows: int, servers: int) -> "Asked":
        """Before the first choice."""
        return cls(jnp.zeros((rows, servers)), jnp.zeros((rows, servers)))

    @property
    def scaled(self) -> tuple[Float[Array, "*rows servers"], Float[Array, "*rows servers"]]:
        """Both sums as a network reads them."""
        return self.share / _MANY, self.users / _MANY


class Situation(eqx.Module):
    """A user, and every server as the user's host sees it."""

    user: Float[Array, "*rows columns"]
    servers: Float[Array, "*rows servers server_columns"]
