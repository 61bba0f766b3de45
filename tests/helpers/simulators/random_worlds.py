"""Random small worlds, alone or with something switched on: what the two simulators are compared in."""

from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from helpers.simulators.scripted_policy import Scripted
from isma.simulator import params as parameters
from isma.simulator.params import Params
from isma.simulator.state import Draws
from isma.world import scenario as described
from isma.world.scenario import Remaining, Scenario, ServiceClass
from isma.world.switches import (
    Energy,
    Failures,
    Latency,
    Migrating,
    Migration,
    Presence,
    Propagation,
    Queues,
    VisitLength,
)

NUM_TICKS = 50


@dataclass(frozen=True)
class Case:
    """What one compilation fixes; numbers vary within it."""

    servers: int
    users: int
    tasks_per_tick: int = 1
    bare: int = 0
    """Stations without a server."""
    delay_ticks: tuple[int, ...] = (0,)
    lossy: bool = False
    literal: bool = False
    traced: bool = False
    on: frozenset[str] = frozenset()
    """What is switched on beyond the paper."""

    @property
    def stations(self) -> int:
        return self.servers + self.bare


ALL = frozenset(
    {
        *("latency", "queues", "shared", "presence", "failures"),
        *("umi", "energy", "clocks", "services"),
    }
)
"""But for how services move and users drive."""
CASES = {
    "alone": Case(1, 1, 2),
    "pair": Case(2, 2, 1, delay_ticks=(1,)),
    "late": Case(3, 4, 3, delay_ticks=(2, 3)),
    "lossy": Case(4, 6, 2, lossy=True, literal=True),
    "late_and_lossy": Case(3, 5, 1, delay_ticks=(1,), lossy=True),
    "traced": Case(4, 5, 5, delay_ticks=(4, 5, 6, 7), traced=True),
    "cold": Case(3, 5, 2, on=frozenset({"cold"})),
    "precopy": Case(3, 5, 2, on=frozenset({"precopy"})),
    "latency": Case(3, 4, 2, on=frozenset({"latency"})),
    "queues": Case(3, 5, 3, on=frozenset({"queues"})),
    "cold_queues": Case(3, 5, 2, on=frozenset({"queues", "cold"})),
    "shared": Case(2, 6, 2, on=frozenset({"shared"})),
    "presence": Case(3, 8, 2, on=frozenset({"presence"})),
    "failures": Case(3, 6, 2, delay_ticks=(1, 2, 3), on=frozenset({"failures"})),
    "alone_failing": Case(1, 3, 2, on=frozenset({"failures", "queues"})),
    "umi": Case(3, 5, 2, on=frozenset({"umi"})),
    "energy": Case(2, 4, 2, on=frozenset({"energy"})),
    "clocks": Case(3, 4, 2, on=frozenset({"clocks"})),
    "services": Case(2, 8, 3, on=frozenset({"services", "queues"})),
    "road": Case(3, 4, 2, on=frozenset({"road"})),
    "few": Case(2, 6, 2, bare=4),
    "few_cold": Case(3, 6, 2, bare=3, delay_ticks=(1,), on=frozenset({"cold"})),
    "few_lossy_failing": Case(3, 6, 2, bare=2, lossy=True, on=frozenset({"failures", "shared"})),
    "one_for_all": Case(1, 4, 2, bare=4),
    "all_few": Case(3, 6, 3, bare=3, delay_ticks=(1,), lossy=True, on=ALL | {"precopy"}),
    "all_few_road": Case(2, 6, 2, bare=3, on=ALL | {"cold", "road"}),
    "all_precopy": Case(4, 6, 3, delay_ticks=(1,), lossy=True, on=ALL | {"precopy"}),
    "all_cold_road": Case(3, 6, 2, lossy=True, literal=True, on=ALL | {"cold", "road"}),
}


