"""Published environments as our policies see them: their costs in the terms of the contract.

Two terms need translation. A migration there adds c seconds to the tasks of one slot; here tasks that
arrive in a downtime of S seconds wait S² / 2 in all, in delay times time. With slots of T seconds
S = √(2 c T) is the same. And S is not proportional to hops, as a downtime per hop is. So a network has two
rows for each site: the station of users, with the hops to each server, and the server's own
(`Infrastructure.home`), from which a migration to each server goes over S hops, in units of the downtime per
hop.
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from isma.contract import (
    HopLatency,
    Infrastructure,
    MigrationCost,
    News,
    Observation,
    Requests,
)
from isma.world.scenario import Visibility
from isma.world.switches import Migrating

_ALONE_S = 1e5
"""Time of a task on the user's own CPU, which these environments do not have."""


def network(
    hops: Float[Array, "servers servers"],
    hop_delay_s: float,
    move_s: Float[Array, "servers servers"],
    hop_move_s: Float[Array, ""],
    slot_s: Float[Array, ""],
) -> Infrastructure:
    """Network of sites that are station and server, with delays and costs of migration in seconds a slot.

    `hop_move_s`, what a migration by one hop costs on average, is the unit of `move_s`. Servers have a clock
    of 1 Hz, so that cycles are seconds.
    """
    number, nothing = len(hops), jnp.zeros(())
    every = jnp.ones(number)
    stop_hops = jnp.sqrt(move_s / hop_move_s)
    return Infrastructure(
        server_hz=every,
        decision_period_s=slot_s * every,
        broadcast_period_s=slot_s,
        hops=jnp.concatenate([hops, stop_hops]),
        backhaul_rate_bps=jnp.asarray(1e9),
        bandwidth_hz=jnp.asarray(1e6),
        power_w=jnp.asarray(1.0),
        noise_w=jnp.asarray(1.0),
        slot_s=slot_s,
        latency=HopLatency(nothing, jnp.asarray(hop_delay_s)),
        migration=MigrationCost(nothing, nothing, nothing, nothing, kind=Migrating.COLD),
        home=number + jnp.arange(number),
        closest=jnp.tile(jnp.arange(number), 2),
    )


def moment(
    net: Infrastructure,
    hop_move_s: Float[Array, ""],
    slot: Int[Array, ""],
    station: Int[Array, "users"],
    host: Int[Array, "users"],
    work_s: Float[Array, "users"],
    decides: Bool[Array, "users"],
    price_s: Float[Array, "servers"],
) -> Observation:
    """Observation of a slot in which every server has just received every other one's price.

    Tasks have no data and `work_s` seconds of work on a whole server.
    """
    each, servers = jnp.ones_like(work_s), jnp.ones_like(price_s)
    for_every_server = lambda row: jnp.broadcast_to(row, (len(servers), len(servers)))  # noqa: E731
    return Observation(
        infrastructure=net,
        requests=Requests(
            data_bits=0 * each,
            cycles=work_s,
            local_hz=work_s / _ALONE_S,
            deadline_s=_ALONE_S * each,
            interval_s=net.slot_s * each,
            state_bits=0 * each,
            downtime_per_hop_s=jnp.sqrt(2 * hop_move_s * net.slot_s) * each,
        ),
        gain=each,
        station=station,
        host=host,
        wait_s=0 * each,
        visible=each > 0,
        decides=decides,
        acting=servers > 0,
        due=servers > 0,
        slot=slot,
        news=News(
            for_every_server(servers), for_every_server(price_s), for_every_server(0 * servers)
        ),
        position_m=None,
        visibility=Visibility.SERVER,
    )
