"""Sizes of a scenario's tasks, by which rewards are scaled."""

import math
from collections.abc import Sequence

import numpy as np

from isma.world.scenario import Scenario, ServiceClass, Tasks

_ABOVE = 1.5


def mean_cycles(scenario: Scenario) -> float:
    """CPU cycles of a task, the mean over classes of services."""
    return float(np.mean([_mean_cycles(asked) for asked in scenario.asked]))


def reward_s(scenarios: Sequence[Scenario], users: int, servers: int) -> float:
    """Completion time, in seconds, whose reward is 0: beyond those that good decisions leave.

    Half again the geometric mean of a mean task's time on an equal share of a server and on its
    user's own CPU, the largest of the scenarios.
    """

    def of(scenario: Scenario) -> float:
        cycles = mean_cycles(scenario)
        clocks = scenario.servers.clock_range_hz or scenario.servers.clock_hz
        shared_s = cycles * users / (servers * float(np.mean(clocks)))
        local_s = cycles / float(np.mean(scenario.users.local_hz))
        return _ABOVE * math.sqrt(shared_s * local_s)

    return max(map(of, scenarios))


def largest_speedup(scenarios: Sequence[Scenario]) -> float:
    """Logarithm of the speed-up of a whole server, the fastest, over the slowest of users' own CPUs."""

    def of(scenario: Scenario) -> float:
        clocks = scenario.servers.clock_range_hz or scenario.servers.clock_hz
        return math.log(float(np.max(clocks)) / scenario.users.local_hz[0])

    return max(1.0, *map(of, scenarios))


def _mean_cycles(asked: Tasks | ServiceClass) -> float:
    if isinstance(asked, ServiceClass) and asked.cycles_per_bit is not None:
        return float(np.mean(asked.data_bits) * np.mean(asked.cycles_per_bit))
    assert asked.cycles is not None  # validated: one of the two
    return float(np.mean(asked.cycles))
