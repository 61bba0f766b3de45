"""Small worlds for tests: scenarios, observations in round numbers, observations at random."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from isma.contract import (
    Action,
    Infrastructure,
    Memory,
    MigrationCost,
    News,
    Observation,
    Policy,
    Requests,
)
from isma.simulator.params import build
from isma.simulator.state import draw, reset
from isma.world.files import load
from isma.world.scenario import Scenario, Visibility
from isma.world.switches import Migrating

USERS, SERVERS = 7, 3


def tiny(overrides: Mapping[str, Any] | None = None) -> Scenario:
    """The paper's world for 20 s, with fewer users and servers."""
    small = {"users.count": USERS, "sites.count": SERVERS, "duration_s": 20, "warmup_s": 5}
    return load("paper", {**small, **(overrides or {})})


EVERYTHING: dict[str, Any] = {
    "migration.kind": "precopy",
    "migration.downtime_s": 0.2,
    "latency.task_s": 0.01,
    "latency.per_hop_s": 0.02,
    "queues.enabled": True,
    "radio.shared": True,
    "radio.model": "umi",
    "presence.enabled": True,
    "presence.part": 0.5,
    "presence.arrival_s": [0, 8],
    "presence.stay_s": [2, 10],
    "failures.enabled": True,
    "failures.mean_between_s": 10,
    "failures.mean_repair_s": 4,
    "failures.detection_s": 0.5,
    "failures.restart_s": 0.5,
    "energy.enabled": True,
    "clock_range_hz": ["2 GHz", "20 GHz"],
    "broadcast.delay_s": 0.25,
    "broadcast.loss_ratio": 0.2,
    "observe_position": True,
}
"""All switches at once, fast enough for `tiny`."""


_INFRASTRUCTURE = build(tiny()).infrastructure


def network(
    server_hz: list[float], hops: list[list[float]], home: list[int] | None = None
) -> Infrastructure:
    """A network in round numbers: 1 Mbit/s by radio where the gain is 1, 1 Mbit/s a hop.

    Rows of `hops` are stations; `home` says where servers stand, one at each if it is not given.
    """
    made = eqx.tree_at(
        lambda net: (
            *(net.server_hz, net.decision_period_s, net.hops, net.backhaul_rate_bps),
            *(net.bandwidth_hz, net.power_w, net.noise_w),
        ),
        _INFRASTRUCTURE,
        (
            *map(jnp.array, (server_hz, [2.0] * len(server_hz), hops)),
            *(jnp.asarray(1e6), jnp.asarray(1e6), jnp.asarray(1.0), jnp.asarray(1.0)),
        ),
    )
    if home is None:
        return made
    closest = jnp.asarray(np.argmin(hops, axis=1), jnp.int32)
    return replace(made, home=jnp.asarray(home, jnp.int32), closest=closest)


FAR = 1e6
"""Hops to a server that is of no use."""


def line(servers: int) -> list[list[float]]:
    """Hops between sites in a row."""
    place = np.arange(servers)
    return np.abs(place[:, None] - place).astype(float).tolist()


