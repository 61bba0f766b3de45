"""Quantities that an environment shows of users and servers: names, units, bounds, scales.

Quantities that a scenario switches off are left out.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Int

from isma.contract import Observation
from isma.model.vectors import Scales
from isma.simulator.params import Params
from isma.world.scenario import Scenario, ServiceClass, Tasks

_MOST = float(np.finfo(np.float32).max)
_FAR_M = 1e7


class Quantity(NamedTuple):
    """One number of each user, or of each server; its name ends with its unit."""

    name: str
    high: float
    one: float
    """Unit in a flat observation."""
    low: float = 0.0


_OF_USERS: dict[str, Callable[[Any], Array]] = {
    "data_bits": lambda seen: seen.requests.data_bits,
    "cycles": lambda seen: seen.requests.cycles,
    "local_hz": lambda seen: seen.requests.local_hz,
    "gain": lambda seen: seen.gain,
    "interval_s": lambda seen: seen.requests.interval_s,
    "state_bits": lambda seen: seen.requests.state_bits,
    "downtime_per_hop_s": lambda seen: seen.requests.downtime_per_hop_s,
    "wait_s": lambda seen: seen.wait_s,
    "backlog_local_cycles": lambda seen: seen.backlog.local_cycles,
    "backlog_edge_cycles": lambda seen: seen.backlog.edge_cycles,
    "bandwidth_hz": lambda seen: seen.bandwidth_hz,
    "east_m": lambda seen: seen.position_m[:, 0],
    "north_m": lambda seen: seen.position_m[:, 1],
}
_OF_SERVERS: dict[str, Callable[[Any, Array], Array]] = {
    "remaining_hz": lambda seen, server: seen.news.remaining_hz[server],
    "price_s": lambda seen, server: seen.news.price_s[server],
    "age_s": lambda seen, server: seen.news.age_s[server],
    "server_hz": lambda seen, server: seen.infrastructure.server_hz,
}


def of_users(quantity: Quantity, seen: Observation) -> Array:
    """A column of users; zero for those out of sight."""
    return _OF_USERS[quantity.name](seen)


def of_servers(quantity: Quantity, seen: Observation, server: Int[Array, ""]) -> Array:
    """A column of servers, as `server` knows them."""
    return _OF_SERVERS[quantity.name](seen, server)


def requested(scenario: Scenario, scales: Scales) -> tuple[Quantity, ...]:
    """The fixed part of a user's tasks, and its channel gain."""
    interval_s = max(asked.interval_s[1] for asked in scenario.asked)
    same = {"data_bits": scales.data_bits, "cycles": scales.cycles, "local_hz": scales.local_hz}
    quantities = [Quantity(name, float(most), float(most)) for name, most in same.items()]
    return (*quantities, Quantity("gain", 1.0, 1.0), Quantity("interval_s", interval_s, interval_s))


def beyond_the_paper(scenario: Scenario, params: Params, scales: Scales) -> tuple[Quantity, ...]:
    """Further quantities of a user, where a switch is on."""
    quantities: list[Quantity] = []
    migrates, migration = params.infrastructure.migration is not None, scenario.migration
    if migrates:
        state_bits, hop_s = (
            max(ends[1], 1e-3) for ends in (migration.state_bits, migration.downtime_per_hop_s)
        )
        quantities.append(Quantity("state_bits", state_bits, state_bits))
        quantities.append(Quantity("downtime_per_hop_s", hop_s, hop_s))
    if migrates or params.faults is not None:
        quantities.append(Quantity("wait_s", scenario.time.duration_s, _longest_period_s(params)))
    if params.shape.queued:
        cycles = float(scales.cycles)
        quantities.append(Quantity("backlog_local_cycles", _MOST, cycles))
        quantities.append(Quantity("backlog_edge_cycles", _MOST, cycles))
    if params.shape.shared_band:
        band_hz = scenario.radio.bandwidth_hz
        quantities.append(Quantity("bandwidth_hz", band_hz, band_hz))
    if params.shape.observe_position:
        radius_m = scenario.sites.coverage_radius_m
        quantities.append(Quantity("east_m", _FAR_M, radius_m, -_FAR_M))
        quantities.append(Quantity("north_m", _FAR_M, radius_m, -_FAR_M))
    return tuple(quantities)


def announced(scenario: Scenario, params: Params, scales: Scales) -> tuple[Quantity, ...]:
    """Quantities in the last broadcast of each other server."""
    hz = float(scales.server_hz)
    slowest_hz = float(np.min(scenario.servers.clock_range_hz or scenario.servers.clock_hz))
    # The price of a server of which every user wants the most, (Σ √a)².
    dearest_s = params.shape.num_users**2 * float(scales.cycles) / slowest_hz
    quantities = [
        Quantity("remaining_hz", hz, hz),
        Quantity("price_s", dearest_s, reward_unit_s(scenario)),
        Quantity("age_s", scenario.time.duration_s, _longest_period_s(params)),
    ]
    if params.clock_range_hz is not None:
        quantities.append(Quantity("server_hz", hz, hz))
    return tuple(quantities)


def reward_unit_s(scenario: Scenario) -> float:
    """Unit of rewards: a middling task, wholly on a middling user's own CPU.

    The middle of the scenario's ranges, and of its classes of services by weight.
    """
    weight = [asked.weight if isinstance(asked, ServiceClass) else 1.0 for asked in scenario.asked]
    cycles = np.average([_middling_cycles(asked) for asked in scenario.asked], weights=weight)
    return float(cycles / np.mean(scenario.users.local_hz))


def _middling_cycles(asked: Tasks | ServiceClass) -> float:
    if asked.cycles is not None:
        return float(np.mean(asked.cycles))
    assert isinstance(asked, ServiceClass)  # validated: one of the two is given
    assert asked.cycles_per_bit is not None
    return float(np.mean(asked.data_bits) * np.mean(asked.cycles_per_bit))


def _longest_period_s(params: Params) -> float:
    return float(np.max(np.asarray(params.infrastructure.decision_period_s)))
