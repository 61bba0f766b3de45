"""Coding: encodes a server's view as an observation, and decodes actions as its decisions."""

from abc import abstractmethod
from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from gymnasium import spaces
from jaxtyping import Array, Bool, Int

from isma.contract import Action, Observation
from isma.world.scenario import Visibility


class Coding(eqx.Module):
    """Encoding of observations and decoding of actions; arrays of the spaces, traced or not."""

    @abstractmethod
    def observation_space(self) -> spaces.Space:
        """The space of `encode`."""

    @abstractmethod
    def action_space(self) -> spaces.Space:
        """Action space: the inputs of `decode`."""

    @abstractmethod
    def encode(self, seen: Observation, server: Int[Array, ""]) -> Any:
        """Observation of that server."""

    @abstractmethod
    def decode(self, action: Any, seen: Observation, server: Int[Array, ""]) -> Action:
        """Decision of that server; rows of users that it does not decide for mean nothing."""

    def encode_all(self, seen: Observation) -> Any:
        """Observations of all servers, with a leading axis of them, from the sight of all together."""
        servers = _servers(seen)
        return jax.vmap(lambda server: self.encode(part_of(seen, server), server))(servers)

    def decode_all(self, actions: Any, seen: Observation) -> Action:
        """Decisions of all servers as one: each user's row is that of the server that hosts it."""
        servers = _servers(seen)
        each = jax.vmap(
            lambda numbers, server: self.decode(numbers, part_of(seen, server), server)
        )(actions, servers)
        row = jnp.arange(seen.host.shape[0])
        return Action(
            each.server[seen.host, row],
            each.offload_ratio[seen.host, row],
            each.cpu_share[seen.host, row],
            price_s=jnp.diagonal(each.price_s),
        )


def own(seen: Observation, server: Int[Array, ""]) -> Bool[Array, "users"]:
    """The users in a server's sight that it hosts."""
    return seen.visible & (seen.host == server)


def bounded(value: Array, low: float, high: float) -> Array:
    """Numbers of 32 bits within the bounds of a space."""
    return jnp.clip(value.astype(jnp.float32), jnp.float32(low), jnp.float32(high))


def part_of(seen: Observation, server: Int[Array, ""]) -> Observation:
    """The part of one server in the sight of all."""
    alone = _servers(seen) == server
    mine = seen.host == server
    part = replace(
        seen, acting=alone, due=seen.due & alone, decides=seen.decides & mine & seen.visible
    )
    if seen.visibility is Visibility.FULL:
        return part
    visible = seen.visible & mine

    def hide(leaf: Array) -> Array:
        rows = visible.reshape(-1, *(1,) * (leaf.ndim - 1))
        return jnp.where(rows, leaf, jnp.zeros((), leaf.dtype))

    hidden = {
        name: jax.tree.map(hide, getattr(part, name))
        for name in (
            *("requests", "gain", "station", "host", "wait_s"),
            *("position_m", "backlog", "bandwidth_hz"),
        )
    }
    return replace(part, visible=visible, **hidden)


def _servers(seen: Observation) -> Int[Array, "servers"]:
    return jnp.arange(seen.acting.shape[0])