def make_scenario(case: Case, rng: np.random.Generator) -> Scenario:
    """Random numbers around a case: radii are small and speeds high, so that users bounce."""
    slot_s = float(rng.choice([0.001, 0.01]))
    shortest_slots = int(rng.integers(3, 12))
    slots_per_tick = case.tasks_per_tick * shortest_slots
    longest_slots = shortest_slots * int(rng.integers(1, 5))
    tick_s = slots_per_tick * slot_s
    radius_m = float(rng.uniform(100, 1000))
    delay_ticks = int(rng.choice(case.delay_ticks))
    delay_s = max(0.0, (delay_ticks - rng.uniform(0, 0.9)) * tick_s)
    rate_bps = rng.uniform(1e7, 1e9)
    return Scenario(
        time=described.Time(duration_s=200 * tick_s, warmup_s=0, tick_s=tick_s, slot_s=slot_s),
        sites=described.Sites(
            kind="line" if "road" in case.on else "hexagonal",
            count=case.stations,
            coverage_radius_m=radius_m,
        ),
        backhaul=described.Backhaul(rate_bps=rate_bps),
        servers=described.Servers(
            count=case.servers if case.bare else None,
            clock_hz=tuple(rng.uniform(1e9, 2e10, case.servers)),
            clock_range_hz=(1e9, 2e10) if "clocks" in case.on else None,
            decision_period_s=tuple(rng.integers(1, 9, case.servers) * tick_s),
        ),
        users=described.Users(count=case.users, local_hz=(1e8, 2e10)),
        tasks=described.Tasks(
            interval_s=(shortest_slots * slot_s, longest_slots * slot_s),
            cycles=(1e6, 2e9) if "queues" in case.on else (1e9, 9e10),
        ),
        radio=described.Radio(
            bandwidth_hz=rng.uniform(1e6, 4e7),
            power_w=f"{rng.uniform(10, 30)} dBm",
            noise_w=f"{rng.uniform(-120, -90)} dBm",
            loss_at_1km_db=rng.uniform(110, 145),
            loss_per_decade_db=rng.uniform(20, 45),
            min_distance_m=rng.uniform(1, radius_m / 2),
            shared="shared" in case.on,
            model=Propagation.UMI if "umi" in case.on else Propagation.LOG_DISTANCE,
            carrier_hz=rng.uniform(1e9, 3e10),
            station_height_m=rng.uniform(3, 20),
            user_height_m=rng.uniform(1.1, 3),
        ),
        mobility=described.Road(
            speed_mps=rng.uniform(0.05, 0.4) * radius_m / tick_s, offset_m=0.3 * radius_m
        )
        if "road" in case.on
        else described.Steady(
            speed_mps=rng.uniform(0.05, 0.4) * radius_m / tick_s,
            turn_std_rad_per_sqrt_s=rng.uniform(0, 1) / np.sqrt(tick_s),
        ),
        broadcast=described.Broadcast(
            period_s=int(rng.integers(1, 5)) * tick_s,
            delay_s=delay_s,
            loss_ratio=rng.uniform(0.2, 0.8) if case.lossy else 0.0,
            remaining=Remaining.LITERAL if case.literal else Remaining.NEWCOMER,
        ),
        **make_switches(case, rng, tick_s, rate_bps),
    )


