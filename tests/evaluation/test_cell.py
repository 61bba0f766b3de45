"""One policy in one world: what a cell counts, by hand."""

import jax
import numpy as np
import pytest
from helpers.small_worlds import new_world, tiny

from isma.evaluation import cell
from isma.evaluation.cell import Cell
from isma.policies import registry
from isma.simulator.params import build
from isma.world.scenario import Scenario


def cell_of(scenario: Scenario, name: str, seed: int) -> Cell:
    return cell.run(scenario, build(scenario), registry.get(name), seed, lambda ticks: None)


def test_local_is_cycles_over_clock() -> None:
    """The mean of f^r / f^L over the users, whatever radio, servers and motion are like."""
    scenario = tiny({"local_hz": ["100 MHz", "350 MHz"], "interval_s": ["50 ms", "500 ms"]})
    found = cell_of(scenario, "local", 5)
    world_key, _ = jax.random.split(jax.random.key(5))
    requests = new_world(build(scenario), world_key).requests
    local_s = np.asarray(requests.cycles, float) / np.asarray(requests.local_hz, float)
    assert found.mean_s == pytest.approx(local_s.mean(), rel=1e-6)
    assert (found.missed.sum(), found.migrations) == (0, 0)
    assert found.task_mean_s == pytest.approx(np.average(local_s, weights=found.user_tasks))


def test_users_without_a_task_do_not_count() -> None:
    """Intervals of 1 to 20 s, and 10 s to look at: some emit nothing after the warm-up."""
    scenario = tiny({"interval_s": [1, 20], "warmup_s": 18})
    found = cell_of(scenario, "local", 0)
    had = found.user_tasks > 0
    assert had.any()
    assert not had.all()
    assert np.isnan(found.user_mean_s[~had]).all()
    assert found.mean_s == pytest.approx(found.user_mean_s[had].mean())


@pytest.mark.slow
@pytest.mark.parametrize("visibility", ["user", "full"])
def test_every_visibility_runs(visibility: str) -> None:
    found = cell_of(tiny({"visibility": visibility}), "nearest", 0)
    assert np.isfinite(found.mean_s)
    assert found.user_tasks.min() > 0
