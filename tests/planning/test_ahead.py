"""Looking ahead over places: against all sequences of places, in worlds small enough to try them."""

import itertools

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from worlds import costing, line, network, seen

from isma.contract import Observation
from isma.planning.ahead import Futures, Places, cost_ahead_s2, over_stops
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
        return eqx.tree_at(lambda o: o.wait_s, made, jnp.array([1.5, 0.0]))
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
            if segment == 0:
                total += stop_s * float(observation.wait_s[user])
        kept = np.exp(-(begin_s[segment] + LENGTH_S[segment] / 2) / FADES_S)
        root = USUAL + kept * (pull[user, place] - USUAL)
        way = abs(int(future.station[sample, segment, user]) - server[user, place])
        transfer_s = future.uplink_s[sample, segment, user] + 1.0 * way
        offer = Offer(jnp.asarray(100.0), transfer_s, jnp.asarray(1.0))
        total += LENGTH_S[segment] * float(joining(offer, jnp.asarray(root**2)).cost_s)
        at = place
    return total


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_stop_is_averaged_over_the_segments_that_it_lasts_through(number: int) -> None:
    """As moment by moment, over stops within a segment, through several and beyond the last."""
    value = np.random.default_rng(6).uniform(0.1, 2, (3, 2, 2))
    stop_s = np.array([[1.0, 2.5], [6.0, 30.0]])
    found = over_stops(jnp.asarray(value), jnp.asarray(LENGTH_S), number, jnp.asarray(stop_s))
    end_s = np.cumsum(LENGTH_S)
    for sample, user, place in itertools.product(range(2), repeat=3):
        moments_s = end_s[number] - LENGTH_S[number] + np.linspace(0, stop_s[user, place], 20001)
        at = np.minimum(np.searchsorted(end_s, moments_s, side="right"), 2)
        assert found[sample, user, place] == pytest.approx(value[at, sample, user].mean(), rel=1e-3)
