"""One vector of numbers around 0 to 1, and one choice of server a row: for stock learners."""

from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces
from jaxtyping import Array, Bool, Float, Int

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
        """Coding of this scenario for `rows` users; None: for twice an even part of them."""
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
        return spaces.Box(-CUT, CUT, (self.numbers,), np.float32)

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

    def encode_all(self, seen: Observation) -> Float[Array, "servers numbers"]:
        """Vectors of all servers, a row each; their common part is computed once."""
        if self.shows_host:  # Then servers see the same users, each in an order of its own.
            return super().encode_all(seen)
        row, filled, number = self._rows_of_all(seen)
        columns = self._columns(seen)[row]
        users = jnp.where(filled[..., None], columns, 0).reshape(self.num_servers, -1)
        every = jnp.arange(self.num_servers)
        servers = [
            jax.vmap(of_servers, in_axes=(None, None, 0))(q, seen, every) / q.one
            for q in self.servers
        ]
        part = number.astype(jnp.float32)[:, None] / self.num_users
        return bounded(jnp.concatenate([part, users, *servers], axis=1), -CUT, CUT)

    def decode_all(self, actions: Any, seen: Observation) -> Action:
        """The best ratio and the priced share of every user, given where all are to be served."""
        if self.shows_host:
            return super().decode_all(actions, seen)
        row, filled, _ = self._rows_of_all(seen)
        chosen = jnp.clip(actions, 0, self.num_servers - 1).astype(seen.host.dtype)
        target = seen.host.at[jnp.where(filled, row, self.num_users)].set(chosen, mode="drop")
        target = jnp.where(seen.visible & seen.decides, target, seen.host)
        action, stays = shared_out(seen, offers(seen), target)
        return replace(action, price_s=stays.price_s)

    def _rows_of_all(
        self, seen: Observation
    ) -> tuple[Int[Array, "servers rows"], Bool[Array, "servers rows"], Int[Array, "servers"]]:
        """User in each row of each server, which rows have one, and each server's number of users."""
        group = jnp.where(seen.visible, seen.host, self.num_servers)
        order = jnp.lexsort((-seen.requests.cycles, group))
        every = jnp.arange(self.num_servers)
        number = jnp.sum(group[:, None] == every, axis=0, dtype=jnp.int32)
        first = jnp.cumsum(number) - number
        place = jnp.arange(self.rows)
        row = order[jnp.minimum(first[:, None] + place, self.num_users - 1)]
        return row, place < number[:, None], number

    def _users(self, seen: Observation, server: Int[Array, ""]) -> Float[Array, "users columns"]:
        mine = own(seen, server).astype(jnp.float32)
        return jnp.where(seen.visible[:, None], self._columns(seen).at[:, 0].set(mine), 0)

    def _columns(self, seen: Observation) -> Float[Array, "users columns"]:
        """Columns of every user, as its host sees them."""
        columns = [
            seen.visible,
            seen.decides,
            *vectors.request_columns(seen, self.scales),
            *(of_users(quantity, seen) / quantity.one for quantity in self.users),
        ]
        places = [jax.nn.one_hot(seen.station, self.num_stations)]
        if self.shows_host:
            places.append(jax.nn.one_hot(seen.host, self.num_servers))
        numbers = jnp.stack([column.astype(jnp.float32) for column in columns], axis=1)
        return jnp.concatenate([numbers, *places], axis=1)

    def _order(self, seen: Observation, server: Int[Array, ""]) -> Int[Array, "rows"]:
        rank = jnp.where(own(seen, server), 2, seen.visible.astype(jnp.int32))
        return jnp.lexsort((-seen.requests.cycles, -rank))[: self.rows]

    @property
    def numbers(self) -> int:
        """Length of an observation."""
        places = self.num_stations + (self.num_servers if self.shows_host else 0)
        columns = 2 + _REQUESTED + len(self.users) + places
        return 1 + self.rows * columns + len(self.servers) * self.num_servers
