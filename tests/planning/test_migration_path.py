"""Looking ahead over places: against all sequences of places, in worlds small enough to try them."""

import itertools

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.exhaustive_search import of_a_stop_s2
from helpers.small_worlds import costing, line, network, seen

from isma.contract import MigrationCost, Observation
from isma.planning.allocation import Offer, joining
from isma.planning.migration import move_between
from isma.planning.migration_path import least_cost_s2
from isma.policies.pricing.true_future import Between, KnownTrajectories, path_cost_s2
from isma.world.switches import Migrating

LENGTH_S = np.array([2.0, 3.0, 5.0])
DECAYS_S = 4.0
LONG_RUN = 0.5


def world(kind: str) -> Observation:
    """Two users among three servers in a row, 0.7 s of stop for each move and 0.3 s a hop."""
    made = costing(seen(network([1e9] * 3, line(3)), [0, 2], [0, 1], size=2), downtime_s=0.7)
    made = eqx.tree_at(lambda o: o.requests.downtime_per_hop_s, made, jnp.array([0.3, 0.3]))
    if kind == "waiting":
        return eqx.tree_at(lambda o: o.wait_s, made, jnp.array([2.8, 0.0]))
    if kind == "newcomer":
        return eqx.tree_at(lambda o: o.due, made, jnp.array([False, True, True]))
    return made


def future_of_users() -> KnownTrajectories:
    rng = np.random.default_rng(3)
    station = jnp.asarray(rng.integers(0, 3, (4, 2)), jnp.int32)
    uplink_s = jnp.asarray(rng.uniform(0.5, 2, (3, 2)))
    return KnownTrajectories(jnp.asarray(LENGTH_S), station[:-1], uplink_s, station[-1])


@pytest.mark.parametrize(
    "kind",
    ["plain", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("waiting", "newcomer"))],
)
def test_as_all_sequences_of_places(kind: str) -> None:
    observation, future = world(kind), future_of_users()
    server = np.array([[0, 1, 2], [2, 1, 0]])
    root_price = np.random.default_rng(4).uniform(0.2, 3, (2, 3))
    places = jnp.asarray(server, jnp.int32)
    between = Between(places, places, jnp.asarray(root_price), jnp.full((2, 3), LONG_RUN))
    terminal_s2 = np.random.default_rng(5).uniform(0, 3, (2, 3))
    found = path_cost_s2(
        observation, future, between, jnp.asarray(DECAYS_S), jnp.asarray(terminal_s2)
    )
    for user, first in itertools.product(range(2), range(3)):
        least_s2 = min(
            cost(observation, future, user, (first, *later), server, root_price)
            + terminal_s2[user, later[-1]]
            for later in itertools.product(range(3), repeat=2)
        )
        assert float(found[user, first]) == pytest.approx(least_s2, rel=1e-4)


def cost(
    observation: Observation,
    future: KnownTrajectories,
    user: int,
    path: tuple[int, ...],
    server: np.ndarray,
    root_price: np.ndarray,
) -> float:
    """Delay over time along one sequence of places, the moves included."""
    infrastructure, total, at = observation.infrastructure, 0.0, 0
    begin_s = np.cumsum(LENGTH_S) - LENGTH_S
    free = not bool(observation.due[observation.host[user]])
    for segment, place in enumerate(path):
        hops = abs(server[user, place] - server[user, at])
        if place != at and not (segment == 0 and free):
            cost = infrastructure.migration
            assert cost is not None
            stop_s = float(
                move_between(
                    *(cost, infrastructure.backhaul_rate_bps, jnp.asarray(0.0), jnp.asarray(0.3)),
                    jnp.asarray(float(hops)),
                ).stop_s
            )
            total += stop_s**2 / 2
            if at == 0:
                total += stop_s * max(float(observation.wait_s[user]) - begin_s[segment], 0)
        kept = np.exp(-(begin_s[segment] + LENGTH_S[segment] / 2) / DECAYS_S)
        root = LONG_RUN + kept * (root_price[user, place] - LONG_RUN)
        way = abs(int(future.station[segment, user]) - server[user, place])
        transfer_s = future.uplink_s[segment, user] + 1.0 * way
        offer = Offer(jnp.asarray(100.0), transfer_s, jnp.asarray(1.0))
        total += LENGTH_S[segment] * float(joining(offer, jnp.asarray(root**2)).cost_s)
        at = place
    return total


def test_as_all_sequences_where_stops_cost_what_is_lost_meanwhile() -> None:
    """User 0 still waits for an earlier stop as the plan begins, and user 1 has just come."""
    observation = eqx.tree_at(
        lambda o: (o.wait_s, o.due),
        world("plain"),
        (jnp.array([2.8, 0.0]), jnp.array([True, True, False])),
    )
    rng = np.random.default_rng(7)
    server = np.array([[0, 1, 2], [2, 1, 0]])
    cost_s, terminal_s2 = rng.uniform(0, 2, (3, 2, 3)), rng.uniform(0, 3, (2, 3))
    gain_s = rng.uniform(0.1, 3, (3, 2))
    found = least_cost_s2(
        observation,
        jnp.asarray(server, jnp.int32),
        *(jnp.asarray(part) for part in (LENGTH_S, cost_s, terminal_s2, gain_s)),
    )
    period_s = float(observation.infrastructure.decision_period_s[0])
    for user, first in itertools.product(range(2), range(3)):
        least_s2 = min(
            float(LENGTH_S @ cost_s[range(3), user, list(path)])
            + stops_s2(path, server[user], gain_s[:, user], period_s, (2.8, 0.0)[user], user == 1)
            + terminal_s2[user, path[-1]]
            for path in ((first, *later) for later in itertools.product(range(3), repeat=2))
        )
        assert float(found[user, first]) == pytest.approx(least_s2, rel=1e-3)


