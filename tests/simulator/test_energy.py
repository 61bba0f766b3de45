"""What tasks take from their users' batteries, in the worlds of `by_hand`."""

import numpy as np
import pytest
from helpers.simulators.agreement import compact
from helpers.simulators.by_hand import followed, script, two_by_two
from helpers.small_worlds import tiny

from isma.evaluation import cell
from isma.policies import registry
from isma.simulator.params import build
from isma.world.switches import Energy


def test_energy_by_hand(double: None) -> None:
    """κ = 1e-25: a cycle takes 1e-9 J at 1e8 Hz and 4e-9 J at 2e8 Hz. Sending takes 0.1 W.

    Tick 0, user 0, η = 1: 0.1 · 0.430677 (`test_world_by_hand`) = 0.0430677 J
    Tick 1, user 0: 0.1 · 0.349897; user 1, η = 1: 0.1 · 0.949543
    Tick 2, user 0, η = 0.9: 1e8 cycles of its own, 0.1 J, and 0.1 · 0.250121: 0.1250121 J
      User 1, η = 0: 2e9 cycles: 8 J
    """
    rows = (
        ((0, 1), (1.0, 0.5), (0.8, 0.5), (0.0, 0.0)),
        ((1, 0), (0.3, 1.0), (0.1, 0.6), (0.0, 0.0)),
        ((1, 0), (0.9, 0.0), (0.5, 0.2), (0.0, 0.0)),
    )
    energy = Energy(enabled=True, kappa_j_per_hz2=1e-25)
    run = followed(*two_by_two(energy=energy), script(*rows))
    found = [compact(outcome.energy_j) for *_, outcome in run]
    expected = [[[0.0430677], []], [[0.0349897], [0.0949543]], [[0.1250121], [8]]]
    for tick, of_users in enumerate(expected):
        for user in range(2):
            assert found[tick][user] == pytest.approx(of_users[user], abs=1e-6)


def test_a_cell_adds_it_up() -> None:
    """Nobody offloads: every task takes κ f² of each of its cycles."""
    scenario = tiny({"energy.enabled": True, "cycles": 1e9, "local_hz": 1e9})
    made = cell.run(scenario, build(scenario), registry.get("local"), 0, lambda ticks: None)
    assert float(made.energy_j) == pytest.approx(
        5e-27 * 1e18 * 1e9 * made.user_tasks.sum(), rel=1e-5
    )
    assert np.all(made.user_tasks > 0)
