"""Cells: chances counted by hand, and hosts against all that could be chosen."""

import itertools

import numpy as np
import pytest
from helpers.small_worlds import line

from isma.planning.cells import best_hosts, station_chances, targets


def hosts(*city) -> np.ndarray:
    """Where services go, by host, payback time and station."""
    return np.transpose(np.asarray(best_hosts(*city).goes), (2, 0, 1))


CHANCES = np.array([[0.7, 0.3, 0.0], [0.05, 0.6, 0.35], [0.0, 0.1, 0.9]])
HOPS = np.array(line(3), int)
RELATIVE = np.array([0.0, 1.0, 4.0])
EVERY = np.arange(3)
"""A server at each station."""
PERIOD_S, HORIZON_S = 2.0, 60.0
STATES = tuple(itertools.product(range(3), range(3)))
"""Station and host."""


def worth(goes: np.ndarray, payback_s: float) -> np.ndarray:
    """What a table of hosts by station and host costs from each state on: v = c + γ P v, solved."""
    cost, chance = np.zeros(9), np.zeros((9, 9))
    for row, (station, host) in enumerate(STATES):
        there = goes[station, host]
        cost[row] = payback_s * RELATIVE[HOPS[host, there]] + PERIOD_S * HOPS[station, there]
        for following in range(3):
            chance[row, 3 * following + there] += CHANCES[station, following]
    return np.linalg.solve(np.eye(9) - (1 - PERIOD_S / HORIZON_S) * chance, cost)


def improved(goes: np.ndarray, payback_s: float) -> float:
    """The most that going elsewhere once would gain, in any state: 0 for the best of all tables."""
    value = worth(goes, payback_s).reshape(3, 3)
    gains = []
    for station, host in STATES:
        once = [
            payback_s * RELATIVE[HOPS[host, there]]
            + PERIOD_S * HOPS[station, there]
            + (1 - PERIOD_S / HORIZON_S) * CHANCES[station] @ value[:, there]
            for there in range(3)
        ]
        gains.append(value[station, host] - min(once))
    return max(gains)


def test_nobody_does_better_by_another_choice() -> None:
    """Optimal by Bellman's principle; and the price makes a difference."""
    paybacks_s = np.array([0.01, 1.0, 3.0, 8.0, 20.0, 50.0, 1e5])
    found = np.asarray(hosts(paybacks_s, RELATIVE, CHANCES, HOPS, EVERY, PERIOD_S, HORIZON_S))
    met = set()
    for number, payback_s in enumerate(paybacks_s):
        goes = found[:, number].T
        assert improved(goes, float(payback_s)) <= 1e-3 * worth(goes, float(payback_s)).max()
        met.add(goes.tobytes())
    assert len(met) >= 4
    np.testing.assert_array_equal(found[:, 0], np.tile(np.arange(3), (3, 1)), "free: follow")
    np.testing.assert_array_equal(found[:, -1], np.arange(3)[:, None] * [1, 1, 1], "dear: stay")


def test_what_follows_is_what_the_choices_cost() -> None:
    """v of the policy that it gives, by solving linear equations."""
    found = best_hosts(np.array([3.0]), RELATIVE, CHANCES, HOPS, EVERY, PERIOD_S, HORIZON_S)
    goes, value_s = np.asarray(found.goes)[0], np.asarray(found.value_s)[0]
    decided = worth(goes, 3.0).reshape(3, 3)
    stays = goes == np.arange(3)
    np.testing.assert_allclose(value_s[stays], decided[stays], rtol=5e-3)


def test_nobody_does_better_where_some_stations_have_no_server() -> None:
    """Servers beside the last and the first of three stations: v = c + γ P v, and one look ahead."""
    home = np.array([2, 0])
    hops = HOPS[:, home]
    apart = hops[home]
    discount = 1 - PERIOD_S / HORIZON_S
    met = set()
    for payback_s in (0.01, 1.0, 4.0, 20.0, 1e5):
        table = hosts(np.array([payback_s]), RELATIVE, CHANCES, hops, home, PERIOD_S, HORIZON_S)
        goes = np.asarray(table)[:, 0].T
        assert goes.shape == (3, 2)
        met.add(goes.tobytes())
        states = list(itertools.product(range(3), range(2)))
        paid, chance = np.zeros(6), np.zeros((6, 6))
        cost = lambda station, host, there, price=payback_s: (  # noqa: E731
            price * RELATIVE[apart[host, there]] + PERIOD_S * hops[station, there]
        )
        for row, (station, host) in enumerate(states):
            there = goes[station, host]
            paid[row] = cost(station, host, there)
            chance[row, np.arange(3) * 2 + there] += CHANCES[station]
        value = np.linalg.solve(np.eye(6) - discount * chance, paid).reshape(3, 2)
        for station, host in states:
            for there in range(2):
                once = cost(station, host, there) + discount * CHANCES[station] @ value[:, there]
                assert value[station, host] <= once + 1e-3 * value.max()
    assert len(met) >= 3
    free = np.asarray(hosts(np.array([0.01]), RELATIVE, CHANCES, hops, home, 2.0, 60.0))
    assert free[:, 0, [0, 2]].tolist() == [[1, 0], [1, 0]], "follow"


def test_a_service_that_knows_the_way_waits_for_who_comes_back() -> None:
    """From the middle all return to the first cell at once: nobody follows who would follow elsewhere."""
    returns = np.array([[0.9, 0.1, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    leaves = np.array([[0.9, 0.1, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    host_0_station_1 = [
        int(hosts(np.array([6.0]), RELATIVE, way, HOPS, EVERY, PERIOD_S, HORIZON_S)[0, 0, 1])
        for way in (returns, leaves)
    ]
    assert host_0_station_1 == [0, 1]


def test_chances_by_hand() -> None:
    """One user goes 0, 1, 1, another is lost after 2; nobody was ever seen to leave 2."""
    found = station_chances(np.array([[0, 2], [1, -1], [1, -1]]), 3)
    np.testing.assert_allclose(found, [[0, 1, 0], [0, 1, 0], [0, 0, 1]])
    np.testing.assert_allclose(station_chances(np.zeros((0, 0), int), 2), np.eye(2))


@pytest.mark.parametrize("number", [3, 40])
def test_targets_hold_home_first_and_the_station(number: int) -> None:
    hops = np.array(line(number), int)
    found = targets(hops, np.arange(number))
    np.testing.assert_array_equal(found[..., 0], np.tile(np.arange(number), (number, 1)))
    station = np.arange(number)[:, None, None]
    assert (found == station).any(axis=2).all()
    few = np.arange(1, number, 2)
    fewer = targets(hops[:, few], few)
    assert fewer.shape[:2] == (number, len(few))
    assert fewer.min() >= 0
    assert fewer.max() < len(few)
    np.testing.assert_array_equal(fewer[..., 0], np.tile(np.arange(len(few)), (number, 1)))
    assert (fewer == hops[:, few].argmin(axis=1)[:, None, None]).any(axis=2).all()
    if number == 40:
        assert set(found[30, 10].tolist()) >= {11, 12, 13}, "on the way"