def seen(
    infrastructure: Infrastructure,
    host: list[int],
    station: list[int] | None = None,
    data_mbit: float | list[float] = 1.0,
    work_s: float | list[float] = 1.0,
    local_s: float | list[float] = 100.0,
    load: list[float] | None = None,
    price_s: list[float] | None = None,
    decides: list[bool] | None = None,
    visibility: Visibility = Visibility.SERVER,
    size: int = USERS,
) -> Observation:
    """All of these users visible and every server deciding; work is in seconds on a server of 1 GHz.

    Everybody has heard the same loads and prices; none given: all idle, all free. Users out of
    sight fill up to `size`, so that a policy is compiled once for all worlds.
    """
    users, servers = len(host), infrastructure.server_hz.shape[0]

    def rows(value: Any) -> np.ndarray:
        return np.pad(np.broadcast_to(np.asarray(value, float), (users,)), (0, size - users))

    column = lambda value, kind=float: jnp.asarray(rows(value).astype(kind))  # noqa: E731
    table = lambda value: np.broadcast_to(np.asarray(value, float), (servers, servers))  # noqa: E731
    heard = lambda value: jnp.asarray(table(value))  # noqa: E731
    cycles, time_s = 1e9 * rows(work_s), rows(local_s)
    local_hz = cycles / np.where(time_s > 0, time_s, 1)
    nothing = jnp.asarray(np.zeros(size))
    requests = Requests(
        *map(jnp.asarray, (1e6 * rows(data_mbit), cycles, local_hz, time_s)),
        interval_s=column(1.0),
        state_bits=nothing,
        downtime_per_hop_s=nothing,
    )
    server_hz = np.asarray(infrastructure.server_hz)
    remaining_hz = jnp.asarray(server_hz / (1 + table(load if load else [0.0] * servers)))
    return Observation(
        infrastructure=infrastructure,
        requests=requests,
        gain=column(1.0),
        station=column(host if station is None else station, np.int32),
        host=column(host, np.int32),
        wait_s=nothing,
        visible=column(True, bool),
        decides=column(True if decides is None else decides, bool),
        acting=jnp.ones(servers, bool),
        due=jnp.ones(servers, bool),
        slot=jnp.zeros((), jnp.int32),
        news=News(remaining_hz, heard(price_s if price_s else [0.0] * servers), heard(0.0)),
        position_m=None,
        visibility=visibility,
    )


def costing(observation: Observation, downtime_s: float = 0.0) -> Observation:
    """The same moment where a move stops the service so long, and for its state and hops besides."""
    numbers = (jnp.asarray(number) for number in (downtime_s, 0.0, 0.0, 0.0))
    cost = MigrationCost(*numbers, kind=Migrating.COLD)
    where = lambda o: o.infrastructure.migration  # noqa: E731
    return eqx.tree_at(where, observation, cost, is_leaf=lambda leaf: leaf is None)


def at_random(seed: int, visibility: Visibility = Visibility.SERVER) -> Observation:
    """A moment in a world like the paper's, with the standard sizes."""
    rng = np.random.default_rng(seed)
    column = lambda low, high: jnp.asarray(rng.uniform(low, high, USERS))  # noqa: E731
    table = lambda low, high: jnp.asarray(rng.uniform(low, high, (SERVERS, SERVERS)))  # noqa: E731
    infrastructure = _INFRASTRUCTURE
    cycles, local_hz = column(6e9, 9e10), column(1e8, 3.5e8)
    return Observation(
        infrastructure=infrastructure,
        requests=Requests(
            *(column(1.6e6, 2.4e7), cycles, local_hz, cycles / local_hz),
            interval_s=column(0.05, 0.2),
            state_bits=column(4e6, 8e8),
            downtime_per_hop_s=column(1, 3),
        ),
        gain=10 ** column(-14, -8),
        station=jnp.asarray(rng.integers(0, SERVERS, USERS), jnp.int32),
        host=jnp.asarray(rng.integers(0, SERVERS, USERS), jnp.int32),
        wait_s=column(0, 5),
        visible=jnp.ones(USERS, bool),
        decides=jnp.asarray(rng.random(USERS) < 0.8),
        acting=jnp.ones(SERVERS, bool),
        due=jnp.ones(SERVERS, bool),
        slot=jnp.zeros((), jnp.int32),
        news=News(infrastructure.server_hz * table(0.3, 1), table(0, 60), table(0, 3)),
        position_m=None,
        visibility=visibility,
    )


new_world, drawn = jax.jit(reset), eqx.filter_jit(draw)
"""A world and the randomness of a tick: each a program for every test, and that of a comparison itself."""

act = eqx.filter_jit(lambda policy, memory, observation, key: policy.act(memory, observation, key))
"""One decision, compiled once for a policy, its sizes and a visibility."""


def decide(policy: Policy, observation: Observation, seed: int = 0) -> Action:
    """A first decision."""
    return act(policy, first_memory(policy, observation), observation, jax.random.key(seed))[0]


def first_memory(policy: Policy, observation: Observation) -> Memory:
    """What the policy remembers before its first decision."""
    sizes = observation.host.shape[0], observation.acting.shape[0]
    migration = observation.infrastructure.migration
    overrides: dict[str, Any] = {"visibility": observation.visibility.value}
    if migration is not None:
        overrides["migration.kind"] = migration.kind.value
    return policy.init(tiny(overrides), *sizes, jax.random.key(0))
