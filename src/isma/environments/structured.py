"""Observations and actions by name, in SI units: a row for each user of the world."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces
from jaxtyping import Array, Int

from isma.contract import Action, Observation
from isma.environments.coding import Coding, bounded, own
from isma.environments.quantities import (
    Quantity,
    announced,
    beyond_the_paper,
    of_servers,
    of_users,
    requested,
)
from isma.model import vectors
from isma.planning.allocation import RATIOS, offers
from isma.policies.shared import shared_out
from isma.simulator.params import Params
from isma.world.scenario import Scenario, Visibility

LEAST_SHARE = 0.001
"""Least share requested for an offloading user: without any its tasks would never end."""


class Structured(Coding):
    """Dictionaries of columns; rows of users out of sight are zero.

    Observation: `own` (hosted here) and `decides` (the action takes effect), the attached
    `station`, quantities of users, and those of servers. Action: `server`, `offload_tenths` and
    `cpu_share` of every user.
    """

    users: tuple[Quantity, ...] = eqx.field(static=True)
    servers: tuple[Quantity, ...] = eqx.field(static=True)
    num_users: int = eqx.field(static=True)
    num_servers: int = eqx.field(static=True)
    num_stations: int = eqx.field(static=True)
    shows_host: bool = eqx.field(static=True)
    """Whether users of other servers are in sight."""

    @classmethod
    def of(cls, scenario: Scenario, params: Params) -> "Structured":
        """Coding of this scenario."""
        scales = vectors.scales([scenario])
        return cls(
            (*requested(scenario, scales), *beyond_the_paper(scenario, params, scales)),
            announced(scenario, params, scales),
            params.shape.num_users,
            params.shape.num_servers,
            params.shape.num_stations,
            params.shape.visibility is Visibility.FULL,
        )

    def observation_space(self) -> spaces.Space:
        """Names, shapes and bounds."""
        one_of = lambda count: spaces.MultiDiscrete([count] * self.num_users, dtype=np.int32)  # noqa: E731
        columns: dict[str, spaces.Space] = {
            "own": spaces.MultiBinary(self.num_users),
            "decides": spaces.MultiBinary(self.num_users),
            "station": one_of(self.num_stations),
        }
        if self.shows_host:
            columns["host"] = one_of(self.num_servers)
        for quantities, count in ((self.users, self.num_users), (self.servers, self.num_servers)):
            for quantity in quantities:
                columns[quantity.name] = spaces.Box(
                    quantity.low, quantity.high, (count,), np.float32
                )
        return spaces.Dict(columns)

    def action_space(self) -> spaces.Space:
        """Server of each user, tenths of each task to offload, requested part of the CPU."""
        return spaces.Dict(
            {
                "server": spaces.MultiDiscrete([self.num_servers] * self.num_users),
                "offload_tenths": spaces.MultiDiscrete([len(RATIOS)] * self.num_users),
                "cpu_share": spaces.Box(0.0, 1.0, (self.num_users,), np.float32),
            }
        )

    def encode(self, seen: Observation, server: Int[Array, ""]) -> dict[str, Array]:
        """Columns by name."""
        columns = {
            "own": own(seen, server).astype(jnp.int8),
            "decides": seen.decides.astype(jnp.int8),
            "station": seen.station,
        }
        if self.shows_host:
            columns["host"] = seen.host
        for quantity in self.users:
            columns[quantity.name] = bounded(of_users(quantity, seen), quantity.low, quantity.high)
        for quantity in self.servers:
            column = of_servers(quantity, seen, server)
            columns[quantity.name] = bounded(column, quantity.low, quantity.high)
        return columns

    def decode(self, action: Any, seen: Observation, server: Int[Array, ""]) -> Action:
        """Action of the contract, with the price of the users that stay."""
        chosen = jnp.clip(action["server"], 0, self.num_servers - 1).astype(seen.host.dtype)
        target = jnp.where(seen.decides, chosen, seen.host)
        tenths = jnp.clip(action["offload_tenths"], 0, len(RATIOS) - 1)
        asked = jnp.asarray(action["cpu_share"], seen.gain.dtype)
        least = jnp.where(tenths > 0, LEAST_SHARE, 0.0)
        return Action(
            target,
            jnp.asarray(RATIOS, seen.gain.dtype)[tenths],
            jnp.clip(asked, least, 1.0),
            price_s=shared_out(seen, offers(seen), target)[1].price_s,
        )
