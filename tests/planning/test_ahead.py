"""Looking ahead over places: against all sequences of places, in worlds small enough to try them."""

import itertools

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from exhaustive import of_a_stop_s2
from worlds import costing, line, network, seen

from isma.contract import Observation
from isma.planning.ahead import Futures, Places, cost_ahead_s2, least_ahead_s2
from isma.planning.allocation import Offer, joining
from isma.planning.migration import move_between

LENGTH_S = np.array([2.0, 3.0, 5.0])
FADES_S = 4.0
USUAL = 0.5


def world(kind: str) -> Observation:
    """Two users among three servers in a row, 0.7 s of stop for each move and 0.3 s a hop."""
    made = costing(seen(network([1e9] * 3, line(3)), [0, 2], [0, 1], size=2), downtime_s=0.7)
    made = eqx.tree_at(lambda o: o.requests.downtime_per_hop_s, made, jnp.array([0.3, 0.3]))
    if kind == "waiting":
        return eqx.tree_at(lambda o: o.wait_s, made, jnp.array([2.8, 0.0]))
    if kind == "newcomer":
        return eqx.tree_at(lambda o: o.due, made, jnp.array([False, True, True]))
    return made


def futures() -> Futures:
    rng = np.random.default_rng(3)
    station = rng.integers(0, 3, (2, 3, 2))
    return Futures(
        jnp.asarray(LENGTH_S),
        jnp.asarray(station, jnp.int32),
        jnp.asarray(rng.uniform(0.5, 2, (2, 3, 2))),
    )


@pytest.mark.parametrize(
    "kind",
    ["plain", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("waiting", "newcomer"))],
)
def test_as_all_sequences_of_places(kind: str) -> None:
    observation, future = world(kind), futures()
    server = np.array([[0, 1, 2], [2, 1, 0]])
    pull = np.random.default_rng(4).uniform(0.2, 3, (2, 3))
    places = Places(jnp.asarray(server, jnp.int32), jnp.asarray(pull), jnp.full((2, 3), USUAL))
    rest_s2 = np.random.default_rng(5).uniform(0, 3, (2, 2, 3))
    found = cost_ahead_s2(observation, future, places, jnp.asarray(FADES_S), jnp.asarray(rest_s2))
    for user, first in itertools.product(range(2), range(3)):
        means = [
            min(
                cost(observation, future, sample, user, (first, *later), server, pull)
                + rest_s2[sample, user, later[-1]]
                for later in itertools.product(range(3), repeat=2)
            )
            for sample in range(2)
        ]
        assert float(found[user, first]) == pytest.approx(np.mean(means), rel=1e-4)


def cost(
    observation: Observation,
    future: Futures,
    sample: int,
    user: int,
    path: tuple[int, ...],
    server: np.ndarray,
    pull: np.ndarray,
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
        kept = np.exp(-(begin_s[segment] + LENGTH_S[segment] / 2) / FADES_S)
        root = USUAL + kept * (pull[user, place] - USUAL)
        way = abs(int(future.station[sample, segment, user]) - server[user, place])
        transfer_s = future.uplink_s[sample, segment, user] + 1.0 * way
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
    cost_s, rest_s2 = rng.uniform(0, 2, (3, 2, 2, 3)), rng.uniform(0, 3, (2, 2, 3))
    sooner_s = rng.uniform(0.1, 3, (3, 2, 2))
    found = least_ahead_s2(
        observation,
        jnp.asarray(server, jnp.int32),
        *(jnp.asarray(part) for part in (LENGTH_S, cost_s, rest_s2, sooner_s)),
    )
    period_s = float(observation.infrastructure.decision_period_s[0])
    for user, first in itertools.product(range(2), range(3)):
        means = []
        for sample in range(2):
            lost_s = sooner_s[:, sample, user]
            means.append(
                min(
                    float(LENGTH_S @ cost_s[range(3), sample, user, list(path)])
                    + stops_s2(path, server[user], lost_s, period_s, (2.8, 0.0)[user], user == 1)
                    + rest_s2[sample, user, path[-1]]
                    for path in ((first, *later) for later in itertools.product(range(3), repeat=2))
                )
            )
        assert float(found[user, first]) == pytest.approx(np.mean(means), rel=1e-3)


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
