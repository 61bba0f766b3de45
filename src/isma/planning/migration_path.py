"""Migration path: finite-horizon dynamic programming over the servers of one service.

A user's stage cost at a server is its marginal delay there (isma.planning.allocation.joining), at the price
that the server is expected to ask; a migration stops its service. In one expected future the best sequence
of servers is a shortest path, found from the end by backward induction from a terminal cost.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from isma.contract import Observation
from isma.planning.migration import MoveTime, OffloadGain, added_s2, move_between
from isma.world.switches import Migrating


def least_cost_s2(
    observation: Observation,
    server: Int[Array, "users places"],
    length_s: Float[Array, "segments"],
    cost_s: Float[Array, "segments users places"],
    terminal_s2: Float[Array, "users places"],
    offload_gain_s: Float[Array, "segments users"] | None = None,
    terminal_lasts_s: Float[Array, "users"] | None = None,
    downtime_weight: float = 1.0,
) -> Float[Array, "users places"]:
    """Least cost-to-go when a service now goes to each place (home first): delay of tasks times time.

    `cost_s` is the marginal delay of a task at each place in each segment, `terminal_s2` the cost after
    the last one. `offload_gain_s` says when a stop costs least: by how much its service does a task
    sooner than the user alone, if known. The rest of an earlier stop comes before that of the next
    move; a newcomer's first move is free. A copy may outlast the horizon: `terminal_lasts_s` is the time
    over which the terminal cost accrues, which is then another place's for as long as it takes. The
    delay that stops cause counts `downtime_weight` times.
    """
    move, end_s = _moves(observation, server), jnp.cumsum(length_s)
    newcomer = (observation.decides & ~observation.due[observation.host])[:, None, None]
    home = jnp.arange(server.shape[1])[:, None] == 0

    def late_s2(number: Array) -> Float[Array, "users places places"] | float:
        """Delay over time by which the old place costs more while state is copied ahead."""
        if not copies_ahead(observation):
            return 0.0
        arrives_s = end_s[number] - length_s[number] + move.ahead_s
        late = jnp.zeros_like(move.ahead_s)
        for segment, whole_s in enumerate(length_s):
            inside_s = jnp.clip(arrives_s - (end_s[segment] - whole_s), 0, whole_s)
            late = late + jnp.where(segment >= number, inside_s, 0) * _apart(cost_s[segment])
        beyond_s = jnp.maximum(arrives_s - end_s[-1], 0)
        lasts_s = beyond_s if terminal_lasts_s is None else terminal_lasts_s[:, None, None]
        part = jnp.minimum(beyond_s / jnp.maximum(lasts_s, 1e-6), 1)
        late = late + part * _apart(terminal_s2)
        return jnp.where(newcomer & (number == 0), 0, late)

    def back(
        after_s2: Float[Array, "users places"], segment: tuple[Array, Array]
    ) -> tuple[Array, Array]:
        number, cost_s = segment
        passed_s = end_s[number] - length_s[number]
        wait_s = jnp.maximum(observation.wait_s - passed_s, 0)[:, None, None]
        gain = None if offload_gain_s is None else OffloadGain(offload_gain_s, end_s - passed_s)
        delay_s2 = downtime_weight * added_s2(
            observation, move.stop_s, jnp.where(home, wait_s, 0), gain
        )
        delay_s2 = jnp.where(newcomer & (number == 0), 0, delay_s2)
        cost_s2 = length_s[number] * cost_s
        moving = delay_s2 + late_s2(number) + (cost_s2 + after_s2)[..., None, :]
        return jnp.min(moving, axis=-1), moving[..., 0, :]

    _, from_home = jax.lax.scan(
        back, terminal_s2, (jnp.arange(len(length_s)), cost_s), reverse=True
    )
    return from_home[0]


def decaying(
    now: Float[Array, "users places"],
    long_run: Float[Array, "users #places"],
    decays_s: Float[Array, "*#users"],
    length_s: Float[Array, "segments"],
) -> Float[Array, "segments users places"]:
    """Exponential mean reversion: the value in the middle of each segment, from now to its long-run mean."""
    middle_s = jnp.cumsum(length_s) - length_s / 2
    kept = jnp.exp(-middle_s[:, None, None] / decays_s[..., None])
    return long_run + kept * (now - long_run)


def at_places(
    value: Float[Array, "users places"],
    server: Int[Array, "users places"],
    num_servers: int,
) -> Float[Array, "users servers"]:
    """Table of all servers with the values at some; infinite at the others, which are not planned with."""
    others = jnp.full((len(value), num_servers), jnp.inf, value.dtype)
    return others.at[jnp.arange(len(value))[:, None], server].set(value)


def copies_ahead(observation: Observation) -> bool:
    """Whether services run on while their state is copied."""
    cost = observation.infrastructure.migration
    return cost is not None and cost.kind is Migrating.PRECOPY


def _apart(cost: Float[Array, "users places"]) -> Float[Array, "users places places"]:
    """How much more each place (row) costs than each other one."""
    return cost[..., :, None] - cost[..., None, :]


def _moves(observation: Observation, server: Int[Array, "users places"]) -> MoveTime:
    """Stop and copying time of a migration from one place (row) to another."""
    infrastructure, requests = observation.infrastructure, observation.requests
    if infrastructure.migration is None:
        nothing = jnp.zeros((*server.shape, server.shape[1]))
        return MoveTime(nothing, nothing, nothing)
    move = move_between(
        infrastructure.migration,
        infrastructure.backhaul_rate_bps,
        requests.state_bits[:, None, None],
        requests.downtime_per_hop_s[:, None, None],
        infrastructure.between[server[:, :, None], server[:, None, :]],
    )
    apart = server[:, :, None] != server[:, None, :]
    return MoveTime(*(jnp.where(apart, part, 0) for part in move))
