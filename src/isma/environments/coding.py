"""How what a server sees is written as an observation, and what it decides as an action."""

from abc import abstractmethod
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from gymnasium import spaces
from jaxtyping import Array, Bool, Int

from isma.contract import Action, Observation


class Coding(eqx.Module):
    """One way of writing observations and actions; arrays of the spaces, traced or not."""

    @abstractmethod
    def observation_space(self) -> spaces.Space:
        """The space of `encode`."""

    @abstractmethod
    def action_space(self) -> spaces.Space:
        """The space of what `decode` reads."""

    @abstractmethod
    def encode(self, seen: Observation, server: Int[Array, ""]) -> Any:
        """Observation of that server."""

    @abstractmethod
    def decode(self, action: Any, seen: Observation, server: Int[Array, ""]) -> Action:
        """Decision of that server; rows of users that it does not decide for mean nothing."""


def own(seen: Observation, server: Int[Array, ""]) -> Bool[Array, "users"]:
    """The users in a server's sight that it hosts."""
    return seen.visible & (seen.host == server)


def bounded(value: Array, low: float, high: float) -> Array:
    """Numbers of 32 bits within the bounds of a space."""
    return jnp.clip(value.astype(jnp.float32), jnp.float32(low), jnp.float32(high))