def make_switches(
    case: Case, rng: np.random.Generator, tick_s: float, rate_bps: float
) -> dict[str, Any]:
    """What the case switches on: moves take some ticks, and some of them cannot be copied ahead."""
    some_ticks = lambda most: float(rng.uniform(0, most)) * tick_s  # noqa: E731
    switches: dict[str, Any] = {"queues": Queues(enabled="queues" in case.on)}
    if "services" in case.on:
        shortest_s = tick_s / case.tasks_per_tick
        switches["services"] = (
            ServiceClass(
                name="often",
                interval_s=(shortest_s, shortest_s),
                data_bits=(1e5, 1e6),
                cycles=(1e7, 1e8),
            ),
            ServiceClass(
                name="rare",
                interval_s=(3 * tick_s, 4 * tick_s),
                data_bits=(1e6, 1e7),
                cycles_per_bit=(1, 100),
            ),
        )
    if "energy" in case.on:
        switches["energy"] = Energy(enabled=True, kappa_j_per_hz2=rng.uniform(1e-27, 1e-26))
    if "failures" in case.on:
        switches["failures"] = Failures(
            enabled=True,
            mean_between_s=10 * tick_s,
            mean_repair_s=rng.uniform(1, 8) * tick_s,
            detection_s=some_ticks(4),
            restart_s=some_ticks(2),
        )
    if "presence" in case.on:
        switches["presence"] = Presence(
            enabled=True,
            part=0.7,
            arrival_s=(0, 20 * tick_s),
            stay_s=(tick_s, 20 * tick_s),
            stay=VisitLength(rng.choice(list(VisitLength))),
            within_m=None if "road" in case.on else rng.uniform(1, 50),
        )
    if "latency" in case.on:
        switches["latency"] = Latency(task_s=some_ticks(2), per_hop_s=some_ticks(2))
    for kind in case.on & {"cold", "precopy"}:
        switches["migration"] = Migration(
            kind=Migrating(kind),
            state_bits=(0.1 * rate_bps * tick_s, 3 * rate_bps * tick_s),
            downtime_s=some_ticks(1),
            downtime_per_hop_s=(0, some_ticks(2)),
            dirty_bps=rate_bps * rng.uniform(0.05, 0.4),
            stop_bits=rate_bps * tick_s * rng.uniform(0.01, 0.5),
            most_rounds=int(rng.integers(1, 6)),
        )
    return switches


def make_params(case: Case, scenario: Scenario, rng: np.random.Generator) -> Params:
    """The scenario's arrays, with hops that depend on the direction, on uneven ground.

    Where some stations have no server, the others stand in any order.
    """
    params, radius_m = parameters.build(scenario), scenario.sites.coverage_radius_m
    stations = case.stations
    hops = rng.integers(1, 6, (stations, stations)) * (1 - np.eye(stations))
    site_m = params.site_m + rng.uniform(-radius_m / 2, radius_m / 2, (stations, 2))
    if case.bare:
        home = rng.choice(stations, case.servers, replace=False)
        hops = hops[:, home]
        params = eqx.tree_at(
            lambda p: (p.infrastructure.home, p.infrastructure.closest),
            params,
            (jnp.asarray(home, jnp.int32), jnp.asarray(hops.argmin(axis=1), jnp.int32)),
        )
    params = eqx.tree_at(
        lambda p: (p.infrastructure.hops, p.site_m), params, (jnp.asarray(hops), site_m)
    )
    if case.traced:
        track_m = rng.uniform(-2 * radius_m, 2 * radius_m, (NUM_TICKS + 1, case.users, 2))
        params = eqx.tree_at(
            lambda p: p.track_m, params, jnp.asarray(track_m), is_leaf=lambda leaf: leaf is None
        )
    return params


def make_script(case: Case, rng: np.random.Generator, num_ticks: int) -> list[Scripted]:
    size = (num_ticks, case.servers, case.users)
    columns = (
        rng.integers(0, case.servers, size, np.int32),
        rng.integers(0, 11, size) / 10,
        rng.uniform(0.05, 0.9, size),
        rng.uniform(0, 10, size[:2]),
    )
    return [
        Scripted(*(jnp.asarray(column[tick]) for column in columns)) for tick in range(num_ticks)
    ]


def make_draws(case: Case, rng: np.random.Generator, num_ticks: int) -> list[Draws]:
    turn = rng.standard_normal((num_ticks, case.users))
    heard = rng.uniform(size=(num_ticks, case.servers, case.servers))
    failure = rng.uniform(size=(num_ticks, case.servers, 2))
    fading = rng.standard_normal((num_ticks, case.users, 2))
    key = jax.random.key(0)
    return [
        Draws(
            jnp.asarray(turn[k]),
            jnp.asarray(heard[k]) if case.lossy else None,
            key,
            jnp.asarray(failure[k]) if "failures" in case.on else None,
            jnp.asarray(fading[k]) if "umi" in case.on else None,
        )
        for k in range(num_ticks)
    ]