def test_stops_count_as_often_as_asked() -> None:
    """Going at once and staying there, with 1 s of stop: 0.5 s² for each time that it counts."""
    observation = costing(seen(network([1e9] * 2, line(2)), [0], [1], size=1), downtime_s=1.0)
    least = lambda weight: least_cost_s2(  # noqa: E731
        observation,
        jnp.array([[0, 1]]),
        jnp.asarray(LENGTH_S),
        jnp.broadcast_to(jnp.array([9.0, 0.0]), (3, 1, 2)),
        jnp.array([[90.0, 0.0]]),
        downtime_weight=weight,
    )[0, 1]
    assert float(least(1.0)) == pytest.approx(0.5)
    assert float(least(3.0)) == pytest.approx(1.5)


def stops_s2(
    path: tuple[int, ...],
    server: np.ndarray,
    lost_s: np.ndarray,
    period_s: float,
    wait_s: float,
    first_is_free: bool,
) -> float:
    """What the moves along one sequence of places add: 0.7 s and 0.3 s a hop each."""
    total, at, end_s = 0.0, 0, np.cumsum(LENGTH_S)
    for segment, place in enumerate(path):
        if place != at and not (segment == 0 and first_is_free):
            begin_s = end_s[segment] - LENGTH_S[segment]
            left_s = max(wait_s - begin_s, 0) if at == 0 else 0.0
            stop_s = 0.7 + 0.3 * abs(server[place] - server[at])
            for lasts_s, sign in ((left_s + stop_s, 1), (left_s, -1)):
                moments_s = begin_s + (np.arange(20000) + 0.5) / 20000 * lasts_s
                mean_s = lost_s[np.minimum(np.searchsorted(end_s, moments_s), 2)].mean()
                total += sign * of_a_stop_s2(lasts_s, mean_s, period_s)
        at = place
    return total


def begins_with(stop_s: float, offload_gain_s: tuple[float, ...]) -> int:
    """First server of the best path of a user whose service is two hops away from it for good.

    A hop costs 1 s a task: in the plan's 126 s, and in the minute after it.
    """
    observation = costing(seen(network([1e9] * 3, line(3)), [0], [2], size=1), downtime_s=stop_s)
    hops = jnp.asarray([[2.0, 1.0, 0.0]])
    found = least_cost_s2(
        observation,
        jnp.arange(3, dtype=jnp.int32)[None],
        jnp.asarray([2.0, 4.0, 8.0, 16.0, 32.0, 64.0]),
        jnp.broadcast_to(hops, (6, 1, 3)),
        60.0 * hops,
        jnp.asarray(offload_gain_s)[:, None],
    )
    return int(jnp.argmin(found[0]))


@pytest.mark.parametrize(
    ("gain_s", "goes_to"),
    [
        ((50.0,) * 6, 2),  # The sooner the better.
        ((50.0, *(1.0,) * 5), 0),  # Better in 2 s, when tasks take long anyway.
        ((1.0, *(8.0,) * 5), 2),  # Now or never: 42 s² now, and 50 from then on.
    ],
)
def test_a_service_stops_when_that_costs_least(gain_s: tuple[float, ...], goes_to: int) -> None:
    """Two hops of 1 s are saved by a stop of 10 s, which is 50 s² where it is waited for."""
    assert begins_with(10.0, gain_s) == goes_to


@pytest.mark.parametrize(
    ("first_s", "then_s", "goes_to"),
    [
        (3.5, 3.5, 2),  # A stop of 100 s costs 346 s².
        (4.0, 4.0, 0),  # 394 s².
        (1.0, 4.0, 0),  # It outlasts the 2 s in which it would cost little: 388 s².
        (20.0, 3.0, 0),  # 330 s², but 297 two seconds later.
    ],
)
def test_a_stop_costs_what_comes_later_while_it_lasts(
    first_s: float, then_s: float, goes_to: int
) -> None:
    """Two hops of 1 s for the 126 s of the plan and a minute are 372 s²."""
    assert begins_with(100.0, (first_s, *(then_s,) * 5)) == goes_to


@pytest.mark.parametrize(
    ("copy_s", "least_s2"),
    [
        (6, 38),  # 6 s at the old place, 4 s and the minute after at the new one, at half the cost.
        (40, 55),  # All of the plan and half of the minute after it at the old one.
        (400, 70),  # It never gains anything.
    ],
)
def test_while_state_is_copied_the_old_place_is_paid_for(copy_s: float, least_s2: float) -> None:
    observation = costing(seen(network([1e9] * 2, line(2)), [0], [0], size=1))
    cost = MigrationCost(
        *(jnp.asarray(number) for number in (0.0, 0.0, 0.0, 1.0)), kind=Migrating.PRECOPY
    )
    observation = eqx.tree_at(
        lambda o: (o.infrastructure.migration, o.requests.state_bits),
        observation,
        (cost, jnp.array([copy_s * 1e6])),
    )
    found = least_cost_s2(
        observation,
        jnp.array([[0, 1]]),
        jnp.asarray(LENGTH_S),
        cost_s=jnp.broadcast_to(jnp.array([1.0, 0.5]), (3, 1, 2)),
        terminal_s2=jnp.array([[60.0, 30.0]]),
        terminal_lasts_s=jnp.array([60.0]),
    )
    assert float(found[0, 1]) == pytest.approx(least_s2, rel=1e-4)
