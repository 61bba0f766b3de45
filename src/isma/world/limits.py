"""Sizes of worlds that can be run: refused by arithmetic, before anything is laid out."""

import os

from isma.errors import ScenarioError
from isma.world.backhaul import MOST_NODES
from isma.world.scale import LARGE
from isma.world.scenario import Scenario

MOST_USERS = 2_000_000
MOST_TASKS_PER_TICK = 10_000
"""Of one user."""
MOST_USER_TICKS = 10**12
"""Users × ticks of a run: a day and more at ten million a second."""
_FLOAT = 4
_PER_USER, _PER_TASK, _PER_PAIR, _PER_STATIONS, _PER_SERVERS = 2000, 16, 12, 6, 16
"""Numbers kept or passing through for each of those, and for each pair of stations or servers."""
_KEPT_TASKS = 4_000_000
"""Tasks of one user or more whose outcomes a run holds at once (isma.evaluation.cell)."""


def tasks_per_tick(scenario: Scenario) -> int:
    """Most tasks that a user can emit in a tick."""
    time = scenario.time
    shortest_slots = round(min(asked.interval_s[0] for asked in scenario.asked) / time.slot_s)
    return -(-time.slots_per_tick // max(1, shortest_slots))


def refuse_unfit(scenario: Scenario, users: int, stations: int, servers: int) -> None:
    """Refuse a world that no machine, or not this one, could run. Raises ScenarioError."""
    tasks, ticks = tasks_per_tick(scenario), scenario.time.num_ticks
    _at_most("users", users, MOST_USERS, "lower users.count")
    _at_most("stations", stations, MOST_NODES, "lower sites.count, or take the sites of one region")
    _at_most(
        "tasks of a user in a tick",
        tasks,
        MOST_TASKS_PER_TICK,
        "lower time.tick_s, or raise tasks.interval_s",
    )
    _at_most(
        "users × ticks",
        users * ticks,
        MOST_USER_TICKS,
        "lower users.count or time.duration_s, or raise time.tick_s",
    )
    needed, there = _bytes(scenario, users, stations, servers), _memory_bytes()
    if needed > there:
        raise ScenarioError(
            f"a world must fit in memory ({there / 1e9:.3g} GB here), and {users:,} users with up to "
            f"{tasks:,} tasks in a tick, {stations:,} stations and {servers:,} servers take about "
            f"{needed / 1e9:.3g} GB: lower users.count, sites.count, time.tick_s or broadcast.delay_s"
        )


def _at_most(what: str, value: int, most: int, way_out: str) -> None:
    if value > most:
        raise ScenarioError(f"{what} must be at most {most:,}, got {value:,}: {way_out}")


def _bytes(scenario: Scenario, users: int, stations: int, servers: int) -> float:
    """Estimated memory of a run: of its largest arrays alone."""
    tasks = tasks_per_tick(scenario)
    delayed_ticks = min(scenario.broadcast.delay_s / scenario.time.tick_s, scenario.time.num_ticks)
    numbers = (
        _PER_USER * users
        + _PER_TASK * max(users * tasks, min(_KEPT_TASKS, users * tasks * scenario.time.num_ticks))
        + _PER_PAIR * min(users * servers, LARGE) * 10
        + _PER_STATIONS * stations * servers
        + _PER_SERVERS * servers**2
        + 6 * delayed_ticks * servers
    )
    return _FLOAT * numbers


def _memory_bytes() -> float:
    """Physical memory of this machine."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):  # Unknown: the other limits must do.
        return float("inf")
