"""Distances as a Markov chain: counted by hand, and policies against all that there are."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest
from helpers.small_worlds import line

from isma.contract import MigrationCost
from isma.planning.distance import best_distances, relative_delay, transitions
from isma.world.switches import Migrating

CHANCES = np.array([[0.8, 0.2, 0.0], [0.1, 0.6, 0.3], [0.0, 0.2, 0.8]])
"""Of three distances."""
RELATIVE = np.array([0.0, 1.0, 4.0])
PERIOD_S, HORIZON_S = 2.0, 60.0


def chosen(paybacks_s: list[float]) -> np.ndarray:
    numbers = (jnp.asarray(value) for value in (RELATIVE, CHANCES, PERIOD_S, HORIZON_S))
    return np.asarray(best_distances(jnp.asarray(paybacks_s), *numbers))


def worth(left: tuple[int, ...], payback_s: float) -> np.ndarray:
    """What a policy costs from each distance on: v = c + γ P v, solved."""
    places = np.asarray(left)
    cost = payback_s * RELATIVE[np.arange(3) - places] + PERIOD_S * places
    return np.linalg.solve(np.eye(3) - (1 - PERIOD_S / HORIZON_S) * CHANCES[places], cost)


def test_value_iteration_finds_the_best_of_all_policies() -> None:
    paybacks_s = [0.1, 1.0, 3.0, 8.0, 20.0, 50.0, 200.0, 1e4]
    everything = list(itertools.product([0], [0, 1], [0, 1, 2]))
    met = set()
    for payback_s, found in zip(paybacks_s, chosen(paybacks_s), strict=True):
        best = np.min([worth(left, payback_s) for left in everything], axis=0)
        np.testing.assert_allclose(worth(tuple(found), payback_s), best, rtol=1e-4)
        met.add(tuple(found.tolist()))
    assert len(met) >= 3, "the price must have made some difference"


def test_ends_are_plain() -> None:
    """Who moves for nothing is always near; at a price that a horizon cannot pay nobody moves."""
    np.testing.assert_array_equal(chosen([0.0, 1e5]), [[0, 0, 0], [0, 1, 2]])


def test_transitions_by_hand() -> None:
    """One user walks 0, 1, 1 on a line of three, another is lost after the first sample.

    With the host beside it, it goes from 0 hops to 1 once, and stays at 0 once. With the host where
    it was a sample before, it stays at 1. Who is lost counts nowhere.
    """
    hops = np.array(line(3), int)
    found = transitions(np.array([[0, 2], [1, -1], [1, -1]]), hops)
    np.testing.assert_allclose(found, [[0.5, 0.5, 0], [0, 1, 0], [0, 0, 1]])


def test_transitions_where_some_stations_have_no_server() -> None:
    """Four stations in a row, a server beside the first and the last; one user walks 0, 1, 2.

    Beyond the nearest server it is 0 hops from the first one, 0 again, and at station 2 one. With the
    host that is nearest to it: 0 to 0, then 0 to 1; with that of a sample before: 0 to 1.
    """
    hops = np.array(line(4), int)[:, [0, 3]]
    found = transitions(np.array([[0], [1], [2]]), hops)
    np.testing.assert_allclose(found[0], [1 / 3, 2 / 3, 0, 0])
    np.testing.assert_array_equal(found[1:], np.eye(4)[1:])


def test_nothing_known_stays_as_it_is() -> None:
    found = transitions(np.zeros((0, 0), int), np.array(line(3), int))
    np.testing.assert_array_equal(found, np.eye(3))


@pytest.mark.parametrize(
    ("downtime_s", "per_hop_s", "expected"),
    [(0.0, 2.0, [0, 1, 4]), (1.0, 1.0, [0, 1, 2.25]), (1.0, 0.0, [0, 1, 1])],
)
def test_delay_of_farther_moves(downtime_s: float, per_hop_s: float, expected: list[float]) -> None:
    """Stops of 2 and 4, of 2 and 3, of 1 and 1 s."""
    cost = MigrationCost(*(jnp.asarray(v) for v in (downtime_s, 0.0, 0.0, 0.0)), Migrating.COLD)
    np.testing.assert_allclose(relative_delay(cost, 1e8, 0.0, per_hop_s, 3), expected, rtol=1e-5)
