"""One vector of numbers around 0 to 1, and one choice of server a row: for stock learners."""

from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces
from jaxtyping import Array, Float, Int

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
from isma.model.vectors import Scales
from isma.planning.allocation import offers
from isma.policies.shared import shared_out
from isma.simulator.params import Params
from isma.world.scenario import Scenario, Visibility

_REQUESTED = 5
"""Columns of `vectors.request_columns`."""
CUT = 10.0
"""Numbers beyond it are cut off; most lie between 0 and 1."""


class Flat(Coding):
    """A vector of rows, and a server for each row; ratios, shares and prices follow from those.

    Rows are a server's own users, those with most cycles first, then users of others where they are
    in sight, then zeros. Own users beyond the rows stay where they are.
    """

    users: tuple[Quantity, ...] = eqx.field(static=True)
    """Beyond those of the paper's vector."""
    servers: tuple[Quantity, ...] = eqx.field(static=True)
    scales: Scales
    rows: int = eqx.field(static=True)
    num_users: int = eqx.field(static=True)
    num_servers: int = eqx.field(static=True)
    num_stations: int = eqx.field(static=True)
    shows_host: bool = eqx.field(static=True)

    @classmethod
    def of(cls, scenario: Scenario, params: Params, rows: int | None) -> "Flat":
        """Coding of this scenario for so many users; None: for twice an even part of them."""
        users, servers = params.shape.num_users, params.shape.num_servers
        scales = vectors.scales([scenario])
        interval = [q for q in requested(scenario, scales) if q.name == "interval_s"]
        return cls(
            (*interval, *beyond_the_paper(scenario, params, scales)),
            announced(scenario, params, scales),
            scales,
            min(users, 2 * -(-users // servers)) if rows is None else rows,
            users,
            servers,
            params.shape.num_stations,
            params.shape.visibility is Visibility.FULL,
        )

    def observation_space(self) -> spaces.Box:
        """The part of all users that is hosted here, rows of users, rows of servers."""
        return spaces.Box(-CUT, CUT, (self._size(),), np.float32)

    def action_space(self) -> spaces.MultiDiscrete:
        """The server that is to host the user of each row."""
        return spaces.MultiDiscrete([self.num_servers] * self.rows)

    def encode(self, seen: Observation, server: Int[Array, ""]) -> Float[Array, "numbers"]:
        """Everything in a row."""
        mine = own(seen, server)
        users = self._users(seen, server)[self._order(seen, server)]
        servers = [of_servers(q, seen, server) / q.one for q in self.servers]
        part = jnp.sum(mine, dtype=jnp.float32)[None] / self.num_users
        vector = jnp.concatenate([part, users.ravel(), *servers])
        return bounded(vector, -CUT, CUT)

    def decode(self, action: Any, seen: Observation, server: Int[Array, ""]) -> Action:
        """The best ratio and the priced share of every user, given where it is to be served."""
        chosen = jnp.clip(action, 0, self.num_servers - 1).astype(seen.host.dtype)
        order = self._order(seen, server)
        target = jnp.where(
            own(seen, server) & seen.decides, seen.host.at[order].set(chosen), seen.host
        )
        action, stays = shared_out(seen, offers(seen), target)
        return replace(action, price_s=stays.price_s)

    def _users(self, seen: Observation, server: Int[Array, ""]) -> Float[Array, "users columns"]:
        columns = [
            own(seen, server),
            seen.decides,
            *vectors.request_columns(seen, self.scales),
            *(of_users(quantity, seen) / quantity.one for quantity in self.users),
        ]
        places = [jax.nn.one_hot(seen.station, self.num_stations)]
        if self.shows_host:
            places.append(jax.nn.one_hot(seen.host, self.num_servers))
        numbers = jnp.stack([column.astype(jnp.float32) for column in columns], axis=1)
        return jnp.where(seen.visible[:, None], jnp.concatenate([numbers, *places], axis=1), 0)

    def _order(self, seen: Observation, server: Int[Array, ""]) -> Int[Array, "rows"]:
        rank = jnp.where(own(seen, server), 2, seen.visible.astype(jnp.int32))
        return jnp.lexsort((-seen.requests.cycles, -rank))[: self.rows]

    def _size(self) -> int:
        places = self.num_stations + (self.num_servers if self.shows_host else 0)
        columns = 2 + _REQUESTED + len(self.users) + places
        return 1 + self.rows * columns + len(self.servers) * self.num_servers
