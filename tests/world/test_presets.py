"""What each preset is there for, in its own numbers and in a short run."""

import jax
import numpy as np
import pytest
from helpers.fast_cases import slow_but_for

from isma.policies import registry
from isma.simulator.params import build
from isma.simulator.rollout import run_chunk
from isma.simulator.state import State, reset
from isma.simulator.step import TickOutcome
from isma.world import files

SMALL = ["campus", "highway", "paper", "paper-migration", "stadium"]
LARGE = ["metropolis"]
"""Looked at in test_metropolis.py."""


def run(name: str, ticks: int, rule: str = "nearest") -> tuple[State, TickOutcome]:
    scenario = files.load(name)
    params, policy, key = build(scenario), registry.get(rule), jax.random.key(0)
    sizes = (params.shape.num_users, params.shape.num_servers)
    state, memory = jax.jit(reset)(params, key), policy.init(scenario, *sizes, key)
    state, _, outcome = run_chunk(params, policy, state, memory, key, ticks)
    return state, jax.tree.map(np.asarray, outcome)


@pytest.mark.parametrize("name", slow_but_for([], SMALL))
def test_it_runs(name: str) -> None:
    """With the rule that reads the most of what it is shown. Each time, tests/golden runs most of them."""
    _, outcome = run(name, 100, "price")
    time_s = outcome.completion_time_s[~np.isnan(outcome.completion_time_s)]
    assert len(time_s) > 100
    assert np.all(np.isfinite(time_s) & (time_s > 0))


def test_all_of_them_are_looked_at() -> None:
    assert files.preset_names() == sorted(SMALL + LARGE)


def test_paper_migration_is_paper_but_for_migration() -> None:
    costly, paper = files.load("paper-migration"), files.load("paper")
    same = {"name", "description", "migration"}
    assert costly.model_dump(exclude=same) == paper.model_dump(exclude=same)
    assert costly.migration.kind == "cold"
    assert costly.migration.state_bits == (4e6, 8e8)
    assert costly.migration.downtime_per_hop_s == (1, 3)


def test_on_the_highway_users_change_cells_in_half_a_minute() -> None:
    """866 m at 33.3 m/s: 26 s a cell, 139 changes an hour."""
    _, outcome = run("highway", 1200)
    assert outcome.handovers.sum() / 40 / (120 / 3600) == pytest.approx(139, rel=0.1)


def test_on_the_campus_they_stay_for_minutes() -> None:
    _, outcome = run("campus", 1200)
    assert outcome.handovers.sum() / 40 / (120 / 3600) < 60


def test_into_the_stadium_they_come_at_once() -> None:
    state, outcome = run("stadium", 2000)
    present = outcome.present
    assert present[1100] == 20
    assert present[1810] == 80
    crowd = np.asarray(state.station)[:60]
    assert np.mean(crowd == 0) > 0.9
