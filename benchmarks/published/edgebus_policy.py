"""Moves against distance on EdgeBus's cabs: our policies at a price of a move, and the least that can be.

The published run names no price of a move, only counts moves, so that a policy is a curve: a point for every
price. A move costs a service as much as `price` of distance in one step; a link of mean length is a hop.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from benchmarks.published.as_observation import moment, network
from benchmarks.published.edgebus_trace import Cabs, Outcome, outcome
from isma.contract import Memory, Policy
from isma.policies import registry
from isma.world import files

STEP_S = 100.0
"""Time from fix to fix to which the published pre-processing brings the trace by default."""
_WORK_S = 1e-3
"""Of a task: the published costs know distance alone."""


def placement(cabs: Cabs, name: str, price: float, step_s: float = STEP_S) -> np.ndarray:
    """Servers that a policy chooses, steps × users; a full server refuses whom it has no room for."""
    hops, price_hops = jnp.asarray(cabs.distance / cabs.hop), jnp.asarray(price / cabs.hop)
    station, first = (jnp.asarray(part, jnp.int32) for part in (cabs.station, cabs.first))
    numbers = hops, price_hops, jnp.asarray(step_s)
    return np.asarray(
        _play(registry.get(name), station, first, *numbers, cabs.room, jax.random.key(0))
    )


@eqx.filter_jit
def _play(
    policy: Policy,
    stations: Int[Array, "steps users"],
    first: Int[Array, "users"],
    hops: Float[Array, "servers servers"],
    price_hops: Float[Array, ""],
    step_s: Float[Array, ""],
    room: int,
    key: PRNGKeyArray,
) -> Int[Array, "steps users"]:
    """Servers of all users."""
    steps, users = stations.shape
    start, turns = jax.random.split(key)
    memory = policy.init(files.load("paper", {"migration.kind": "cold"}), users, len(hops), start)
    move_s = jnp.where(jnp.eye(len(hops), dtype=bool), 0, price_hops)
    net = network(hops, 1.0, move_s, price_hops, step_s)
    each, free = jnp.ones(users), jnp.zeros(len(hops))

    def step(
        carry: tuple[Memory, Array], of_step: tuple[Array, Array, PRNGKeyArray]
    ) -> tuple[tuple[Memory, Array], Array]:
        (memory, host), (number, station, turn) = carry, of_step
        seen = moment(
            *(net, price_hops, number, station, host),
            work_s=_WORK_S * each,
            decides=each > 0,
            price_s=free,
        )
        action, memory = policy.act(memory, seen, turn)
        host = settled(host, action.server.astype(jnp.int32), len(hops), room)
        return (memory, host), host

    of_steps = jnp.arange(steps, dtype=jnp.int32), stations, jax.random.split(turns, steps)
    return jax.lax.scan(step, (memory, first), of_steps)[1]


def settled(
    host: Int[Array, "users"], target: Int[Array, "users"], servers: int, room: int
) -> Int[Array, "users"]:
    """Hosts after moves one by one, in the order of users, to servers that have room."""

    def move(hosts: Array, user: Array) -> tuple[Array, None]:
        to = target[user]
        fits = jnp.bincount(hosts, length=servers)[to] < room
        return hosts.at[user].set(jnp.where(fits, to, hosts[user])), None

    return jax.lax.scan(move, host, jnp.arange(len(host)))[0]


def foresight(cabs: Cabs, price: float) -> Outcome:
    """Least distance plus price × moves if the trace is known beforehand and servers are never full.

    No placement of any scheduler has a smaller sum at that price.
    """
    after = np.roll(cabs.station, -1, axis=0)
    steps, users = after.shape
    servers = np.arange(len(cabs.distance))
    later, chosen = np.zeros((users, len(servers))), np.zeros((steps, users, len(servers)), int)
    for step in reversed(range(steps)):
        there = cabs.distance[after[step]] + later
        best = there.argmin(axis=1)
        least = there.min(axis=1)[:, None] + price
        chosen[step] = np.where(least < there, best[:, None], servers)
        later = np.minimum(least, there)
    host, places = cabs.first, []
    for step in range(steps):
        host = chosen[step, np.arange(users), host]
        places.append(host)
    return outcome("foresight", cabs, np.array(places))
